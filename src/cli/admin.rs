//! Administration without HTTP: the same use cases, on the same database, from the command line.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;

use super::audit::{self, Audit};
use crate::domain::access::{self, Scope};
use crate::domain::audit::Actor;
use crate::domain::delivery::Outcome;
use crate::domain::id::{ApiKeyId, TenantId};
use crate::domain::key_ring::{KeyState, Kid, Step};
use crate::domain::time::Timestamp;
use crate::engine::Engine;
use crate::engine::access::NewApiKey;
use crate::engine::rehearse::Rehearsal;
use crate::engine::rotate::Haste;
use crate::store::api_keys;

/// How many steps a plan prints.
const PLAN_ENTRIES: usize = 8;
/// How many rows are read at a time.
pub(super) const ROWS: u32 = 500;

#[derive(Debug, Subcommand)]
pub enum KeysAction {
    /// Every key the tenant has or had
    List,
    /// Let the standby key sign from now on
    Rotate {
        /// Also when some receivers cannot have heard of the standby yet
        #[arg(long)]
        force: bool,
    },
    /// Take a key out of the JWKS at once
    Revoke {
        /// A kid may begin with a dash
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// Why, for the record
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// What will happen by itself, and when; changes nothing
    Plan,
    /// Send each webhook a test delivery that the standby signs, and say who could not verify it
    Rehearse {
        /// Also send each a delivery whose signatures are wrong, and say who accepted it
        #[arg(long)]
        wrong_signature: bool,
    },
    /// What was done to keys and by whom, and whether the record of it was tampered with; changes nothing
    Audit(Audit),
}

#[derive(Debug, Subcommand)]
pub enum ApiKeyAction {
    /// Make an API key and print it, once
    New {
        /// Bind it to this tenant; without one it reaches every tenant
        #[arg(long, value_name = "TENANT_ID")]
        tenant: Option<String>,
        /// What it may do, such as events:write or admin; may be repeated
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<String>,
        /// What it is for
        #[arg(long, default_value = "")]
        label: String,
    },
    /// Every API key there is or was
    List,
    /// Refuse an API key from now on
    Revoke { id: String },
}

pub async fn keys(engine: &Arc<Engine>, tenant: Option<String>, action: KeysAction) -> Result<()> {
    let default = || engine.default_keys().context("there is no tenant yet; start the server once");
    let tenant_id = || match &tenant {
        Some(id) => Ok(id.parse::<TenantId>()?),
        None => default().map(|keys| keys.tenant.id),
    };
    match action {
        KeysAction::Audit(options) => audit::run(engine, tenant, options).await,
        KeysAction::List => list_keys(engine, tenant_id()?),
        KeysAction::Plan => plan(engine, tenant_id()?).await,
        KeysAction::Rehearse { wrong_signature } => rehearse(engine, tenant_id()?, wrong_signature).await,
        KeysAction::Rotate { force } => {
            let haste = if force { Haste::Forced } else { Haste::WhenSafe };
            let kid = engine.rotate(Actor::CommandLine, tenant_id()?, haste).await?;
            say!("{kid} signs from now on; a running server follows within seconds");
            Ok(())
        }
        KeysAction::Revoke { kid, reason } => {
            let kid = Kid::from_text(kid);
            let revoked = engine.revoke_key(Actor::CommandLine, tenant_id()?, &kid, &reason).await?;
            say!("{kid} is revoked and no longer published; a running server follows within seconds");
            if let Some(successor) = &revoked.successor {
                say!("{successor} signs in its stead");
            }
            say!("{} webhooks are told by an event that only the new set verifies", revoked.told);
            Ok(())
        }
    }
}

fn list_keys(engine: &Engine, tenant_id: TenantId) -> Result<()> {
    let keys = engine.keys_of(tenant_id).context("there is no such tenant")?;
    say!("{:<43}  {:<9}  {:<8}  published", "kid", "algorithm", "state");
    for key in keys.ring.keys() {
        let since = match key.state {
            KeyState::Active { activated_at } => format!(", signs since {}", whole_seconds(activated_at)),
            KeyState::Retiring { retired_at } => format!(", last signature {}", whole_seconds(retired_at)),
            KeyState::Revoked { revoked_at } => format!(", revoked {}", whole_seconds(revoked_at)),
            KeyState::Pending | KeyState::Archived => String::new(),
        };
        let (kid, algorithm, state) = (&key.kid, key.algorithm.as_str(), key.state.as_str());
        say!("{:<43}  {algorithm:<9}  {state:<8}  {}{since}", kid.as_str(), whole_seconds(key.published_at));
    }
    Ok(())
}

async fn plan(engine: &Engine, tenant_id: TenantId) -> Result<()> {
    let keys = engine.keys_of(tenant_id).context("there is no such tenant")?;
    let entries = keys.ring.plan(&keys.policy, &engine.situation().await?, PLAN_ENTRIES);
    for (at, step) in &entries {
        say!("{}  {}", whole_seconds(*at), words(step));
    }
    Ok(())
}

async fn rehearse(engine: &Arc<Engine>, tenant_id: TenantId, with_forgeries: bool) -> Result<()> {
    let (mut before, mut troubled, mut all) = (None, 0, 0);
    loop {
        let wish = Rehearsal { before, limit: ROWS, with_forgeries };
        let performance = engine.rehearse(Actor::CommandLine, tenant_id, wish).await?;
        for rehearsed in &performance.rehearsed {
            let words = match (rehearsed.is_verified(), rehearsed.accepted_forgery()) {
                (true, None) => "verified what the standby signed",
                (true, Some(false)) => "verified what the standby signed and refused a wrong signature",
                (_, Some(true)) => "ACCEPTED A WRONG SIGNATURE: it verifies nothing",
                (false, _) => "DID NOT VERIFY what the standby signed",
            };
            all += 1;
            troubled += usize::from(!rehearsed.is_verified() || rehearsed.accepted_forgery() == Some(true));
            say!("{}  {words} ({})", rehearsed.webhook_id, answer(&rehearsed.attempt.outcome));
        }
        before = performance.next;
        if before.is_none() {
            say!("{troubled} of {all} webhooks need to be looked at before {} signs", performance.kid);
            return if troubled == 0 { Ok(()) } else { bail!("the rotation would be noticed") };
        }
    }
}

fn answer(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Answered { status_code, .. } => format!("answered {status_code}"),
        Outcome::Failed(kind) => format!("failed: {}", kind.as_str()),
    }
}

