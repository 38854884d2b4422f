//! Webhooks that the configuration declares: at a start, those in the database become what is declared.
//!
//! A webhook is known by its tenant and its URL. A start that finds everything as it is declared writes nothing; else all
//! that differs is written in one transaction, in which other nodes that start wait and then find it done.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Change, Choice, NewWebhook, RACES_MAX, WebhookError};
use crate::domain::audit::Actor;
use crate::domain::id::{TenantId, WebhookId};
use crate::domain::secret::Secret;
use crate::domain::webhook::{CustomHeaders, DeclaredWebhook, Encryption, HeaderName, Origin, Webhook};
use crate::engine::{Engine, encryption};
use crate::signing::Confidential;
use crate::store::{Conn, StoreError, settings, webhooks};

/// For how long the secret before signs too, when another one is declared.
const OVERLAP: Duration = Duration::from_hours(24);

/// Webhooks are not as they are declared.
#[derive(Debug, thiserror::Error)]
pub enum DeclareError {
    /// Everything that is wrong with the declarations, each with its place.
    #[error("webhooks cannot be as they are declared:\n  {}", .0.join("\n  "))]
    Faulty(Vec<String>),
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A declaration that nothing is wrong with.
struct Wish<'d> {
    tenant_id: TenantId,
    declared: &'d DeclaredWebhook,
    /// As it was judged.
    encryption: Option<Encryption>,
}

/// What is said of a host that may not be reached.
const UNREACHABLE: &str =
    "names a host that webhooks may not reach; use a public address, or list its network in SIGNET_EGRESS_ALLOW";

/// What makes one webhook what is declared.
enum Step {
    Make(NewWebhook),
    Change(Box<(Webhook, Change)>),
    Remove(Webhook),
}

impl Step {
    fn webhook_id(&self) -> Option<WebhookId> {
        match self {
            Self::Make(_) => None,
            Self::Change(change) => Some(change.0.id),
            Self::Remove(webhook) => Some(webhook.id),
        }
    }
}

impl Engine {
    /// Makes declared webhooks what these declarations say, and removes those that none of them names.
    pub async fn declare_webhooks(&self, declared: &[DeclaredWebhook]) -> Result<(), DeclareError> {
        let wishes = self.wishes(declared).await?;
        let mut reader = self.store.read().await?;
        let is_done = self.steps(reader.conn(), &wishes).await?.is_empty();
        drop(reader);
        if is_done {
            return Ok(());
        }
        for _ in 0..RACES_MAX {
            match self.take_steps(&wishes).await {
                Ok(true) => return Ok(()),
                Ok(false) | Err(WebhookError::Store(StoreError::Contended(_))) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(WebhookError::Contended.into())
    }

    /// The declarations with their tenants, if nothing is wrong with any of them.
    async fn wishes<'d>(&self, declared: &'d [DeclaredWebhook]) -> Result<Vec<Wish<'d>>, DeclareError> {
        let mut reader = self.store.read().await?;
        let stored = stored(reader.conn()).await?;
        drop(reader);
        let default = self.default_keys().map(|keys| keys.tenant.id);
        let (mut wishes, mut names, mut faults) = (Vec::with_capacity(declared.len()), BTreeSet::new(), Vec::new());
        for wish in declared {
            let mut fault = |pointer: &str, detail: &str| faults.push(wish.place.fault(pointer, detail));
            let encryption = self.declared_encryption(wish, &mut fault);
            let tenant_id = wish.tenant_id.or(default).filter(|id| self.keys_of(*id).is_some());
            let Some(tenant_id) = tenant_id else {
                fault("/tenant", "is no tenant of this installation; `signet tenant list` shows their ids");
                continue;
            };
            if !names.insert((tenant_id, wish.url.as_str())) {
                fault("/url", "is declared twice for the same tenant; put the events of both into one");
            }
            let present = stored.iter().find(|webhook| is_declared_as(webhook, tenant_id, wish));
            for unknown in self.unknown_subscriptions(tenant_id, &wish.subscriptions).await? {
                // Whoever closes a catalogue over what is there already keeps no server from starting.
                let name = wish.subscriptions.get(unknown.at);
                if present.zip(name).is_some_and(|(present, name)| present.subscriptions.contains(name)) {
                    tracing::warn!(webhook.place = %wish.place.path, "a declared webhook is subscribed to what the catalogue does not know any more");
                } else {
                    fault(&format!("/events/{}", unknown.at), &unknown.detail);
                }
            }
            if let Some(present) = present.filter(|present| present.format != wish.format && wish.secret.is_none()) {
                let mut reader = self.store.read().await?;
                match self.keeps_suitable_secret(reader.conn(), present.id, wish.format).await {
                    Err(error @ WebhookError::UnsuitableSecret) => fault("/format", &error.to_string()),
                    kept => kept?,
                }
            }
            wishes.push(Wish { tenant_id, declared: wish, encryption });
        }
        if faults.is_empty() { Ok(wishes) } else { Err(DeclareError::Faulty(faults)) }
    }

