//! Making and changing tenants.

use super::keys::KeysError;
use super::rotate::{carry_out, held};
use super::webhooks::Choice;
use super::{Engine, audit};
use crate::domain::audit::{Action, Actor, INSTALLATION};
use crate::domain::catalogue::Rules;
use crate::domain::dialect::{Dialect, EventBase, HeaderPrefix, SignatureScheme};
use crate::domain::id::TenantId;
use crate::domain::key_ring::{CannotCutOver, CutOver, KeyPolicy, KeyRing, Step};
use crate::domain::tenant::{TOKEN_SUBJECT_STANDARD, Tenant};
use crate::domain::time::Timestamp;
use crate::domain::token::{Algorithm, TokenTtl};
use crate::store::{StoreError, settings, tenants};

/// What somebody wishes of a tenant.
#[derive(Debug, Clone)]
pub struct NewTenant {
    pub name: String,
    pub algorithm: Algorithm,
    /// How its keys rotate; `None` is as the installation is configured.
    pub key_policy: Option<KeyPolicy>,
    pub token_subject: Option<String>,
    pub token_ttl: TokenTtl,
    pub dialect: Dialect,
}

impl NewTenant {
    /// A tenant with this name and nothing else out of the ordinary.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            algorithm: Algorithm::Es256,
            key_policy: None,
            token_subject: None,
            token_ttl: TokenTtl::STANDARD,
            dialect: Dialect::standard(),
        }
    }
}

/// What somebody wishes to change of a tenant; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct TenantChange {
    pub name: Option<String>,
    pub token_subject: Option<String>,
    pub token_ttl: Option<TokenTtl>,
    pub key_policy: Option<PolicyChoice>,
    pub cut_over: Option<CutOverChoice>,
    pub dialect: DialectChange,
    pub is_closed: Option<bool>,
    pub enforces_schema: Option<bool>,
}

/// What somebody wishes to change of a dialect; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct DialectChange {
    pub prefix: Option<HeaderPrefix>,
    pub scheme: Option<SignatureScheme>,
    /// By default the issuer's own.
    pub event_base: Choice<EventBase>,
}

impl DialectChange {
    /// The dialect that is spoken after it.
    pub fn over(self, present: Dialect) -> Dialect {
        Dialect {
            prefix: self.prefix.unwrap_or(present.prefix),
            scheme: self.scheme.unwrap_or(present.scheme),
            event_base: self.event_base.over(present.event_base),
        }
    }
}

/// How a tenant's keys shall rotate.
#[derive(Debug, Clone, Copy)]
pub enum PolicyChoice {
    /// As the installation is configured, also when that changes.
    Installation,
    Own(KeyPolicy),
}

/// Whether a tenant shall sign with another algorithm.
#[derive(Debug, Clone, Copy)]
pub enum CutOverChoice {
    /// Never mind.
    None,
    /// At a date, or as soon as no receiver is hurt by it.
    To(Algorithm, Option<Timestamp>),
}

