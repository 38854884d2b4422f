-- Since when a receiver that must show again that it wants deliveries has not. What it acknowledges does not end that.
alter table webhooks add column unproven_since bigint;
