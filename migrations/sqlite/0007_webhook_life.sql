-- What is heard of receivers.

-- Since when a receiver has acknowledged nothing, and when its tenant was warned of that.
alter table webhooks add column failing_since bigint;
alter table webhooks add column warned_at bigint;
