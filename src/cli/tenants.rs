//! Making, changing and listing tenants from the command line.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};

use crate::domain::audit::Actor;
use crate::domain::dialect::{Dialect, EventBase, HeaderPrefix, SignatureScheme};
use crate::domain::id::TenantId;
use crate::domain::key_ring::{KeyPolicy, Margins, Profile};
use crate::domain::tenant::{self, Tenant};
use crate::domain::time::Timestamp;
use crate::domain::token::{Algorithm, TokenTtl};
use crate::engine::Engine;
use crate::engine::tenants::{CutOverChoice, DialectChange, NewTenant, PolicyChoice, TenantChange};
use crate::engine::webhooks::Choice;
use crate::store::tenants;

/// How many rows are read at a time.
const ROWS: u32 = 500;

#[derive(Debug, Subcommand)]
pub enum TenantAction {
    /// Make a tenant with keys of its own
    New {
        name: String,
        /// ES256, ES384, RS256, PS256 or EdDSA
        #[arg(long, default_value = "ES256")]
        algorithm: String,
        /// Seconds a token lives, 60 to 3600
        #[arg(long, default_value_t = 300)]
        token_ttl: i64,
        /// The `sub` of its tokens
        #[arg(long)]
        token_subject: Option<String>,
        #[command(flatten)]
        dialect: DialectArgs,
        #[command(flatten)]
        policy: PolicyArgs,
    },
    /// Change how a tenant's keys rotate, what they sign with and how its deliveries speak
    Change {
        /// The tenant; the default one if none is named
        tenant: Option<String>,
        /// Seconds a token lives, 60 to 3600
        #[arg(long)]
        token_ttl: Option<i64>,
        /// Sign with ES256, ES384, RS256, PS256 or EdDSA from a date on
        #[arg(long, value_name = "ALGORITHM")]
        cut_over_to: Option<String>,
        /// That date, such as 2027-01-31T09:00:00Z; as soon as no receiver is hurt, if it is left out
        #[arg(long, value_name = "DATE", requires = "cut_over_to")]
        cut_over_at: Option<String>,
        /// Never mind a change of algorithm that is planned
        #[arg(long, conflicts_with = "cut_over_to")]
        cancel_cut_over: bool,
        #[command(flatten)]
        dialect: DialectArgs,
        #[command(flatten)]
        policy: PolicyArgs,
        /// Whether event types that its catalogue does not know are refused
        #[arg(long, value_name = "BOOL")]
        catalogue_closed: Option<bool>,
        /// Whether events that do not satisfy the schema of their type are refused
        #[arg(long, value_name = "BOOL")]
        enforce_schema: Option<bool>,
        /// Rotate as the installation is configured
        #[arg(long, conflicts_with_all = ["own_profile", "own_period", "own_publish_ahead", "own_grace"])]
        inherit_policy: bool,
    },
    /// Every tenant
    List,
}

/// How deliveries speak where receivers' vendors differ. What is left out stays.
#[derive(Debug, Args)]
pub struct DialectArgs {
    /// What headers of the formats `signed` and `action` begin with, such as HelloJohn, X-HelloJohn or UserHub; Signet by default
    #[arg(long, value_name = "PREFIX")]
    header_prefix: Option<String>,
    /// How format `signed` writes its signature: sha256, v1 or t,v1
    #[arg(long, value_name = "SCHEME")]
    signature_scheme: Option<String>,
    /// What the URIs of event types begin with in format `set`, such as https://example.com/events/
    #[arg(long, value_name = "URI")]
    event_base: Option<String>,
}

impl DialectArgs {
    fn change(&self) -> Result<DialectChange> {
        let prefix = self.header_prefix.as_deref().map(HeaderPrefix::parse).transpose().context("--header-prefix")?;
        let scheme = self.signature_scheme.as_deref().map(|name| {
            let known = SignatureScheme::ALL.map(SignatureScheme::as_str).join(" or ");
            SignatureScheme::parse(name).with_context(|| format!("--signature-scheme is {known}"))
        });
        let event_base = self.event_base.as_deref().map(EventBase::parse).transpose().context("--event-base")?;
        let event_base = event_base.map_or(Choice::Unchanged, Choice::Own);
        Ok(DialectChange { prefix, scheme: scheme.transpose()?, event_base })
    }
}

/// Margins of a tenant's own. What is left out is as the tenant has it now.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    /// standard, or development, which allows seconds and is not for receivers in earnest
    #[arg(id = "own_profile", long = "own-profile", value_name = "PROFILE")]
    profile: Option<String>,
    /// How long a key signs, such as 30d
    #[arg(id = "own_period", long = "own-period", value_name = "SPAN")]
    period: Option<humantime::Duration>,
    /// How long a key is published before it signs, such as 7d
    #[arg(id = "own_publish_ahead", long = "own-publish-ahead", value_name = "SPAN")]
    publish_ahead: Option<humantime::Duration>,
    /// How long a key stays published after its last signature, such as 7d
    #[arg(id = "own_grace", long = "own-grace", value_name = "SPAN")]
    grace: Option<humantime::Duration>,
}