pub(super) fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.as_seconds() * 1_000_000)
}

fn words(step: &Step) -> String {
    match step {
        Step::Open => "publish a key that signs at once, and a standby".to_owned(),
        Step::Publish { algorithm } => format!("publish the next key of {}", algorithm.as_str()),
        Step::Promote { kid, demoted: None } => format!("{kid} begins to sign"),
        Step::Promote { kid, demoted: Some(demoted) } => {
            format!("{kid} begins to sign; {demoted} stays published, its private half is destroyed")
        }
        Step::Withdraw { kid } => format!("{kid} leaves the JWKS without ever having signed"),
        Step::Archive { kid } => format!("{kid} leaves the JWKS"),
    }
}

pub async fn api_key(engine: &Engine, action: ApiKeyAction) -> Result<()> {
    match action {
        ApiKeyAction::New { tenant, scopes, label } => {
            let tenant_id = tenant.map(|id| id.parse::<TenantId>()).transpose().context("--tenant")?;
            if tenant_id.is_some_and(|id| engine.keys_of(id).is_none()) {
                bail!("there is no such tenant");
            }
            access::check_label(&label)?;
            let wish = NewApiKey { tenant_id, label, scopes: parse_scopes(&scopes)? };
            let (key, secret) = engine.create_api_key(Actor::CommandLine, wish).await?;
            say!("{}", secret.reveal());
            note!("{} is shown this once; it is kept only as a digest", key.id);
        }
        ApiKeyAction::List => list_api_keys(engine).await?,
        ApiKeyAction::Revoke { id } => {
            if !engine.revoke_api_key(Actor::CommandLine, id.parse::<ApiKeyId>()?, None).await? {
                bail!("there is no such API key, or it is revoked already");
            }
            say!("{id} is revoked; a running server refuses it within seconds");
        }
    }
    Ok(())
}

fn parse_scopes(names: &[String]) -> Result<Vec<Scope>> {
    let known = Scope::ALL.map(Scope::as_str).join(", ");
    let parse = |name: &String| Scope::parse(name).with_context(|| format!("{name:?} is none of: {known}"));
    names.iter().map(parse).collect()
}

async fn list_api_keys(engine: &Engine) -> Result<()> {
    let mut reader = engine.store.read().await?;
    let mut after = None;
    say!("{:<30}  {:<4}  {:<30}  {:<8}  scopes", "id", "tail", "tenant", "state");
    loop {
        let keys = api_keys::list(reader.conn(), None, after, ROWS).await?;
        for key in &keys {
            let tenant = key.tenant_id.map_or_else(|| "every".to_owned(), |id| id.to_string());
            let state = if key.revoked_at.is_some() { "revoked" } else { "valid" };
            let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
            say!("{:<30}  {:<4}  {tenant:<30}  {state:<8}  {}  {}", key.id, key.tail, scopes.join(" "), key.label);
        }
        let Some(last) = keys.last() else { return Ok(()) };
        after = Some(last.id);
    }
}
