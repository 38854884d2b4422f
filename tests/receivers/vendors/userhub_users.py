"""A receiver that keeps users, with UserHub's SDK: every handler that there is, in the frame of the Flask sample of UserHub's guide.

What `?fault=` in its URL says happens to a request on its way to the SDK, so that each of the SDK's own refusals can be seen;
the user's id says what its handler raises."""

import os
import time

from flask import Flask, Response, request
from userhub_sdk import connectionsv1
from userhub_sdk.types import Code, UserHubError
from userhub_sdk.webhook import Webhook, WebhookUserNotFound

SIGNING_SECRET = os.environ["SIGNING_SECRET"]

users = {}


def list_users(asked):
    start = int(asked.page_token or 0)
    page = list(users.values())[start : start + asked.page_size]
    following = start + asked.page_size
    return connectionsv1.ListCustomUsersResponse(
        users=page, next_page_token=str(following) if following < len(users) else None
    )


def create_user(user):
    raise_for(user.email or "")
    if any(known.email == user.email for known in users.values()):
        raise UserHubError("email is taken", api_code=Code.ALREADY_EXISTS)
    user.id = user.id or f"usr_{len(users) + 1}"
    users[user.id] = user
    return user


def find(user_id):
    raise_for(user_id)
    if user_id not in users:
        raise WebhookUserNotFound()
    return users[user_id]


def update_user(user):
    known = find(user.id)
    for name, value in vars(user).items():
        if value is not None:
            setattr(known, name, value)
    return known


def delete_user(asked):
    del users[find(asked.id).id]


def raise_for(name):
    if name == "unforeseen":
        raise RuntimeError("the handler's own secret")
    if name.startswith("raise "):
        raise UserHubError("raised by the handler", api_code=Code(name.removeprefix("raise ")))


def keeping_users(secret):
    webhook = Webhook(secret)
    webhook.on_list_users(list_users)
    webhook.on_create_user(create_user)
    webhook.on_get_user(lambda asked: find(asked.id))
    webhook.on_update_user(update_user)
    webhook.on_delete_user(delete_user)
    return webhook


def changed(headers, **others):
    """Headers by their names after `UserHub-`; none takes one away."""
    changes = {f"userhub-{name}": value for name, value in others.items()}
    kept = {name.lower(): value for name, value in headers.items()} | changes
    return {name: value for name, value in kept.items() if value is not None}


def at(offset_s):
    return lambda headers, body: (changed(headers, timestamp=str(int(time.time()) + offset_s)), body)


FAULTS = {
    "no headers": lambda headers, body: ({}, body),
    "no body": lambda headers, body: (headers, b""),
    "no action": lambda headers, body: (changed(headers, action=None), body),
    "no timestamp": lambda headers, body: (changed(headers, timestamp=None), body),
    "no signature": lambda headers, body: (changed(headers, signature=None), body),
    "blank signature": lambda headers, body: (changed(headers, signature=" , "), body),
    "no number": lambda headers, body: (changed(headers, timestamp="x"), body),
    "301 s old": at(-301),
    "302 s ahead": at(302),
    "altered": lambda headers, body: (headers, body + b" "),
}

app = Flask("userhub-users")
webhooks = {
    "": keeping_users(SIGNING_SECRET),
    "no secret": keeping_users(""),
    "another secret": keeping_users("another-secret-of-theirs"),
    "no handlers": Webhook(SIGNING_SECRET),
}


@app.post("/webhook")
def handle_webhook():
    fault = request.args.get("fault", "")
    headers, body = dict(request.headers), request.get_data()
    if fault in FAULTS:
        headers, body = FAULTS[fault](headers, body)
    answer = webhooks.get(fault, webhooks[""])(headers=headers, body=body)
    return Response(answer.body, status=answer.status_code, headers=answer.headers)
