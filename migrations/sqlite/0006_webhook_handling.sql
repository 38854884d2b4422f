-- How a webhook's deliveries are made, where it is not as for all.

-- The names of its own headers, joined by spaces. Their values are sealed in secret_jwe, beside the signing secrets.
alter table webhooks add column header_names text not null default '';
-- The waits of its own schedule in seconds, joined by spaces; empty for one attempt, null for the schedule of all.
alter table webhooks add column retry_waits text;
alter table webhooks add column timeout_seconds bigint check (timeout_seconds between 1 and 30);
-- Deliveries a second.
alter table webhooks add column rate_limit bigint check (rate_limit between 1 and 10000);