impl PolicyArgs {
    fn policy(&self, present: KeyPolicy) -> Result<Option<KeyPolicy>> {
        let spans = [self.period, self.publish_ahead, self.grace];
        if self.profile.is_none() && spans.iter().all(Option::is_none) {
            return Ok(None);
        }
        let profile = match &self.profile {
            None => present.profile(),
            Some(name) => Profile::parse(name).context("--own-profile is standard or development")?,
        };
        let [period, publish_ahead, grace] = spans.map(|span| span.map(Duration::from));
        let usual = present.margins();
        let margins = Margins {
            period: period.unwrap_or(usual.period),
            publish_ahead: publish_ahead.unwrap_or(usual.publish_ahead),
            grace: grace.unwrap_or(usual.grace),
        };
        match KeyPolicy::new(profile, margins) {
            Ok(policy) => Ok(Some(policy)),
            Err(faults) => {
                let said: Vec<String> = faults.iter().map(|fault| format!("\n  {fault}")).collect();
                bail!("no receiver would be safe with these margins:{}", said.concat())
            }
        }
    }
}

pub async fn tenant(engine: &Engine, action: TenantAction) -> Result<()> {
    match action {
        TenantAction::New { name, algorithm, token_ttl, token_subject, dialect, policy } => {
            let algorithm = parse_algorithm(&algorithm)?;
            let token_ttl = TokenTtl::from_seconds(token_ttl)?;
            tenant::check_name(&name).context("the name")?;
            token_subject.as_deref().map_or(Ok(()), tenant::check_subject).context("--token-subject")?;
            let key_policy = policy.policy(engine.terms.key_policy)?;
            let dialect = dialect.change()?.over(Dialect::standard());
            let wish = NewTenant { name, algorithm, key_policy, token_subject, token_ttl, dialect };
            let tenant = engine.create_tenant(Actor::CommandLine, wish).await?;
            say!("{}", tenant.id);
            Ok(())
        }
        TenantAction::Change {
            tenant,
            token_ttl,
            cut_over_to,
            cut_over_at,
            cancel_cut_over,
            dialect,
            policy,
            catalogue_closed,
            enforce_schema,
            inherit_policy,
        } => {
            let keys = match tenant {
                Some(id) => engine.keys_of(id.parse::<TenantId>()?).context("there is no such tenant")?,
                None => engine.default_keys().context("there is no tenant yet; start the server once")?,
            };
            let at = cut_over_at.as_deref().map(Timestamp::parse_rfc3339).transpose().context("--cut-over-at")?;
            let cut_over = match cut_over_to {
                Some(algorithm) => Some(CutOverChoice::To(parse_algorithm(&algorithm)?, at)),
                None => cancel_cut_over.then_some(CutOverChoice::None),
            };
            let key_policy = match policy.policy(keys.policy)? {
                Some(policy) => Some(PolicyChoice::Own(policy)),
                None => inherit_policy.then_some(PolicyChoice::Installation),
            };
            let token_ttl = token_ttl.map(TokenTtl::from_seconds).transpose()?;
            let change = TenantChange {
                token_ttl,
                key_policy,
                cut_over,
                dialect: dialect.change()?,
                is_closed: catalogue_closed,
                enforces_schema: enforce_schema,
                ..TenantChange::default()
            };
            let changed = engine.change_tenant(Actor::CommandLine, keys.tenant.id, change).await?;
            show(engine, &changed.context("there is no such tenant")?)
        }
        TenantAction::List => list_tenants(engine).await,
    }
}

fn parse_algorithm(name: &str) -> Result<Algorithm> {
    let known = Algorithm::ALL.map(Algorithm::as_str).join(", ");
    Algorithm::parse(name).with_context(|| format!("{name:?} is none of: {known}"))
}

fn show(engine: &Engine, tenant: &Tenant) -> Result<()> {
    let policy = tenant.key_policy.unwrap_or(engine.terms.key_policy);
    say!("{}  {}", tenant.id, tenant.name);
    say!("  {policy}");
    say!("  tokens live {} s and are signed with {}", tenant.token_ttl.as_seconds(), tenant.algorithm.as_str());
    match (tenant.catalogue.is_closed, tenant.catalogue.enforces_schema) {
        (false, false) => {}
        (true, false) => say!("  its catalogue is closed"),
        (false, true) => say!("  the schemas of its catalogue are enforced"),
        (true, true) => say!("  its catalogue is closed, and the schemas in it are enforced"),
    }
    let Dialect { prefix, scheme, event_base } = &tenant.dialect;
    if tenant.dialect != Dialect::standard() {
        say!("  its headers begin with {} and are signed as {}", prefix.as_str(), scheme.as_str());
    }
    if let Some(base) = event_base {
        say!("  the URIs of its event types begin with {base}");
    }
    if let Some(next) = tenant.cut_over {
        say!("  from {} on with {}; `signet keys plan` tells the steps", next.at, next.algorithm.as_str());
    }
    Ok(())
}

async fn list_tenants(engine: &Engine) -> Result<()> {
    let mut reader = engine.store.read().await?;
    let mut after = None;
    loop {
        let page = tenants::list(reader.conn(), after, ROWS).await?;
        for tenant in &page {
            let mark = if tenant.is_default { "  (default)" } else { "" };
            say!("{}  {:<5}  {}{mark}", tenant.id, tenant.algorithm.as_str(), tenant.name);
        }
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id);
    }
}
