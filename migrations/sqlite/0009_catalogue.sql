-- How strictly a tenant's catalogue is kept.
alter table tenants add column catalogue_is_closed bigint not null default 0 check (catalogue_is_closed in (0, 1));
alter table tenants add column catalogue_enforces_schema bigint not null default 0
    check (catalogue_enforces_schema in (0, 1));
-- Grows with every change of the tenant's event types, so that nodes notice.
alter table tenants add column catalogue_version bigint not null default 0;

-- Event types that somebody described. Whether others may be published is for the tenant to say.
create table event_types (
    tenant_id blob not null references tenants (id),
    name text not null,
    -- Its place in lists.
    id blob not null check (length(id) = 16),
    description text not null,
    -- Whether it stands for the types beneath it.
    is_group bigint not null check (is_group in (0, 1)),
    -- JSON, byte for byte as it came.
    schema blob,
    sample blob,
    preset text check (preset in ('hanko', 'hellojohn')),
    version bigint not null,
    created_at bigint not null,
    updated_at bigint not null,
    primary key (tenant_id, name)
) without rowid;

create unique index event_types_in_order on event_types (tenant_id, id);
