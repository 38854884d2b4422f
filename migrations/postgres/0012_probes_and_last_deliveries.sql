-- What is sent to one webhook alone.

-- The webhook that it was made for, to try it out or to ask it something; null for what concerns whoever is subscribed.
alter table events add column probed_webhook_id bytea;
