-- What deliveries show receivers that want to know who comes: a chain as PEM, whom it names, and until when. The private key
-- is in secret_jwe.
alter table webhooks add column client_chain text;
alter table webhooks add column client_subject text;
alter table webhooks add column client_expires_at bigint;
