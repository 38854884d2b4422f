-- Webhooks whose receivers collect their deliveries.

alter table webhooks add column delivery_method text not null default 'push' check (delivery_method in ('push', 'pull'));

-- What waits to be collected. It is apart from the queue, so that whoever sends never comes across it.
create table mailbox (
    webhook_id blob not null,
    event_id blob not null,
    entered_at bigint not null,
    -- From when on it is handed over: at once, or when the lease of whoever was given it has ended.
    available_at bigint not null,
    -- How often it was handed over, when that was last, and which key had signed it then.
    attempts bigint not null,
    handed_over_at bigint,
    kid text,
    primary key (webhook_id, event_id)
) without rowid;

-- With what receivers show who they are.
create table pull_keys (
    -- SHA-256 of the key; the key itself is kept nowhere.
    digest blob not null primary key check (length(digest) = 32),
    webhook_id blob not null references webhooks (id) on delete cascade,
    -- Null for the one that does not expire.
    expires_at bigint,
    created_at bigint not null
) without rowid;

create index pull_keys_of_webhook on pull_keys (webhook_id);
