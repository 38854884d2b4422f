//! `/v1/hooks`, `/v1/admin/hooks` and `/v1/admin/config`.

use serde_json::{Value, json};
use utoipa::openapi::schema::Schema;

use super::{SECRET, page};
use crate::api::openapi::{Answer, Described, shapes};
use crate::api::problem::Problem;
use crate::api::v1::config::{ChangeConfig, ConfigView};
use crate::api::v1::hooks::{AnswerView, ExecutionView, RotateHookSecret, RotatedView, no_kind};
use crate::domain::hook::{HookKind, HookOutcome};

const EXECUTION: &str = "hk_01J9ZW3K8Q5T7B2M4N6P8R0S1V";

pub(in crate::api::v1) fn ask() -> Described {
    let words = "Puts the body, byte for byte, to the tenant's hook of this kind, once and within 3 s, and answers what counts as said: what \
                 the receiver answered or, when there is no answer that counts, what the hook has for failures. Without a hook, `allow` is true.";
    Described::new("askHook", "Ask a hook", words)
        .path::<shapes::HookKind>("kind", "Which hook.")
        .takes::<shapes::HookPayload>(json!({"email": "alice@example.com", "provider": "email"}))
        .answers::<AnswerView>(
            Answer::ok("What counts as said."),
            json!({
                "id": EXECUTION, "allow": false, "reason": "Only @acme.com email addresses are allowed.",
                "outcome": "blocked", "duration_ms": 12.345,
            }),
            &[],
        )
        .refuses([no_kind(), Problem::too_many_questions()])
}

pub(in crate::api::v1) fn show_config() -> Described {
    Described::new("showConfig", "Show a tenant's configuration", "Its hooks, one of each kind at most.")
        .answers::<ConfigView>(Answer::ok("The configuration."), json!({"hooks": hooks()}), &[])
}

pub(in crate::api::v1) fn change_config() -> Described {
    let words = "A merge patch (RFC 7396): what is not named stays, and null takes a hook away. A hook is a URL, or an object with `url`, \
                 `on_failure` and `signed_answer`. With the first hook, the secret is made that signs all questions, and shown this once.";
    Described::new("changeConfig", "Change a tenant's configuration", words)
        .takes::<ChangeConfig>(json!({"hooks": {
            "pre_sign_up": {"url": "https://example.com/hooks/pre-sign-up", "on_failure": "block"},
            "jwt": "https://example.com/hooks/jwt", "post_sign_in": null,
        }}))
        .answers::<ConfigView>(
            Answer::ok("The configuration as it is now."),
            json!({"hooks": hooks(), "signing_secret": SECRET}),
            &[],
        )
        .refuses([Problem::invalid_one("/hooks/jwt", "must begin with https://")])
}

pub(in crate::api::v1) fn rotate_secret() -> Described {
    let words = "Old and new both sign until the overlap ends, a day unless it is said otherwise. `{Prefix}-Hook-Signature` has room for one \
                 signature: a receiver that answers 401 to the new one is asked once more with the one before.";
    Described::new("rotateHookSecret", "Rotate the secret that signs questions", words)
        .may_take::<RotateHookSecret>(json!({"overlap_seconds": 3_600}))
        .answers::<RotatedView>(
            Answer::ok("The new secret, shown this once."),
            json!({"signing_secret": SECRET, "previous_expires_at": "2026-03-02T12:00:00Z"}),
            &[],
        )
        .refuses([Problem::conflict("too_many_secrets", "8 secrets sign already; wait until the overlap of one ends")])
}

pub(in crate::api::v1) fn log() -> Described {
    let example = json!({
        "id": EXECUTION, "hook": "pre_sign_up", "outcome": "error", "allow": true, "status_code": 500, "failure": "status",
        "duration_ms": 12.345, "created_at": "2026-03-01T12:00:00Z",
    });
    let kinds = shapes::text().enum_values(Some(HookKind::ALL.map(HookKind::as_str)));
    let outcomes = shapes::text().enum_values(Some(HookOutcome::LOGGED.map(HookOutcome::as_str)));
    let words = "The latest first, without what was asked and what claims were answered: both are about people. What was asked of nobody is not in it.";
    Described::new("listHookLog", "What became of questions to hooks", words)
        .pages()
        .query("hook", "Questions to this hook alone.", Schema::from(kinds.build()))
        .query("outcome", "Those that ended so.", Schema::from(outcomes.build()))
        .query("from", "Those from this instant on.", instant())
        .query("to", "Those before this instant.", instant())
        .answers_page::<ExecutionView>("A page of executions.", page(example), &[])
}

fn instant() -> utoipa::openapi::RefOr<Schema> {
    <shapes::Timestamp as utoipa::PartialSchema>::schema()
}

fn hooks() -> Value {
    json!({
        "pre_sign_up": {"url": "https://example.com/hooks/pre-sign-up", "on_failure": "block", "signed_answer": null},
        "post_sign_up": null, "pre_sign_in": null, "post_sign_in": null, "pre_password_reset": null,
        "jwt": {"url": "https://example.com/hooks/jwt", "on_failure": "allow", "signed_answer": null},
    })
}
