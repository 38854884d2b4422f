//! What every question to a hook reads and every page of their log, and how they are forgotten.

use signet::domain::hook::{Hook, HookKind, HookOutcome, OnFailure};
use signet::domain::id::ExecutionId;
use signet::domain::webhook::WebhookUrl;
use signet::store::hook_log::{self, Filter};
use signet::store::hooks;

use super::super::{Database, second, tenant_id};
use super::{is_scan, is_search};

#[tokio::test]
async fn hooks_and_what_signs_their_questions_are_found_by_index() {
    let url = WebhookUrl::from_record("https://example.com/").unwrap();
    let hook = Hook { url, on_failure: OnFailure::Allow, answer_keys: None };
    let mut database = Database::with_tenant().await;
    hooks::put_secret(database.conn(), tenant_id(1), "jwe").await.unwrap();

    database
        .check(async |database| {
            hooks::of_tenant(database.conn(), tenant_id(1)).await.unwrap();
            hooks::secret(database.conn(), tenant_id(1)).await.unwrap();
            hooks::put(database.conn(), tenant_id(1), HookKind::Jwt, &hook).await.unwrap();
            hooks::remove(database.conn(), tenant_id(1), HookKind::Jwt).await.unwrap();
            let secrets = hooks::secrets(database.conn(), None, 9).await.unwrap();
            hooks::exchange_secret(database.conn(), &secrets[0], "again").await.unwrap();
        })
        .await;
}

#[tokio::test]
async fn the_log_of_hooks_is_read_by_index_and_already_in_order_whatever_is_wanted_of_it() {
    let from = Some(ExecutionId::first_at(second(0)));
    let wanted = [
        (None, None),
        (Some(HookKind::Jwt), None),
        (None, Some(HookOutcome::Error)),
        (Some(HookKind::Jwt), Some(HookOutcome::Error)),
    ];
    for (kind, outcome) in wanted {
        let plans = Database::open()
            .await
            .plans(async |database| {
                let filter = Filter { kind, outcome, before: None, from };
                hook_log::list(database.conn(), tenant_id(1), &filter, 9).await.unwrap();
            })
            .await;

        let is_costly = |step: &String| is_scan(step) || step.contains("TEMP B-TREE") || step.contains("Sort");
        assert!(plans.iter().any(|step| is_search(step)) && !plans.iter().any(is_costly), "{plans:#?}");
    }
}

#[tokio::test]
async fn executions_are_forgotten_by_index() {
    Database::open()
        .await
        .check(async |database| {
            hook_log::forget(database.conn(), second(0), 9).await.unwrap();
        })
        .await;
}
