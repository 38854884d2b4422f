-- Webhooks whose receivers collect their deliveries.

alter table webhooks add column delivery_method text not null default 'push' check (delivery_method in ('push', 'pull'));

-- What waits to be collected. It is apart from the queue, so that whoever sends never comes across it.
create table mailbox (
    webhook_id bytea not null,
    event_id bytea not null,
    entered_at bigint not null,
    -- From when on it is handed over: at once, or when the lease of whoever was given it has ended.
    available_at bigint not null,
    -- How often it was handed over, when that was last, and which key had signed it then.
    attempts bigint not null,
    handed_over_at bigint,
    kid text,
    primary key (webhook_id, event_id)
);

-- As for the queue: rows come and go, and being handed over changes no column of an index.
alter table mailbox set (
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_cost_delay = 0
);

-- With what receivers show who they are.
create table pull_keys (
    -- SHA-256 of the key; the key itself is kept nowhere.
    digest bytea not null primary key check (length(digest) = 32),
    webhook_id bytea not null references webhooks (id) on delete cascade,
    -- Null for the one that does not expire.
    expires_at bigint,
    created_at bigint not null
);

create index pull_keys_of_webhook on pull_keys (webhook_id);
