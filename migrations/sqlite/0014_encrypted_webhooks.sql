-- Whom the data of deliveries is encrypted to: a public JWK, or the URL where the receiver publishes a set of them.
alter table webhooks add column encryption_jwk text;
alter table webhooks add column encryption_jwks_url text check (encryption_jwks_url is null or encryption_jwk is null);
