-- What was done to keys, and by whom. Rows are added and never changed: each holds a digest of itself and of the one
-- before it, so that a change shows.
create table audit_log (
    -- Zeroes stand for the installation, which is no tenant; therefore nothing is referenced.
    tenant_id blob not null check (length(tenant_id) = 16),
    number bigint not null check (number > 0),
    at bigint not null,
    actor text not null,
    action text not null,
    subject text not null,
    -- JSON whose bytes are part of the digest: they stay as they were written.
    detail text not null,
    hash blob not null check (length(hash) = 32),
    primary key (tenant_id, number)
) without rowid;
