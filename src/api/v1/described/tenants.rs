//! `/v1/admin/tenants`.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{TENANT, page};
use crate::api::openapi::{Answer, Described, shapes};
use crate::api::problem::Problem;
use crate::api::v1::tenants::{ChangeTenant, CreateTenant, TenantView};

pub(in crate::api::v1) fn list() -> Described {
    guarded(Described::new("listTenants", "List tenants", "The earliest first.")).pages().answers_page::<TenantView>(
        "A page of tenants.",
        page(tenant()),
        &[("showTenant", "id", "/data/0/id")],
    )
}

pub(in crate::api::v1) fn create() -> Described {
    let words = "A platform's customer or environment, with keys, an issuer and webhooks of its own.";
    guarded(Described::new("createTenant", "Make a tenant", words))
        .takes::<CreateTenant>(json!({"name": "Acme", "algorithm": "ES256"}))
        .answers::<TenantView>(
            Answer::new(StatusCode::CREATED, "The tenant."),
            tenant(),
            &[("showTenant", "id", "/id"), ("changeTenant", "id", "/id")],
        )
        .refuses([Problem::invalid_one("/algorithm", "is one of: ES256, ES384, RS256, PS256, EdDSA")])
}

pub(in crate::api::v1) fn show() -> Described {
    guarded(Described::new("showTenant", "Show a tenant", "As it is on this node."))
        .path::<shapes::TenantId>("id", "The tenant.")
        .answers::<TenantView>(Answer::ok("The tenant."), tenant(), &[])
        .refuses([Problem::no_tenant()])
}

pub(in crate::api::v1) fn change() -> Described {
    let words = "What is left out stays. `cut_over` changes the algorithm on a date, or as soon as no receiver is hurt; null calls it off. Null takes a key policy of its own \
                 away.";
    guarded(Described::new("changeTenant", "Change a tenant", words))
        .path::<shapes::TenantId>("id", "The tenant.")
        .takes::<ChangeTenant>(json!({"catalogue": {"closed": true}}))
        .answers::<TenantView>(Answer::ok("The tenant as it is now."), tenant(), &[])
        .refuses([Problem::no_tenant(), Problem::invalid_one("/token_ttl", "a token lives 60 to 3600 seconds")])
}

fn guarded(described: Described) -> Described {
    described.refuses([Problem::instance_wide_only()])
}

fn tenant() -> Value {
    let issuer = format!("https://signet.example.com/{TENANT}");
    json!({
        "id": TENANT, "name": "Acme", "jwks_uri": format!("{issuer}/.well-known/jwks.json"), "issuer": issuer, "algorithm": "ES256",
        "cut_over": null, "token_subject": "signet webhooks", "token_ttl": 300, "default": false,
        "dialect": {"header_prefix": "Signet", "signature_scheme": "sha256", "event_base": format!("{issuer}/events/")},
        "key_policy": {
            "inherited": true, "profile": "standard", "period_seconds": 7_776_000, "publish_ahead_seconds": 604_800,
            "grace_seconds": 604_800,
        },
        "catalogue": {"closed": false, "enforce_schema": false}, "created_at": "2026-02-01T12:00:00Z",
    })
}
