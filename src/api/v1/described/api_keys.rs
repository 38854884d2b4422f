//! `/v1/admin/api-keys`.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{KEY, TENANT, page};
use crate::api::openapi::{Answer, Described, shapes};
use crate::api::problem::Problem;
use crate::api::v1::api_keys::{ApiKeyView, CreateApiKey};

pub(in crate::api::v1) fn list() -> Described {
    Described::new(
        "listApiKeys",
        "List API keys",
        "The latest first, those of one tenant for a key that is bound to it. The keys themselves are shown to nobody.",
    )
    .pages()
    .answers_page::<ApiKeyView>("A page of API keys.", page(api_key()), &[("revokeApiKey", "id", "/data/0/id")])
}

pub(in crate::api::v1) fn create() -> Described {
    let mut shown = api_key();
    shown["key"] = "sk_live_0123456789abcdefghijklmnopqrstuvwxyzAB".into();
    Described::new("createApiKey", "Make an API key", "Bound to the tenant that is meant, unless it shall be instance-wide. It is shown in this answer and never again.")
        .takes::<CreateApiKey>(json!({"label": "the backend", "scopes": ["events:write"]}))
        .answers::<ApiKeyView>(Answer::new(StatusCode::CREATED, "The API key."), shown, &[("revokeApiKey", "id", "/id")])
        .refuses([Problem::instance_wide_only(), Problem::invalid_one("/scopes", "is empty; name at least one")])
}

pub(in crate::api::v1) fn revoke() -> Described {
    Described::new("revokeApiKey", "Revoke an API key", "Every node refuses it within three seconds.")
        .path::<shapes::ApiKeyId>("id", "The API key's id.")
        .answers_nothing(StatusCode::NO_CONTENT, "It is revoked.")
        .refuses([Problem::not_found("API key")])
}

fn api_key() -> Value {
    json!({
        "id": KEY, "tenant_id": TENANT, "label": "the backend", "tail": "yzAB", "scopes": ["events:write"],
        "created_at": "2026-02-01T12:00:00Z",
    })
}
