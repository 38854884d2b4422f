//! Who is asking, and for which tenant: checked before a handler sees the request.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::problem::Problem;
use super::{Api, allowance};
use crate::domain::access::{Caller, Scope};
use crate::domain::id::{ApiKeyId, TenantId};
use crate::engine::mailbox::Collector;

const TENANT_ID: &str = "x-tenant-id";

/// A scope as a type, so that a handler's signature says what it takes.
pub(super) trait Needs: Send + Sync + 'static {
    const SCOPE: Scope;
}

macro_rules! needs {
    ($($name:ident),+ $(,)?) => {
        $(
            pub(super) struct $name;

            impl Needs for $name {
                const SCOPE: Scope = Scope::$name;
            }
        )+
    };
}

needs!(EventsWrite, WebhooksRead, WebhooksWrite, DeliveriesReplay, HooksInvoke, KeysRead, KeysRotate, Admin);

/// Who is asking, and for which tenant.
#[derive(Clone)]
pub(super) struct Asker {
    pub(super) caller: Caller,
    pub(super) tenant_id: TenantId,
    /// The tenant that the caller is bound to or has named; `None` means all that it reaches.
    pub(super) only_tenant: Option<TenantId>,
}

impl Asker {
    /// Whoever asks, if they may do this. What was [kept](Self::keep) with a request is not found out again.
    pub(super) async fn of(parts: &Parts, engine: &Api, scope: Scope) -> Result<Self, Problem> {
        if let Some(known) = parts.extensions.get::<Self>().filter(|known| known.caller.may(scope)) {
            return Ok(known.clone());
        }
        // Which of two would count is for nobody to guess.
        stands_once(parts, AUTHORIZATION.as_str())?;
        stands_once(parts, TENANT_ID)?;
        let presented = bearer(parts).ok_or_else(Problem::unauthenticated)?;
        let caller = engine.caller_of(presented).await?.ok_or_else(Problem::unauthenticated)?;
        allowance::count(parts, engine, caller.key_id)?;
        if !caller.may(scope) {
            return Err(Problem::forbidden(scope));
        }
        let tenant_id = tenant(parts, engine, &caller)?;
        let is_named = parts.headers.contains_key(TENANT_ID);
        let only_tenant = caller.tenant_id.or(is_named.then_some(tenant_id));
        Ok(Self { caller, tenant_id, only_tenant })
    }

    /// Keeps it with the request, for whoever asks the same about it.
    pub(super) fn keep(&self, parts: &mut Parts) {
        parts.extensions.insert(self.clone());
    }
}

/// A caller that may do this, and the tenant it does it for.
pub(super) struct Access<N: Needs> {
    pub(super) caller: Caller,
    pub(super) tenant_id: TenantId,
    /// The tenant that the caller is bound to or has named; `None` means all that it reaches.
    pub(super) only_tenant: Option<TenantId>,
    needs: PhantomData<N>,
}

impl<N: Needs> Access<N> {
    /// For what concerns the whole installation and not one tenant.
    pub(super) fn instance_wide(self) -> Result<Self, Problem> {
        if self.caller.is_instance_wide() { Ok(self) } else { Err(Problem::instance_wide_only()) }
    }
}

impl<N: Needs> FromRequestParts<Api> for Access<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, engine: &Api) -> Result<Self, Problem> {
        let Asker { caller, tenant_id, only_tenant } = Asker::of(parts, engine, N::SCOPE).await?;
        Ok(Self { caller, tenant_id, only_tenant, needs: PhantomData })
    }
}

/// The receiver of a webhook, by its pull key.
pub(super) struct Collecting(pub(super) Collector);

impl FromRequestParts<Api> for Collecting {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, engine: &Api) -> Result<Self, Problem> {
        stands_once(parts, AUTHORIZATION.as_str())?;
        let presented = bearer(parts).ok_or_else(Problem::no_pull_key)?;
        if let Some(collector) = engine.collector_of(presented).await? {
            // No API key has this id: both are drawn from more than anybody draws.
            let counted_as = ApiKeyId::from_bytes(*collector.webhook_id.as_bytes());
            allowance::count(parts, engine, Some(counted_as))?;
            return Ok(Self(collector));
        }
        match engine.caller_of(presented).await? {
            Some(_) => Err(Problem::pull_keys_alone()),
            None => Err(Problem::no_pull_key()),
        }
    }
}

fn stands_once(parts: &Parts, name: &str) -> Result<(), Problem> {
    match parts.headers.get_all(name).iter().count() {
        0 | 1 => Ok(()),
        _ => Err(Problem::malformed(format!("the header {name} stands there more than once"))),
    }
}

fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// The tenant that is named, or the caller's own, or the default one. One that the caller may not see is answered like
/// one that does not exist.
fn tenant(parts: &Parts, engine: &Api, caller: &Caller) -> Result<TenantId, Problem> {
    let unknown = || Problem::unknown_tenant();
    let named = match parts.headers.get(TENANT_ID) {
        None => None,
        Some(value) => {
            let text = value.to_str().map_err(|_| unknown())?;
            Some(text.parse::<TenantId>().map_err(|_| unknown())?)
        }
    };
    match (caller.tenant_id, named) {
        (Some(own), None) => Ok(own),
        (Some(own), Some(named)) if own == named => Ok(own),
        (Some(_), Some(_)) => Err(unknown()),
        (None, Some(named)) => engine.keys_of(named).map(|keys| keys.tenant.id).ok_or_else(unknown),
        (None, None) => engine.default_keys().map(|keys| keys.tenant.id).ok_or_else(unknown),
    }
}
