-- Who is alive: a node that counts on no more has died, and what it had claimed is due again.
create table nodes (
    id bytea not null primary key check (length(id) = 16),
    beats bigint not null,
    started_at bigint not null
);

-- Versions of keys are counted in one row, which orders those who change keys at the same time.
insert into settings (name, value)
select 'keys_version', cast(coalesce(max(keys_version), 0) as text)
from tenants;
