//! `/v1/admin/audit-log`.

use serde_json::json;
use utoipa::openapi::schema::Schema;

use super::{KEY, WEBHOOK, page};
use crate::api::openapi::{Described, shapes};
use crate::api::problem::Problem;
use crate::api::v1::audit_log::EntryView;

pub(in crate::api::v1) fn list() -> Described {
    let example = json!({
        "number": 7, "at": "2026-03-01T12:00:00Z", "actor": KEY, "action": "webhook.created", "subject": WEBHOOK,
        "detail": {"url": "https://example.com/webhooks"},
        "head": "7:5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
    });
    let logs = shapes::text().enum_values(Some(["tenant", "installation"]));
    Described::new(
        "listAuditLog",
        "Who did what",
        "The latest first: a chain in which each entry's head covers all before it. Whether it can be believed is found out by `signet keys audit`.",
    )
    .pages()
    .query("log", "The tenant's, or that of the installation for what concerns no tenant.", Schema::from(logs.build()))
    .answers_page::<EntryView>("A page of entries.", page(example), &[])
    .refuses([Problem::instance_wide_only()])
}
