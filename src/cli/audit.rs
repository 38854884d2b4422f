//! `signet keys audit`: shows what was done to keys and by whom, and whether that can be believed.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::Value;

use super::admin::{ROWS, whole_seconds};
use crate::domain::audit::{Entry, Head, INSTALLATION};
use crate::domain::id::TenantId;
use crate::engine::Engine;
use crate::engine::audit::Verdict;
use crate::store::tenants;

#[derive(Debug, Args)]
pub struct Audit {
    /// A head that was printed and noted earlier: it must still be in the log
    #[arg(long, value_name = "NUMBER:HASH", conflicts_with = "all")]
    expect: Option<String>,
    /// The log of what concerns no tenant, such as master keys
    #[arg(long, conflicts_with = "all")]
    installation: bool,
    /// Verify every log there is, and show their heads alone
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(engine: &Engine, tenant: Option<String>, options: Audit) -> Result<()> {
    if options.all {
        return verify_all(engine).await;
    }
    let noted = options.expect.as_deref().map(Head::parse).transpose().context("--expect")?;
    // The tenant is not looked up among those whose keys could be loaded: a damaged one is what is looked for.
    let tenant_id = match tenant {
        _ if options.installation => INSTALLATION,
        Some(id) => id.parse::<TenantId>()?,
        None => {
            let mut reader = engine.store.read().await?;
            tenants::default(reader.conn()).await?.context("there is no tenant yet; start the server once")?.id
        }
    };
    let mut audit = engine.audit(tenant_id, noted).await?;
    while let Some(page) = audit.next_page().await? {
        for entry in &page {
            say!("{}", line(entry));
        }
    }
    let verdict = audit.verdict().await?;
    if !verdict.faults.is_empty() {
        bail!("{}", complaint(tenant_id, &verdict));
    }
    if verdict.head == Head::NONE {
        bail!("{} has no log, and no keys; is there such a tenant?", name(tenant_id));
    }
    say!("the log of {} is whole, and every key that it tells of is as it says", name(tenant_id));
    if let Some(noted) = noted {
        say!("entry {} is the one that was noted", noted.number);
    }
    say!("note its head somewhere else, for `signet keys audit --expect`:");
    say!("{}", verdict.head);
    Ok(())
}

async fn verify_all(engine: &Engine) -> Result<()> {
    let mut broken = verify_one(engine, INSTALLATION).await?;
    let mut after = None;
    loop {
        let mut reader = engine.store.read().await?;
        let page = tenants::list(reader.conn(), after, ROWS).await?;
        drop(reader);
        for tenant in &page {
            broken += verify_one(engine, tenant.id).await?;
        }
        let Some(last) = page.last() else { break };
        after = Some(last.id);
    }
    if broken > 0 {
        bail!("{broken} logs cannot be trusted");
    }
    Ok(())
}

/// Verifies a log and shows its head; answers 1 when it is broken.
async fn verify_one(engine: &Engine, tenant_id: TenantId) -> Result<u32> {
    let verdict = engine.audit(tenant_id, None).await?.verdict().await?;
    if verdict.faults.is_empty() {
        say!("{:<30}  {}", name(tenant_id), verdict.head);
        return Ok(0);
    }
    say!("{}", complaint(tenant_id, &verdict));
    Ok(1)
}

fn name(tenant_id: TenantId) -> String {
    if tenant_id == INSTALLATION { "the installation".to_owned() } else { tenant_id.to_string() }
}

fn complaint(tenant_id: TenantId, verdict: &Verdict) -> String {
    let faults: Vec<String> = verdict.faults.iter().map(|fault| shown(&fault.to_string())).collect();
    format!(
        "the log of {} is whole up to entry {}, but it or its keys were tampered with:\n- {}\n\
         Keep a copy of the database as it is, and compare it with a backup",
        name(tenant_id),
        verdict.head.number,
        faults.join("\n- ")
    )
}

fn line(entry: &Entry) -> String {
    let Entry { number, at, actor, action, subject, .. } = entry;
    let line = format!("{number:>5}  {:<20}  {actor:<30}  {action:<18}  {subject:<43}", whole_seconds(*at).to_string());
    shown(format!("{line}  {}", remark(entry)).trim_end())
}

/// What the detail says beyond the new state of the subject, which the action says already.
fn remark(entry: &Entry) -> String {
    let Ok(Value::Object(members)) = serde_json::from_str(&entry.detail) else { return entry.detail.clone() };
    let mut words = Vec::new();
    for (name, value) in &members {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match value {
            Value::Object(states) if name == "states" => {
                let is_told = |kid: &String| *kid == entry.subject && entry.action != "key.found";
                let others = states.iter().filter(|(kid, _)| !is_told(kid));
                words.extend(others.map(|(kid, state)| format!("{kid} is {}", text(state))));
            }
            value if value == "" => {}
            value => words.push(format!("{name}: {}", text(value))),
        }
    }
    words.join(", ")
}

/// A terminal obeys control characters, and these words may come from somebody who could write to the database.
fn shown(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { char::REPLACEMENT_CHARACTER } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    fn entry(action: &str, detail: &str) -> Entry {
        Entry {
            number: 3,
            at: Timestamp::from_micros(1_772_366_400_000_001),
            actor: "command-line".to_owned(),
            action: action.to_owned(),
            subject: "b".to_owned(),
            detail: detail.to_owned(),
            hash: [0; 32],
        }
    }

    #[test]
    fn a_line_says_when_who_what_to_which_key_and_what_became_of_others() {
        let line = line(&entry("key.promoted", r#"{"states":{"a":"retiring","b":"active"}}"#));

        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words, ["3", "2026-03-01T12:00:00Z", "command-line", "key.promoted", "b", "a", "is", "retiring"]);
    }

    #[test]
    fn words_from_the_database_do_not_steer_the_terminal() {
        let line = line(&entry("key.revoked\u{1b}[2J", "\u{9b}2J not even JSON"));

        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}