/// A tenant was not changed.
#[derive(Debug, thiserror::Error)]
pub enum TenantError {
    #[error(transparent)]
    CannotCutOver(#[from] CannotCutOver),
    #[error(transparent)]
    Keys(#[from] KeysError),
}

impl From<StoreError> for TenantError {
    fn from(error: StoreError) -> Self {
        Self::Keys(error.into())
    }
}

impl Engine {
    /// Changes a tenant; `None` when there is no such tenant. When this returns, keys that the change calls for are
    /// published.
    pub async fn change_tenant(
        &self,
        actor: Actor,
        id: TenantId,
        change: TenantChange,
    ) -> Result<Option<Tenant>, TenantError> {
        self.measure().await?;
        let mut tx = self.store.write().await?;
        let Some((tenant, ring)) = held(tx.conn(), id).await? else { return Ok(None) };
        let situation = self.situation_on(tx.conn()).await?;
        let (policy, planned) = (self.policy_of(&tenant), tenant.cut_over);
        let before = described(&tenant);
        let TenantChange { name, token_subject, token_ttl, key_policy, cut_over, .. } = change;
        let mut changed = Tenant {
            name: name.unwrap_or(tenant.name),
            token_subject: token_subject.unwrap_or(tenant.token_subject),
            token_ttl: token_ttl.unwrap_or(tenant.token_ttl),
            key_policy: match key_policy {
                None => tenant.key_policy,
                Some(PolicyChoice::Installation) => None,
                Some(PolicyChoice::Own(policy)) => Some(policy),
            },
            dialect: change.dialect.over(tenant.dialect),
            catalogue: Rules {
                is_closed: change.is_closed.unwrap_or(tenant.catalogue.is_closed),
                enforces_schema: change.enforces_schema.unwrap_or(tenant.catalogue.enforces_schema),
            },
            ..tenant
        };
        changed.cut_over = match cut_over {
            None => tenant.cut_over,
            Some(CutOverChoice::None) => None,
            Some(CutOverChoice::To(algorithm, at)) => {
                Some(ring.plan_cut_over(&self.policy_of(&changed), &situation, algorithm, at)?)
            }
        };
        tenants::update(tx.conn(), &changed).await?;
        tenants::touch_keys(tx.conn(), id).await?;
        let mut actions = written((policy, self.policy_of(&changed)), (planned, changed.cut_over));
        let after = described(&changed);
        if before != after {
            actions.push(Action::TenantChanged { before, after });
        }
        audit::record(tx.conn(), id, (actor, situation.now), &actions).await?;
        tx.commit().await?;
        tracing::info!(tenant.id = %id, "a tenant was changed");
        self.follow_up(id).await;
        Ok(Some(changed))
    }

    /// Makes a tenant together with its first keys: when this returns, it can sign.
    pub async fn create_tenant(&self, actor: Actor, wish: NewTenant) -> Result<Tenant, KeysError> {
        self.insert_tenant(actor, wish, false).await
    }

    /// The tenant that is meant when nobody is named; made at the first start.
    pub async fn ensure_default_tenant(&self) -> Result<Tenant, KeysError> {
        let mut reader = self.store.read().await?;
        let found = tenants::default(reader.conn()).await?;
        drop(reader);
        match found {
            Some(tenant) => Ok(tenant),
            None => self.insert_tenant(Actor::Signet, NewTenant::named("default"), true).await,
        }
    }

    async fn insert_tenant(&self, actor: Actor, wish: NewTenant, is_default: bool) -> Result<Tenant, KeysError> {
        let tenant = Tenant {
            id: TenantId::from_bytes(self.clock.id()),
            name: wish.name,
            is_default,
            algorithm: wish.algorithm,
            cut_over: None,
            key_policy: wish.key_policy,
            token_subject: wish.token_subject.unwrap_or_else(|| TOKEN_SUBJECT_STANDARD.to_owned()),
            token_ttl: wish.token_ttl,
            dialect: wish.dialect,
            catalogue: Rules::OPEN,
            created_at: self.clock.now(),
        };
        // Keys first, and all in one transaction: nobody ever sees a tenant without keys, or caches an empty set.
        let made = self.make_for(&Step::Open, tenant.id, tenant.algorithm).await?;
        let mut tx = self.store.write().await?;
        if is_default {
            settings::hold_first_start(tx.conn()).await?;
            // Another node may have been first.
            if let Some(tenant) = tenants::default(tx.conn()).await? {
                drop(tx);
                self.refresh_keys().await?;
                return Ok(tenant);
            }
        }
        let made = self.seal_again(tx.conn(), tenant.id, made).await?;
        tenants::insert(tx.conn(), &tenant).await?;
        let ring = KeyRing::new(Vec::new(), tenant.algorithm, None);
        let situation = self.moment(tx.conn()).await?;
        let actions = carry_out(tx.conn(), (&tenant, &ring), &Step::Open, made, &situation).await?;
        audit::record(tx.conn(), tenant.id, (actor, situation.now), &actions).await?;
        let made = Action::TenantMade { id: tenant.id.to_string(), name: tenant.name.clone() };
        audit::record(tx.conn(), INSTALLATION, (actor, situation.now), &[made]).await?;
        tx.commit().await?;
        self.follow_up(tenant.id).await;
        Ok(tenant)
    }
}

/// What a tenant is called, how its deliveries look, and how strictly its catalogue is kept.
fn described(tenant: &Tenant) -> String {
    let Tenant { name, token_subject, token_ttl, dialect, catalogue, .. } = tenant;
    let ttl = token_ttl.as_seconds();
    let unknown = if catalogue.is_closed { "closed" } else { "open" };
    let schemas = if catalogue.enforces_schema { "enforced" } else { "not enforced" };
    let text =
        format!("{name:?}, tokens of {token_subject:?} that live {ttl} s, catalogue {unknown}, schemas {schemas}");
    if *dialect == Dialect::standard() {
        return text;
    }
    let Dialect { prefix, scheme, event_base } = dialect;
    let events = event_base.as_ref().map(|base| format!(", events under {base}")).unwrap_or_default();
    format!("{text}; headers {}, signatures {}{events}", prefix.as_str(), scheme.as_str())
}

/// What is written down about a change of policy and of plans, each before and after.
fn written(policy: (KeyPolicy, KeyPolicy), cut_over: (Option<CutOver>, Option<CutOver>)) -> Vec<Action> {
    let mut actions = Vec::new();
    if policy.0 != policy.1 {
        actions.push(Action::PolicyChanged { before: policy.0.to_string(), after: policy.1.to_string() });
    }
    match cut_over {
        (before, after) if before == after => {}
        (Some(CutOver { algorithm, .. }), None) => actions.push(Action::CutOverCancelled { algorithm }),
        (_, Some(CutOver { algorithm, at })) => actions.push(Action::CutOverPlanned { algorithm, at }),
        (None, None) => {}
    }
    actions
}
