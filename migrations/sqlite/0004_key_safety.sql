-- How a tenant's keys rotate; null is as the installation is configured.
alter table tenants add column key_profile text check (key_profile in ('standard', 'development'));
alter table tenants add column key_period_seconds bigint;
alter table tenants add column key_publish_ahead_seconds bigint;
alter table tenants add column key_grace_seconds bigint;
-- A change of algorithm that will happen.
alter table tenants add column next_algorithm text check (next_algorithm in ('ES256', 'ES384', 'RS256', 'PS256', 'EdDSA'));
alter table tenants add column cut_over_at bigint;

-- The version of the keys that a node serves, and the master keys that it holds.
alter table nodes add column jwks_version bigint not null default 0;
alter table nodes add column master_key_ids text not null default '';

-- Made anew because a key that never signed can be archived now, which a check forbade.
create table signing_keys_safe (
    tenant_id blob not null references tenants (id),
    kid text not null,
    algorithm text not null check (algorithm in ('ES256', 'ES384', 'RS256', 'PS256', 'EdDSA')),
    state text not null check (state in ('pending', 'active', 'retiring', 'archived', 'revoked')),
    public_jwk text not null,
    -- A JWE under a master key, or the pkcs11: URI of a key that never leaves its token; gone as soon as the key will
    -- never sign again.
    private_half text check ((private_half is not null) = (state in ('pending', 'active'))),
    -- Which publication of the tenant's set listed it first.
    publication bigint not null check (publication > 0),
    -- The version of the installation's keys that listed it first.
    version bigint not null,
    -- Since when it is in its state, in service time.
    service_time bigint not null,
    -- When a node was last lost that may go on serving a set without it, in service time.
    missed_service_time bigint,
    published_at bigint not null,
    activated_at bigint check (activated_at is not null or state in ('pending', 'archived', 'revoked')),
    retired_at bigint,
    archived_at bigint,
    revoked_at bigint check ((revoked_at is not null) = (state = 'revoked')),
    revoked_reason text,
    primary key (tenant_id, kid)
) without rowid;

insert into signing_keys_safe
    (tenant_id, kid, algorithm, state, public_jwk, private_half, publication, version, service_time,
     missed_service_time, published_at, activated_at, retired_at, archived_at, revoked_at, revoked_reason)
select tenant_id, kid, algorithm, state, public_jwk, private_jwe, publication, 0, 0,
       null, published_at, activated_at, retired_at, archived_at, revoked_at, revoked_reason
from signing_keys;

drop table signing_keys;
alter table signing_keys_safe rename to signing_keys;

-- One key signs, at every instant, whatever the algorithms.
create unique index signing_keys_active on signing_keys (tenant_id) where state = 'active';
