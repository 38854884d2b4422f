//! Asking receivers whether they want deliveries: when somebody activates a webhook, and again and again where that is
//! wished.
//!
//! A challenge is a delivery like any other, in the webhook's format. Who answers with what was in it has read it, and shows by
//! that alone more than a 200 does.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::addressees::Addressee;
use super::job::{self, Woken};
use super::webhooks::WebhookError;
use super::{Engine, audit};
use crate::domain::audit::{Action, Actor};
use crate::domain::delivery::{FailureKind, Outcome};
use crate::domain::event::Event;
use crate::domain::event_type::{CHALLENGE, EventType};
use crate::domain::id::{EventId, TenantId, WebhookId};
use crate::domain::webhook::{Activation, ActivationMethod, DeliveryMethod, Occurrence, Webhook, WebhookState};
use crate::egress::Question;
use crate::signing::digest;
use crate::store::webhooks;

/// What a receiver answers that wants nothing more.
const GONE: u16 = 410;
/// How often it is looked who must be asked again.
const EVERY: Duration = Duration::from_mins(1);
/// Who did not show it is asked again after this long.
const AGAIN_AFTER: Duration = Duration::from_hours(1);
/// Receivers that are asked at a time. Each may take as long as an attempt.
const AT_ONCE: usize = 32;

/// What came of asking a receiver.
#[derive(Debug)]
pub struct Shown {
    pub method: ActivationMethod,
    /// Why it was not convincing; nothing when it was.
    pub refusal: Option<Refusal>,
    pub state: WebhookState,
}

/// A receiver that was asked.
struct Asked {
    webhook: Webhook,
    method: ActivationMethod,
    refusal: Option<Refusal>,
}

/// A receiver did not show that it wants deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the receiver answered {0}; it must answer 2xx")]
    Status(u16),
    #[error("the receiver could not be asked: {}", .0.as_str())]
    Unreachable(FailureKind),
    #[error("the receiver must answer with the challenge that it was sent: {{\"challenge\": \"…\"}}")]
    NotEchoed,
    #[error(
        "the receiver must answer OPTIONS with WebHook-Allowed-Origin, naming the origin that it was asked for, or *"
    )]
    NotAllowed,
}

/// The job: asks receivers again whose webhooks wish it.
pub async fn run(engine: Arc<Engine>, end: CancellationToken) {
    loop {
        let until = engine.clock.now().plus(EVERY);
        // Who is being asked at the end is asked again in an hour, by whoever runs then.
        let Some(asked) = end.run_until_cancelled(Box::pin(engine.challenge_due())).await else { return };
        if let Err(error) = asked {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "receivers could not be asked again; trying again"
            );
            if job::pause(job::AFTER_FAILURE, &end).await == Woken::ToEnd {
                return;
            }
        }
        if job::rest_until(&engine.clock, until, &end).await == Woken::ToEnd {
            return;
        }
    }
}

impl Engine {
    /// Asks a webhook's receiver whether it wants deliveries, and switches the webhook on if so. `None` when the tenant has no
    /// such webhook.
    pub async fn activate_webhook(
        &self,
        actor: Actor,
        tenant_id: TenantId,
        id: WebhookId,
    ) -> Result<Option<Shown>, WebhookError> {
        self.take_leave_to_sign().await?;
        let mut reader = self.store.read().await?;
        let found = super::sound(webhooks::addressees(reader.conn(), &[id]).await?).next();
        drop(reader);
        let found = found.filter(|found| found.webhook.tenant_id == tenant_id && !found.is_deleted);
        let Some(found) = found else { return Ok(None) };
        if found.webhook.method == DeliveryMethod::Pull {
            return Err(WebhookError::Collects(Vec::new()));
        }
        let Asked { webhook, method, refusal } = self.ask(found).await?;
        let state = self.conclude(actor, webhook, refusal.is_none().then_some(Occurrence::Activated)).await?;
        Ok(Some(Shown { method, refusal, state }))
    }

    /// Asks those whose time has come, several at a time: who does not answer holds up only those who find no place.
    async fn challenge_due(self: &Arc<Self>) -> Result<(), WebhookError> {
        let mut asking = JoinSet::new();
        loop {
            for found in self.take_due(AT_ONCE.saturating_sub(asking.len())).await? {
                let engine = self.clone();
                asking.spawn(async move { engine.challenge_again(found).await });
            }
            if asking.join_next().await.is_none() {
                return Ok(());
            }
        }
    }

    async fn take_due(&self, places: usize) -> Result<Vec<webhooks::Addressee>, WebhookError> {
        let now = self.clock.now();
        let mut tx = self.store.write().await?;
        let limit = u32::try_from(places).unwrap_or(u32::MAX);
        let due = webhooks::take_due_challenges(tx.conn(), now, now.plus(AGAIN_AFTER), limit).await?;
        tx.commit().await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        self.take_leave_to_sign().await?;
        let ids: Vec<WebhookId> = due.iter().map(|listener| listener.webhook_id).collect();
        let mut reader = self.store.read().await?;
        let found = super::sound(webhooks::addressees(reader.conn(), &ids).await?);
        // Whoever switched it off meanwhile does not want it switched on by what its receiver shows.
        Ok(found.filter(|found| !found.is_deleted && found.webhook.state.is_enabled()).collect())
    }

    async fn challenge_again(&self, found: webhooks::Addressee) {
        let webhook_id = found.webhook.id;
        let asked = async {
            let Asked { webhook, refusal, .. } = self.ask(found).await?;
            self.conclude(Actor::Signet, webhook, heard(refusal)).await
        };
        if let Err(error) = asked.await {
            tracing::warn!(webhook.id = %webhook_id, error = &error as &dyn std::error::Error, "a receiver could not be asked again");
        }
    }

