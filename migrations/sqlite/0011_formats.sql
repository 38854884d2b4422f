-- How deliveries are written, and how they speak where vendors differ.

-- The check of a column that is there cannot be changed on SQLite, so another column takes its place, here and there.
alter table webhooks add column written_as text not null default 'token'
    check (written_as in ('token', 'signed', 'standard', 'action', 'set'));
update webhooks set written_as = format;
alter table webhooks drop column format;
alter table webhooks rename column written_as to format;

-- What the header of its tokens says that they are.
alter table webhooks add column token_type text not null default 'JWT' check (token_type in ('JWT', 'webhook+jwt'));
-- The public half of its key pair, shown to whoever asks; null when it has none. The private half is in secret_jwe.
alter table webhooks add column public_key text;

alter table tenants add column header_prefix text not null default 'Signet';
alter table tenants add column signature_scheme text not null default 'sha256'
    check (signature_scheme in ('sha256', 'v1', 't,v1'));
-- What the URIs of its event types begin with; null for its issuer's.
alter table tenants add column event_base text;
