//! `/v1/admin/keys`.

use serde_json::json;

use super::{KID, WEBHOOK, attempt};
use crate::api::openapi::{Answer, Described, shapes};
use crate::api::problem::Problem;
use crate::api::v1::keys::{Performed, Plan, Rehearse, Revoke, Revoked, Ring, Rotate, Rotated};
use crate::domain::key_ring::CannotRotate;
use crate::engine::keys::MayNotSign;
use crate::engine::rotate::RotateError;

/// The `kid` of a second key.
const NEXT_KID: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbW";

pub(in crate::api::v1) fn list() -> Described {
    let example = json!({
        "jwks_uri": "https://signet.example.com/.well-known/jwks.json",
        "warnings": [],
        "data": [{
            "kid": KID, "algorithm": "ES256", "state": "active", "published_at": "2026-01-01T12:00:00Z",
            "activated_at": "2026-01-08T12:00:00Z",
        }],
    });
    Described::new(
        "listKeys",
        "List a tenant's keys",
        "Their public halves and states; private halves are shown to nobody.",
    )
    .answers::<Ring>(Answer::ok("The key ring."), example, &[])
}

pub(in crate::api::v1) fn plan() -> Described {
    let example =
        json!({"data": [{"at": "2026-04-08T12:00:00Z", "action": "promote", "kid": NEXT_KID, "retires_kid": KID}]});
    Described::new("planKeys", "What the keys will do next", "Dated, and nothing is changed by asking.")
        .answers::<Plan>(Answer::ok("The next steps."), example, &[])
}

pub(in crate::api::v1) fn rotate() -> Described {
    let words = "Has the standby sign from now on. Refused while some receivers cannot have heard of it yet; `force` overrules that.";
    Described::new("rotateKeys", "Rotate the signing key", words)
        .may_take::<Rotate>(json!({"force": false}))
        .answers::<Rotated>(Answer::ok("The key that signs now."), json!({"active_kid": NEXT_KID}), &[])
        .refuses([
            RotateError::CannotRotate(CannotRotate::NoStandby).into(),
            RotateError::CannotRotate(CannotRotate::NotEverywhere).into(),
            Problem::conflict(
                "too_soon",
                "the standby is published too shortly; it is safe from the date that is named here on",
            ),
        ])
}

pub(in crate::api::v1) fn rehearse() -> Described {
    let words = "Sends each receiver an operational event that the standby signed, and says who could not verify it, before it signs anything that matters.";
    let example = json!({
        "kid": NEXT_KID, "could_not_verify": 0,
        "data": [{"webhook_id": WEBHOOK, "verified": true, "attempt": attempt()}],
        "pagination": {"limit": 20, "has_more": false, "next_cursor": null},
    });
    Described::new("rehearseRotation", "Rehearse a rotation", words)
        .pages()
        .may_take::<Rehearse>(json!({"wrong_signature": false}))
        .answers::<Performed>(Answer::ok("What each receiver made of it."), example, &[])
        .refuses([Problem::conflict("no_standby", CannotRotate::NoStandby.to_string()), MayNotSign.into()])
}

pub(in crate::api::v1) fn revoke() -> Described {
    let words = "Takes a key that is lost or stolen out of the set at once, on every node. Receivers that keep a copy of the set may accept it until they fetch it anew, \
                 which an event tells them to.";
    Described::new("revokeKey", "Revoke a key", words)
        .path::<shapes::KeyId>("kid", "The key.")
        .may_take::<Revoke>(json!({"reason": "the laptop that held a backup was stolen"}))
        .answers::<Revoked>(
            Answer::ok("It is gone."),
            json!({"revoked_kid": KID, "active_kid": NEXT_KID, "webhooks_told": 3}),
            &[],
        )
        .refuses([
            Problem::not_found("key"),
            Problem::conflict("not_published", "the key is archived: nobody accepts it any more"),
        ])
}
