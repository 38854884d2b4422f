//! The tables of the README, and of a page beside it, are printed from the code; when one is stale, the failing test shows what it should be.

use std::time::Duration;

use signet::config::{self, Flags, SETTINGS};
use signet::domain::call::{Code, Failure};
use signet::domain::retry::RetryPolicy;
use signet::domain::time::Timestamp;
use signet::domain::webhook::{DisabledReason, Occurrence, Origin, WebhookState};

const README: &str = include_str!("../../README.md");
const ACTIONS: &str = include_str!("../../docs/actions.md");

#[test]
fn the_settings_table_is_the_one_in_the_code() {
    let row = |setting: &signet::config::Setting| {
        let default = if setting.default.is_empty() { String::new() } else { format!("`{}`", setting.default) };
        format!("| `{}` | {default} | {} |", setting.variable, setting.help)
    };

    let rows: Vec<String> = SETTINGS.iter().map(row).collect();

    assert_table("settings", "| setting | default | what it is |\n|---|---|---|", &rows);
}

#[test]
fn the_retry_table_is_the_schedule_in_the_code() {
    let mut rows = vec!["| 1 | at once | 0 s |".to_owned()];
    let mut total = Duration::ZERO;
    for (number, wait) in (2..).zip(RetryPolicy::standard().waits()) {
        total += *wait;
        let (wait, total) = (humantime::format_duration(*wait), humantime::format_duration(total));
        rows.push(format!("| {number} | {wait} | {total} |"));
    }

    assert_table("retries", "| attempt | after | since the event |\n|---|---|---|", &rows);
}

#[test]
fn the_life_of_a_webhook_is_the_one_in_the_code() {
    let start = Timestamp::from_micros(0);
    let hours = |count: u32| start.plus(Duration::from_hours(1) * count);
    let failing = |warned_at| WebhookState::Failing { since: start, warned_at };
    let disabled = WebhookState::Disabled { at: start, reason: DisabledReason::Requested };
    let pending = WebhookState::Pending { since: start };
    let states = [pending, WebhookState::Enabled, failing(None), disabled];
    let failed = Occurrence::Failed { since: start };
    let mut rows = Vec::new();
    for (words, origin, occurrence) in [
        ("shows that it wants deliveries", Origin::Registered, Occurrence::Activated),
        ("is asked to show it again, and does not", Origin::Registered, Occurrence::NotShown),
        ("fails for a minute", Origin::Registered, failed),
        ("acknowledges", Origin::Registered, Occurrence::Acknowledged),
        ("answers 410", Origin::Registered, Occurrence::Gone),
        ("answers 410, and is declared", Origin::Declared, Occurrence::Gone),
        ("gets another URL", Origin::Registered, Occurrence::Moved),
        ("does so where it must show it, or is switched on there", Origin::Registered, Occurrence::MustActivate),
        ("is switched off", Origin::Registered, Occurrence::SwitchedOff),
        ("is switched on", Origin::Registered, Occurrence::SwitchedOn),
    ] {
        let cells: Vec<String> = states.iter().map(|state| cell(*state, origin, occurrence, hours(1))).collect();
        rows.push(format!("| {words} | {} |", cells.join(" | ")));
    }
    let warned = failing(Some(hours(60)));
    for (words, origin, state, now) in [
        ("fails for 2.5 days", Origin::Registered, failing(None), hours(60)),
        ("fails for 2.5 days, and is declared", Origin::Declared, failing(None), hours(60)),
        ("fails for 5 days", Origin::Registered, warned, hours(120)),
        ("fails for 5 days, and is declared", Origin::Declared, warned, hours(120)),
    ] {
        rows.push(format!("| {words} | - | - | {} | - |", cell(state, origin, failed, now)));
    }
    let unproven = |warned_at| WebhookState::Unproven { since: start, warned_at };
    for (words, state, occurrence, now) in [
        ("does not show it again for 2.5 days", unproven(None), Occurrence::NotShown, hours(60)),
        ("acknowledges, and does not show it again", unproven(None), Occurrence::Acknowledged, hours(60)),
        ("does not show it again for 5 days", unproven(Some(hours(60))), Occurrence::NotShown, hours(120)),
    ] {
        rows.push(format!("| {words} | - | - | {} | - |", cell(state, Origin::Registered, occurrence, now)));
    }

    assert_table(
        "life",
        "| the receiver, or its webhook, | pending | active | failing | disabled |\n|---|---|---|---|---|",
        &rows,
    );
}

#[test]
fn what_a_receiver_s_refusals_are_told_as_is_the_table_in_the_code() {
    let row = |code: Code| {
        let told = Failure::said(code, "", None).told();
        format!("| `{}` | {} `{}` |", code.as_str(), told.status, told.code)
    };

    assert_table_in(ACTIONS, "codes", "| the receiver's code | status and code |\n|---|---|", &Code::ALL.map(row));
}

/// What becomes of a webhook in this state, and what is told of it.
fn cell(state: WebhookState, origin: Origin, occurrence: Occurrence, now: Timestamp) -> String {
    let (after, news) = state.after(origin, occurrence, now);
    let told = news.map(|news| format!(", `{}`", news.event_type())).unwrap_or_default();
    if after.as_str() == state.as_str() && news.is_none() {
        "-".to_owned()
    } else {
        format!("{}{told}", after.as_str())
    }
}

/// The lines between two fences after a sentence.
fn example(language: &str, after: &str) -> &'static str {
    let (_, rest) = README.split_once(after).expect("the README says so");
    let (_, rest) = rest.split_once(&format!("```{language}\n")).expect("an example follows");
    rest.split_once("```").expect("it ends").0
}

#[test]
fn the_examples_of_declared_webhooks_can_be_copied() {
    let file = example("toml", "can be declared, one table each");
    let shell = example("sh", "`[]` is none:");
    let text = shell.trim().strip_prefix("export SIGNET_WEBHOOKS='").and_then(|text| text.strip_suffix('\'')).unwrap();
    let variable = |name: &str| (name == "SIGNET_WEBHOOKS").then(|| text.to_owned());

    let by_file = config::parse(&Flags::new(), |_| None, "signet.toml", file).unwrap().webhooks;
    let by_environment = config::parse(&Flags::new(), variable, "signet.toml", file).unwrap().webhooks;

    assert_eq!((by_file.len(), by_environment.len()), (2, 2));
    assert!(by_file[1].secret.is_some() && by_environment[1].secret.is_none());
}

fn assert_table(name: &str, head: &str, rows: &[String]) {
    assert_table_in(README, name, head, rows);
}

fn assert_table_in(document: &str, name: &str, head: &str, rows: &[String]) {
    let expected = format!("{head}\n{}\n", rows.join("\n"));
    let start = format!("<!-- {name} -->\n");
    let (_, after) = document.split_once(&start).expect("the document marks the table");
    let (table, _) = after.split_once("<!-- end -->").expect("the document marks the table's end");
    assert_eq!(table, expected, "the table `{name}` should read:\n{expected}");
}
