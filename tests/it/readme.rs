//! The README's tables are printed from the code; when one is stale, the failing test shows what it should be.

use std::time::Duration;

use signet::config::SETTINGS;
use signet::domain::retry::RetryPolicy;

const README: &str = include_str!("../../README.md");

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

fn assert_table(name: &str, head: &str, rows: &[String]) {
    let expected = format!("{head}\n{}\n", rows.join("\n"));
    let start = format!("<!-- {name} -->\n");
    let (_, after) = README.split_once(&start).expect("the README marks the table");
    let (table, _) = after.split_once("<!-- end -->").expect("the README marks the table's end");
    assert_eq!(table, expected, "the README's table `{name}` should read:\n{expected}");
}
