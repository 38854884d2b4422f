create index webhooks_deleted on webhooks (deleted_at) where deleted_at is not null;

-- A table without row ids keeps a quarter of a page of each row and puts the rest on a page of its own, which made a
-- usual event cost one whole page more. With row ids, three events share one.
create table events_by_row (
    id blob not null primary key check (length(id) = 16),
    tenant_id blob not null,
    type text not null,
    -- One JSON value, byte for byte as it came.
    payload blob not null,
    occurred_at bigint not null,
    accepted_at bigint not null,
    deliveries bigint not null
);

insert into events_by_row (id, tenant_id, type, payload, occurred_at, accepted_at, deliveries)
select id, tenant_id, type, payload, occurred_at, accepted_at, deliveries
from events
order by id;

drop table events;
alter table events_by_row rename to events;
create index events_of_tenant on events (tenant_id, id);
