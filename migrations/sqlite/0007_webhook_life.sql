-- What is heard of receivers.

-- Since when a receiver has acknowledged nothing, and when its tenant was warned of that.
alter table webhooks add column failing_since bigint;
alter table webhooks add column warned_at bigint;

-- How its receiver shows that it wants deliveries; null when it need not. Until it has, the webhook is disabled and pending.
alter table webhooks add column activation text check (activation in ('challenge', 'options'));
-- It shows it again and again; null when once is enough.
alter table webhooks add column challenge_every_seconds bigint check (challenge_every_seconds between 3600 and 31536000);
alter table webhooks add column challenge_due_at bigint;

create index webhooks_challenge_due on webhooks (challenge_due_at) where challenge_due_at is not null;
