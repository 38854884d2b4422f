-- Webhooks that the configuration declares: it alone changes them, and nothing that their receivers do disables them.
alter table webhooks add column is_declared bigint not null default 0 check (is_declared in (0, 1));

create index webhooks_declared on webhooks (id) where is_declared = 1 and deleted_at is null;
