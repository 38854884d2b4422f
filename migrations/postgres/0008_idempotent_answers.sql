-- What requests were answered that came under an idempotency key, apart from those that publish events.
create table idempotent_answers (
    tenant_id bytea not null,
    -- SHA-256 of method, path and key: none of them has a bound that suits an index.
    name bytea not null check (length(name) = 32),
    -- SHA-256 of what was asked.
    fingerprint bytea not null check (length(fingerprint) = 32),
    -- Who answers, or has answered.
    claim_id bytea not null check (length(claim_id) = 16),
    -- Until then nobody else answers; null once it is answered.
    claimed_until bigint,
    status bigint check ((status is null) = (claimed_until is not null)),
    -- The body as a JWE under a master key, because it may hold a secret that is shown once.
    body_jwe text check ((body_jwe is null) = (status is null)),
    created_at bigint not null,
    primary key (tenant_id, name)
);

create unique index idempotent_answers_claim on idempotent_answers (claim_id);
create index idempotent_answers_age on idempotent_answers (created_at);