    /// Whom the data of a declared webhook is encrypted to, as it may be. What speaks against that, and against its URLs, is told.
    fn declared_encryption(&self, wish: &DeclaredWebhook, fault: &mut impl FnMut(&str, &str)) -> Option<Encryption> {
        match self.check_reach(Some(&wish.url), wish.encryption.as_ref()) {
            Err(WebhookError::KeySetBlocked) => fault("/encryption/jwks_url", UNREACHABLE),
            Err(_) => fault("/url", UNREACHABLE),
            Ok(()) => {}
        }
        if let Err(error) = encryption::check_format(wish.format, wish.encryption.as_ref()) {
            fault("/encryption", &error.to_string());
        }
        let judged = wish.encryption.clone().map(encryption::judged).transpose();
        judged.unwrap_or_else(|faults| {
            faults.iter().for_each(|judged| fault(&judged.pointer, &judged.detail));
            None
        })
    }

    /// What is to be done, which is nothing at most starts.
    async fn steps(&self, conn: &mut Conn, wishes: &[Wish<'_>]) -> Result<Vec<Step>, WebhookError> {
        let mut stored = stored(conn).await?;
        let mut steps = Vec::new();
        for wish in wishes {
            let Some(at) = stored.iter().position(|webhook| is_declared_as(webhook, wish.tenant_id, wish.declared))
            else {
                steps.push(Step::Make(wished(wish)));
                continue;
            };
            let webhook = stored.swap_remove(at);
            let change = self.difference(conn, &webhook, wish).await?;
            if !change.members().is_empty() {
                steps.push(Step::Change(Box::new((webhook, change))));
            }
        }
        steps.extend(stored.into_iter().map(Step::Remove));
        // In the order in which others write several, so that two nodes do not wait for each other.
        steps.sort_by_key(Step::webhook_id);
        Ok(steps)
    }

    /// Does all that is to be done, or nothing; answers whether all was still as it was when it was looked at.
    async fn take_steps(&self, wishes: &[Wish<'_>]) -> Result<bool, WebhookError> {
        let mut tx = self.store.write().await?;
        settings::hold_declared(tx.conn()).await?;
        // Another node may have been first.
        let steps = self.steps(tx.conn(), wishes).await?;
        let (mut made, mut changed, mut removed) = (0, 0, 0);
        for step in steps {
            let is_done = match step {
                Step::Make(wish) => {
                    made += 1;
                    self.make_webhook(tx.conn(), Actor::Configuration, Origin::Declared, wish).await?;
                    true
                }
                Step::Change(change) => {
                    changed += 1;
                    let (webhook, change) = *change;
                    self.write_change(tx.conn(), Actor::Configuration, webhook, &change).await?.is_some()
                }
                Step::Remove(webhook) => {
                    removed += 1;
                    self.remove_webhook(tx.conn(), Actor::Configuration, &webhook).await?
                }
            };
            if !is_done {
                return Ok(false);
            }
        }
        tx.commit().await?;
        self.look_again();
        tracing::info!(made, changed, removed, "webhooks are as they are declared");
        Ok(true)
    }

    /// What is to be changed of a webhook.
    async fn difference(
        &self,
        conn: &mut Conn,
        webhook: &Webhook,
        Wish { declared: wish, encryption, .. }: &Wish<'_>,
    ) -> Result<Change, WebhookError> {
        let mut change = Change {
            subscriptions: other(&webhook.subscriptions, &wish.subscriptions),
            description: other(&webhook.description, &wish.description),
            format: other(&webhook.format, &wish.format),
            token_type: other(&webhook.token_type, &wish.token_type),
            has_key_pair: other(&webhook.public_key.is_some(), &wish.has_key_pair),
            encryption: choice(webhook.encryption.as_ref(), encryption.as_ref()),
            audience: choice(webhook.audience.as_ref(), wish.audience.as_ref()),
            retry_policy: choice(webhook.handling.retry_policy.as_ref(), wish.handling.retry_policy.as_ref()),
            timeout: choice(webhook.handling.timeout.as_ref(), wish.handling.timeout.as_ref()),
            rate: choice(webhook.handling.rate.as_ref(), wish.handling.rate.as_ref()),
            is_enabled: other(&webhook.state.is_switched_on(), &wish.is_enabled),
            ..Change::default()
        };
        match self.confidential(conn, webhook.id).await {
            Ok(confidential) => {
                change.headers = other_headers(&confidential.headers, &wish.headers);
                change.secret = self.other_secret(&confidential, wish.secret.as_ref());
            }
            // A damaged record spoils nothing but itself.
            Err(WebhookError::Signing(error)) => {
                tracing::error!(webhook.id = %webhook.id, error = &error as &dyn std::error::Error, "what a declared webhook keeps sealed cannot be opened, and stays as it is");
            }
            Err(error) => return Err(error),
        }
        Ok(change)
    }

    fn other_secret(
        &self,
        confidential: &Confidential,
        wished: Option<&Secret<String>>,
    ) -> Option<(Secret<String>, Duration)> {
        let secret = wished.filter(|secret| !confidential.is_signed_with(secret))?;
        // Who changes it that often has no use for overlaps.
        let overlap = if confidential.is_full(self.clock.now()) { Duration::ZERO } else { OVERLAP };
        Some((secret.clone(), overlap))
    }
}

async fn stored(conn: &mut Conn) -> Result<Vec<Webhook>, StoreError> {
    Ok(crate::engine::sound(webhooks::declared(conn).await?).collect())
}

fn is_declared_as(webhook: &Webhook, tenant_id: TenantId, declared: &DeclaredWebhook) -> bool {
    webhook.tenant_id == tenant_id && webhook.url == declared.url
}

fn wished(Wish { tenant_id, declared, encryption }: &Wish<'_>) -> NewWebhook {
    let DeclaredWebhook { url, subscriptions, description, format, audience, .. } = (*declared).clone();
    let DeclaredWebhook { token_type, headers, secret, has_key_pair, handling, is_enabled, .. } = (*declared).clone();
    NewWebhook {
        tenant_id: *tenant_id,
        url: Some(url),
        subscriptions,
        description,
        format,
        token_type,
        audience,
        headers,
        secret,
        has_key_pair,
        encryption: encryption.clone(),
        handling,
        activation: None,
        client_certificate: None,
        is_enabled,
    }
}

fn other<T: Clone + PartialEq>(present: &T, wished: &T) -> Option<T> {
    (present != wished).then(|| wished.clone())
}

fn choice<T: Clone + PartialEq>(present: Option<&T>, wished: Option<&T>) -> Choice<T> {
    match wished {
        _ if present == wished => Choice::Unchanged,
        Some(wished) => Choice::Own(wished.clone()),
        None => Choice::Standard,
    }
}

/// The headers to take away, before there are too many, and those to put in.
fn other_headers(present: &CustomHeaders, wished: &CustomHeaders) -> Vec<(HeaderName, Option<Secret<String>>)> {
    let has = |headers: &CustomHeaders, name: &HeaderName| headers.iter().any(|(it, _)| it == name);
    let gone = present.iter().filter(|(name, _)| !has(wished, name)).map(|(name, _)| (name.clone(), None));
    let is_other = |header: &(&HeaderName, &str)| !present.iter().any(|it| it == *header);
    let put = wished.iter().filter(is_other).map(|(name, value)| (name.clone(), Some(Secret::new(value.to_owned()))));
    gone.chain(put).collect()
}
