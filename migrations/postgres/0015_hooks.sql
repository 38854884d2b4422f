-- Authentication hooks: whom a tenant wants asked, what signs the questions, and what became of each.
create table hooks (
    tenant_id bytea not null references tenants (id),
    kind text not null
        check (kind in ('pre_sign_up', 'post_sign_up', 'pre_sign_in', 'post_sign_in', 'pre_password_reset', 'jwt')),
    url text not null,
    on_failure text not null check (on_failure in ('allow', 'block')),
    -- Public JWKs, a JSON list; null where answers need no signature.
    answer_keys text,
    primary key (tenant_id, kind)
);

create table hook_secrets (
    tenant_id bytea not null primary key references tenants (id),
    -- The secrets that sign, as a JWE under a master key.
    secret_jwe text not null
);

-- Neither what was asked nor the claims that were answered: both are about people.
create table hook_log (
    id bytea not null primary key check (length(id) = 16),
    tenant_id bytea not null,
    kind text not null,
    outcome text not null check (outcome in ('allowed', 'blocked', 'amended', 'timeout', 'error')),
    allow bigint not null check (allow in (0, 1)),
    reason text,
    status_code bigint,
    failure text,
    took_for bigint not null,
    -- Names with spaces in between.
    ignored_claims text not null,
    created_at bigint not null
);

create index hook_log_latest on hook_log (tenant_id, id);
create index hook_log_outcomes on hook_log (tenant_id, kind, outcome, id);