    async fn ask(&self, found: webhooks::Addressee) -> Result<Asked, WebhookError> {
        let webhook = found.webhook.clone();
        let method = webhook.activation.map_or(ActivationMethod::Challenge, |activation| activation.method);
        let addressee = self.addressee(found);
        let refusal = match method {
            ActivationMethod::Challenge => self.ask_for_echo(&addressee).await?,
            ActivationMethod::Options => self.ask_for_leave(&addressee).await,
        };
        Ok(Asked { webhook, method, refusal })
    }

    /// Writes down what a receiver has shown, if the webhook is as it was when it was asked.
    async fn conclude(
        &self,
        actor: Actor,
        mut webhook: Webhook,
        occurrence: Option<Occurrence>,
    ) -> Result<WebhookState, WebhookError> {
        let Some(occurrence) = occurrence else { return Ok(webhook.state) };
        let now = self.clock.now();
        let (state, news) = webhook.after(occurrence, now);
        webhook.state = state;
        if !state.is_enabled() {
            webhook.updated_at = now;
        }
        if occurrence == Occurrence::Activated {
            webhook.activation = webhook.activation.map(|activation| activation.shown_at(now));
        } else {
            webhook.activation =
                webhook.activation.map(|wish| Activation { due_at: Some(now.plus(AGAIN_AFTER)), ..wish });
        }
        let mut tx = self.store.write().await?;
        if news.is_some() {
            let action =
                Action::WebhookChanged { id: webhook.id.to_string(), members: vec!["status"], seen: Vec::new() };
            audit::record(tx.conn(), webhook.tenant_id, (actor, now), &[action]).await?;
        }
        if !webhooks::update_state(tx.conn(), &webhook).await? {
            return Err(WebhookError::Contended);
        }
        if let Some(news) = news {
            self.announce_news(tx.conn(), &webhook, news, now).await?;
        }
        tx.commit().await?;
        self.look_again();
        Ok(state)
    }

    async fn ask_for_echo(&self, addressee: &Addressee) -> Result<Option<Refusal>, WebhookError> {
        let challenge = digest::base64url(&self.clock.secret_bytes::<24>()?);
        let now = self.clock.now();
        let event = Arc::new(Event {
            id: EventId::from_bytes(self.clock.id()),
            tenant_id: addressee.tenant_id,
            event_type: CHALLENGE.parse::<EventType>().expect("a name of ours is well formed"),
            payload: json!({"challenge": challenge}).to_string().into(),
            occurred_at: now,
            accepted_at: now,
            deliveries: 1,
        });
        let mut attempt = self.attempt(&self.egress.reading_whole_answers(), &event, addressee, 1).await;
        let answer = attempt.excerpt.clone();
        attempt.excerpt.truncate(attempt.excerpt.floor_char_boundary(self.egress.excerpt_bytes_max()));
        self.log_probe(&event, addressee.webhook_id, &attempt).await?;
        Ok(match attempt.outcome {
            Outcome::Failed(kind) => Some(Refusal::Unreachable(kind)),
            Outcome::Answered { status_code, .. } if !attempt.outcome.is_acknowledged() => {
                Some(Refusal::Status(status_code))
            }
            Outcome::Answered { .. } => {
                let echo = serde_json::from_str::<Value>(&answer).ok();
                let echoes = echo.is_some_and(|echo| echo["challenge"] == challenge.as_str());
                if echoes { None } else { Some(Refusal::NotEchoed) }
            }
        })
    }

    async fn ask_for_leave(&self, addressee: &Addressee) -> Option<Refusal> {
        let Some(origin) = host(&self.terms.public_url) else {
            return Some(Refusal::Unreachable(FailureKind::Internal));
        };
        // Without its headers it might not be let in, and nothing would be known of the receiver.
        let Ok(shared) = &addressee.shared else { return Some(Refusal::Unreachable(FailureKind::Internal)) };
        let question = Question {
            url: addressee.url.as_url(),
            origin: &origin,
            custom: &shared.headers,
            timeout: addressee.handling.timeout,
        };
        match addressee.way_out(&self.egress).ask_leave(question).await {
            Err(kind) => Some(Refusal::Unreachable(kind)),
            Ok(leave) if !(200..300).contains(&leave.status_code) => Some(Refusal::Status(leave.status_code)),
            Ok(leave) => {
                let allows =
                    leave.allowed_origin.is_some_and(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(&origin));
                if allows { None } else { Some(Refusal::NotAllowed) }
            }
        }
    }
}

/// What it means for a webhook that its receiver was asked again.
fn heard(refusal: Option<Refusal>) -> Option<Occurrence> {
    match refusal {
        None => Some(Occurrence::Activated),
        // It never heard of it.
        Some(Refusal::Unreachable(FailureKind::Internal)) => None,
        Some(Refusal::Status(GONE)) => Some(Occurrence::Gone),
        Some(_) => Some(Occurrence::NotShown),
    }
}

/// The host by which receivers know us.
fn host(public_url: &str) -> Option<String> {
    Url::parse(public_url).ok()?.host_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_is_the_host_of_the_public_url() {
        let check = |public_url: &str, origin: &str| assert_eq!(host(public_url).as_deref(), Some(origin));

        check("https://hooks.example.com", "hooks.example.com");
        check("https://hooks.example.com:8443/signet", "hooks.example.com");
        check("http://[2001:db8::1]:8080", "[2001:db8::1]");
        check("http://192.0.2.1:8080", "192.0.2.1");
    }
}
