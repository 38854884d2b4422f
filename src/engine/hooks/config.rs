//! Changing which hooks a tenant has, and the secret that signs their questions.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::HookConfigError;
use crate::domain::audit::{Action, Actor};
use crate::domain::hook::{Hook, HookKind, OnFailure};
use crate::domain::id::TenantId;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::domain::webhook::{CustomHeaders, WebhookUrl, secret};
use crate::engine::webhooks::Choice;
use crate::engine::{Engine, audit};
use crate::signing::{AnswerKeys, Confidential, MalformedKey, Purpose, SigningError};
use crate::store::{Conn, hooks};

/// Public keys as they are kept, if all of them can verify and nothing else.
pub fn answer_keys(jwks: &[Value]) -> Result<String, MalformedKey> {
    AnswerKeys::of(jwks).map(|keys| keys.as_str().to_owned())
}

/// What somebody wishes to change of a hook; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct HookChange {
    pub url: Option<WebhookUrl>,
    pub on_failure: Option<OnFailure>,
    /// Public keys as `signing` writes them; by default none.
    pub answer_keys: Choice<String>,
}

impl HookChange {
    /// The hook after it, and what is other than before by the names of its members.
    fn over(self, kind: HookKind, present: Option<&Hook>) -> Result<(Hook, Vec<&'static str>), HookConfigError> {
        let url = self.url.or_else(|| present.map(|hook| hook.url.clone())).ok_or(HookConfigError::NoUrl(kind))?;
        let on_failure = self.on_failure.or(present.map(|hook| hook.on_failure)).unwrap_or(OnFailure::Allow);
        let answer_keys = self.answer_keys.over(present.and_then(|hook| hook.answer_keys.clone()));
        let hook = Hook { url, on_failure, answer_keys };
        let differs = [
            ("url", present.is_none_or(|present| present.url != hook.url)),
            ("on_failure", present.is_none_or(|present| present.on_failure != hook.on_failure)),
            ("signed_answer", present.and_then(|present| present.answer_keys.as_ref()) != hook.answer_keys.as_ref()),
        ];
        let members = differs.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect();
        Ok((hook, members))
    }
}

/// A tenant's hooks after a change.
pub struct ChangedHooks {
    pub hooks: BTreeMap<HookKind, Hook>,
    /// What signs their questions, when it was made just now.
    pub made_secret: Option<Secret<String>>,
}

/// Another secret, shown once.
pub struct RotatedHookSecret {
    pub secret: Secret<String>,
    /// Until when the one before signs too, if there was one.
    pub previous_expires_at: Option<Timestamp>,
}

impl Engine {
    /// Changes a tenant's hooks; `None` takes one away. With the first one, the secret is made that signs their questions.
    pub async fn change_hooks(
        &self,
        actor: Actor,
        tenant_id: TenantId,
        wishes: BTreeMap<HookKind, Option<HookChange>>,
    ) -> Result<ChangedHooks, HookConfigError> {
        let _place = self.row_waiter().await;
        let mut tx = self.store.write().await?;
        audit::hold(tx.conn(), tenant_id).await?;
        let mut hooks: BTreeMap<HookKind, Hook> = hooks::of_tenant(tx.conn(), tenant_id).await?.into_iter().collect();
        let mut actions = Vec::new();
        for (kind, wish) in wishes {
            let Some(change) = wish else {
                if hooks.remove(&kind).is_some() {
                    hooks::remove(tx.conn(), tenant_id, kind).await?;
                    actions.push(Action::HookChanged { kind: kind.as_str(), members: Vec::new(), url: None });
                }
                continue;
            };
            if change.url.as_ref().is_some_and(|url| !self.egress.may_reach(url.as_url())) {
                return Err(HookConfigError::Blocked(kind));
            }
            let (hook, members) = change.over(kind, hooks.get(&kind))?;
            if members.is_empty() {
                continue;
            }
            hooks::put(tx.conn(), tenant_id, kind, &hook).await?;
            actions.push(Action::HookChanged { kind: kind.as_str(), members, url: Some(hook.url.audience()) });
            hooks.insert(kind, hook);
        }
        let has_secret = hooks::secret(tx.conn(), tenant_id).await?.is_some();
        let made_secret = if hooks.is_empty() || has_secret { None } else { Some(self.hook_secret(None)?) };
        if let Some(secret) = &made_secret {
            let confidential = Confidential::new(secret.clone(), CustomHeaders::default());
            self.put_hook_secret(tx.conn(), tenant_id, &confidential).await?;
            actions.push(Action::HookSecretChanged);
        }
        audit::record(tx.conn(), tenant_id, (actor, self.clock.now()), &actions).await?;
        tx.commit().await?;
        self.hooks.known.forget(tenant_id);
        Ok(ChangedHooks { hooks, made_secret })
    }

    /// Puts another secret in the place of a tenant's; both sign until the overlap is over. Makes one where there is none.
    pub async fn rotate_hook_secret(
        &self,
        actor: Actor,
        tenant_id: TenantId,
        next: Option<Secret<String>>,
        overlap: Duration,
    ) -> Result<RotatedHookSecret, HookConfigError> {
        let secret = self.hook_secret(next)?;
        let _place = self.row_waiter().await;
        let mut tx = self.store.write().await?;
        audit::hold(tx.conn(), tenant_id).await?;
        let now = self.clock.now();
        let until = now.plus(overlap);
        let present = hooks::secret(tx.conn(), tenant_id).await?;
        let confidential = match &present {
            None => Confidential::new(secret.clone(), CustomHeaders::default()),
            Some(sealed) => {
                let plain = self.master_keys.open(&Purpose::HookSecret { tenant_id }, sealed)?;
                let unreadable = || SigningError::Unreadable(tenant_id.to_string());
                let mut confidential = Confidential::read(&plain).ok_or_else(unreadable)?;
                if overlap.is_zero() {
                    // Whoever wants no overlap may have lost them all.
                    confidential.end_overlaps();
                }
                confidential.rotate(secret.clone(), until, now)?;
                confidential
            }
        };
        self.put_hook_secret(tx.conn(), tenant_id, &confidential).await?;
        audit::record(tx.conn(), tenant_id, (actor, now), &[Action::HookSecretChanged]).await?;
        tx.commit().await?;
        self.hooks.known.forget(tenant_id);
        Ok(RotatedHookSecret { secret, previous_expires_at: present.map(|_| until) })
    }

    fn hook_secret(&self, supplied: Option<Secret<String>>) -> Result<Secret<String>, HookConfigError> {
        match supplied {
            None => Ok(Secret::new(secret::written(&self.clock.secret_bytes()?))),
            Some(supplied) => {
                secret::read(supplied.reveal())?;
                Ok(supplied)
            }
        }
    }

    async fn put_hook_secret(
        &self,
        conn: &mut Conn,
        tenant_id: TenantId,
        confidential: &Confidential,
    ) -> Result<(), HookConfigError> {
        let sealed = self.seal(conn, &Purpose::HookSecret { tenant_id }, &confidential.write()).await?;
        Ok(hooks::put_secret(conn, tenant_id, &sealed).await?)
    }
}
