-- Ids are sixteen bytes, instants are microseconds since 1970, states are words guarded by checks. Nulls mean "not yet".
-- Twin of the SQLite file of the same name: the same tables and columns in the same order. Words that are compared are
-- collated "C", because nobody sorts them for people.
--
-- Where a table has several indexes, its primary key is made last: of two that seem to cost the same, as all do on a table
-- that was empty when it was counted, PostgreSQL takes the younger one, and that must be the one that finds a single row.

-- What the whole installation agrees on: one row per name.
create table settings (
    name text collate "C" not null primary key,
    value text not null
);

create table tenants (
    id bytea not null primary key check (length(id) = 16),
    name text not null,
    is_default bigint not null check (is_default in (0, 1)),
    algorithm text not null check (algorithm in ('ES256', 'ES384', 'RS256', 'PS256', 'EdDSA')),
    token_subject text not null,
    token_ttl_seconds bigint not null check (token_ttl_seconds between 60 and 3600),
    -- Grows with every change of the tenant or its keys, so that nodes notice what they must load again.
    keys_version bigint not null,
    created_at bigint not null
);

create unique index tenants_default on tenants (is_default) where is_default = 1;
create index tenants_keys_version on tenants (keys_version);

create table api_keys (
    id bytea not null primary key check (length(id) = 16),
    -- Null reaches every tenant.
    tenant_id bytea references tenants (id),
    -- SHA-256 of the key; the key itself is kept nowhere.
    digest bytea not null unique check (length(digest) = 32),
    label text not null,
    tail text not null,
    scopes text not null,
    created_at bigint not null,
    revoked_at bigint
);

create table signing_keys (
    tenant_id bytea not null references tenants (id),
    kid text collate "C" not null,
    algorithm text not null check (algorithm in ('ES256', 'ES384', 'RS256', 'PS256', 'EdDSA')),
    state text not null check (state in ('pending', 'active', 'retiring', 'archived', 'revoked')),
    public_jwk text not null,
    -- A JWE under the master key; gone as soon as the key will never sign again.
    private_jwe text check ((private_jwe is not null) = (state in ('pending', 'active'))),
    -- Which publication of the tenant's set listed it first.
    publication bigint not null check (publication > 0),
    published_at bigint not null,
    activated_at bigint check (activated_at is not null or state in ('pending', 'revoked')),
    retired_at bigint,
    archived_at bigint,
    revoked_at bigint check ((revoked_at is not null) = (state = 'revoked')),
    revoked_reason text,
    primary key (tenant_id, kid)
);

-- One key signs, at every instant.
create unique index signing_keys_active on signing_keys (tenant_id, algorithm) where state = 'active';

create table webhooks (
    id bytea not null check (length(id) = 16),
    tenant_id bytea not null references tenants (id),
    url text not null,
    -- What it was subscribed to, in the order of the request, joined by spaces; `subscriptions` is the index of it.
    events text not null,
    description text not null,
    format text not null check (format in ('token')),
    audience text,
    -- The signing secret as a JWE under the master key.
    secret_jwe text not null,
    disabled_at bigint,
    disabled_reason text check ((disabled_reason is not null) = (disabled_at is not null)),
    -- A deleted webhook is kept for as long as its deliveries are.
    deleted_at bigint,
    version bigint not null,
    created_at bigint not null,
    updated_at bigint not null
);

create index webhooks_of_tenant on webhooks (tenant_id, id);
alter table webhooks add primary key (id);

create table subscriptions (
    tenant_id bytea not null,
    -- An event type that stands for all beneath it, or '*'.
    name text collate "C" not null,
    webhook_id bytea not null references webhooks (id) on delete cascade,
    primary key (tenant_id, name, webhook_id)
);

create index subscriptions_of_webhook on subscriptions (webhook_id);

-- History is cut by the days of its events, whose ids begin with their instant, so that a day that is to be forgotten is
-- dropped whole and leaves no holes. What belongs to no day that was foreseen lies in the rest.
create table events (
    id bytea not null check (length(id) = 16),
    tenant_id bytea not null,
    type text not null,
    -- One JSON value, byte for byte as it came.
    payload bytea not null,
    occurred_at bigint not null,
    accepted_at bigint not null,
    deliveries bigint not null
) partition by range (id);

create table events_rest partition of events default;

create index events_of_tenant on events (tenant_id, id);
alter table events add primary key (id);

-- Only what is still to be delivered. Settling deletes the row and writes history.
create table queue (
    webhook_id bytea not null,
    event_id bytea not null,
    -- When it may be claimed; a claim moves it to the end of its lease.
    due_at bigint not null,
    -- How often it was claimed: the fencing token of whoever claimed it last.
    claims bigint not null,
    -- How often it was tried and the outcome written down. A claim whose holder died counts for nothing.
    attempts bigint not null,
    -- Who holds the claim; null when nobody does.
    node_id bytea
);

create index queue_due on queue (webhook_id, due_at);
alter table queue add primary key (webhook_id, event_id);

-- Rows come and go within seconds: what they leave behind is swept at once, and not only after a share of the table.
alter table queue set (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_cost_delay = 0
);

create table deliveries (
    webhook_id bytea not null,
    event_id bytea not null,
    ending text not null check (ending in ('delivered', 'exhausted', 'cancelled')),
    attempts bigint not null,
    ended_at bigint not null,
    primary key (webhook_id, event_id)
) partition by range (event_id);

create table deliveries_rest partition of deliveries default;

create table attempts (
    webhook_id bytea not null,
    event_id bytea not null,
    number bigint not null,
    started_at bigint not null,
    took_for bigint not null,
    status_code bigint,
    failure text check ((failure is null) = (status_code is not null)),
    excerpt text not null,
    kid text,
    primary key (webhook_id, event_id, number)
) partition by range (event_id);

create table attempts_rest partition of attempts default;

create table idempotency_keys (
    tenant_id bytea not null,
    key text collate "C" not null,
    -- SHA-256 of what was asked.
    fingerprint bytea not null check (length(fingerprint) = 32),
    -- The ids of the events it made, one after the other.
    event_ids bytea not null,
    created_at bigint not null,
    primary key (tenant_id, key)
);

create index idempotency_keys_age on idempotency_keys (created_at);
