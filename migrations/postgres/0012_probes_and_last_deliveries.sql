-- What is sent to one webhook alone, and what is heard of each.

-- The webhook that it was made for, to try it out or to ask it something; null for what concerns whoever is subscribed.
alter table events add column probed_webhook_id bytea;

-- When a delivery was last acknowledged, to a minute. History is too long to look for it there.
alter table webhooks add column last_delivery_at bigint;

update webhooks
set last_delivery_at = (
    select max(d.ended_at)
    from (
        select ended_at, ending from deliveries where webhook_id = webhooks.id order by event_id desc limit 100
    ) d
    where d.ending = 'delivered'
);
