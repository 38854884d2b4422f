create index webhooks_deleted on webhooks (deleted_at) where deleted_at is not null;
