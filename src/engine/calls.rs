//! Calling receivers: asking one to do something, and handing on what it answers.
//!
//! A call is made once. It stands in no queue and in no delivery log, for there are people in it: all that is kept is a line
//! in the server's log with who asked what of whom and what came of it. It says nothing of a webhook's health either.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::Engine;
use super::clock::Stopwatch;
use super::dispatch::envelope;
use super::keys::MayNotSign;
use crate::domain::audit::Actor;
use crate::domain::call::{Failure, UserRequest};
use crate::domain::id::{RequestId, TenantId, WebhookId};
use crate::domain::webhook::{CustomHeaders, Format, WebhookState};
use crate::egress::Parcel;
use crate::signing::SigningError;
use crate::store::{StoreError, webhooks};
use crate::wire;

/// The largest answer.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Calls under way on a node; with their answers, they take as many megabytes at most, and as many again while those are sent on.
const CALLS_MAX: usize = 64;
/// Calls under way to one webhook, so that a receiver that does not answer leaves room for the others.
const CALLS_PER_WEBHOOK_MAX: usize = 16;

/// Who asks whom.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    pub actor: Actor,
    pub tenant_id: TenantId,
    pub webhook_id: WebhookId,
    /// By which receiver, caller and log know the call.
    pub request_id: RequestId,
}

/// A receiver was not called, or its answer is none.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("the webhook's format is {}; users are asked for at webhooks of the format action", .0.as_str())]
    WrongFormat(Format),
    #[error("the webhook is disabled, so its receiver is asked nothing; enable it, then ask again")]
    Disabled,
    #[error(
        "the webhook's receiver has yet to show that it wants to be asked; POST /v1/webhooks/{{id}}/activate asks it, then ask again"
    )]
    Pending,
    #[error("as many calls are under way to this receiver, or to all, as may be; nothing was asked, try again")]
    TooMany,
    #[error("the receiver has no answer")]
    Failed(Failure),
    #[error(transparent)]
    Signing(#[from] SigningError),
    #[error(transparent)]
    MayNotSign(#[from] MayNotSign),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How many calls are under way, by webhook.
#[derive(Default)]
pub(super) struct Places(Mutex<HashMap<WebhookId, usize>>);

/// A call's place; it is free again however the call ends.
struct Place<'p> {
    places: &'p Places,
    webhook_id: WebhookId,
}

impl Places {
    fn take(&self, webhook_id: WebhookId) -> Option<Place<'_>> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_webhook = taken.get(&webhook_id).copied().unwrap_or_default();
        if of_webhook >= CALLS_PER_WEBHOOK_MAX || taken.values().sum::<usize>() >= CALLS_MAX {
            return None;
        }
        taken.insert(webhook_id, of_webhook + 1);
        Some(Place { places: self, webhook_id })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = taken.remove(&self.webhook_id).unwrap_or_default().saturating_sub(1);
        if left > 0 {
            taken.insert(self.webhook_id, left);
        }
    }
}

/// What the log says of a call. It is written however the call ends, also when whoever asked has hung up.
struct Line {
    caller: Caller,
    action: &'static str,
    status_code: Option<u16>,
    outcome: &'static str,
    stopwatch: Stopwatch,
}

impl Drop for Line {
    fn drop(&mut self) {
        let Caller { actor, webhook_id, request_id, .. } = self.caller;
        tracing::info!(
            webhook.id = %webhook_id,
            call.id = %request_id,
            call.action = self.action,
            call.actor = %actor,
            call.outcome = self.outcome,
            call.status_code = self.status_code,
            call.duration_ms = self.stopwatch.elapsed().as_millis(),
            "a receiver was called"
        );
    }
}

impl Engine {
    /// Asks the receiver of a webhook to do something and answers what it answers, as it came. `None` when the tenant has no
    /// such webhook.
    pub async fn call_receiver(&self, caller: Caller, request: &UserRequest) -> Result<Option<Bytes>, CallError> {
        self.take_leave_to_sign().await?;
        let mut reader = self.store.read().await?;
        let found = webhooks::addressees(reader.conn(), &[caller.webhook_id]).await?.into_iter().next().transpose()?;
        drop(reader);
        let found = found.filter(|found| found.webhook.tenant_id == caller.tenant_id && !found.is_deleted);
        let Some(found) = found else { return Ok(None) };
        must_answer(found.webhook.format, found.webhook.state)?;
        let _place = self.calls.take(caller.webhook_id).ok_or(CallError::TooMany)?;
        self.call(caller, found, request).await.map(Some)
    }

    async fn call(
        &self,
        caller: Caller,
        found: webhooks::Addressee,
        request: &UserRequest,
    ) -> Result<Bytes, CallError> {
        let (addressee, action) = (self.addressee(found), request.action());
        let keys = self.keys_of(caller.tenant_id).ok_or(SigningError::Signature)?;
        let now = self.clock.now();
        let envelope = envelope(&keys, None, &addressee, now)?;
        let letter = wire::action::call((action, caller.request_id), wire::users::body(request), &envelope, now);
        let none = CustomHeaders::default();
        let parcel = Parcel {
            url: letter.url.as_ref().unwrap_or(addressee.url.as_url()),
            content_type: letter.content_type,
            headers: &letter.headers,
            own_headers: &letter.own_headers,
            custom: addressee.shared.as_ref().map_or(&none, |shared| &shared.headers),
            body: letter.body,
            timeout: addressee.handling.timeout,
        };
        let (outcome, stopwatch) = ("abandoned", self.clock.stopwatch());
        let mut line = Line { caller, action: action.as_str(), status_code: None, outcome, stopwatch };
        let answered = match self.egress.ask_once(parcel, ANSWER_BYTES_MAX).await {
            Err(kind) => Err(Failure::Unanswered(kind)),
            Ok(answer) => {
                line.status_code = Some(answer.status_code);
                let retry_after = answer.retry_after(self.clock.now());
                wire::users::read(action, answer.status_code, answer.body, retry_after)
            }
        };
        line.outcome = answered.as_ref().map_or_else(|failure| failure.told().code, |_| "answered");
        answered.map_err(CallError::Failed)
    }
}

/// Refuses webhooks whose receivers are asked nothing.
fn must_answer(format: Format, state: WebhookState) -> Result<(), CallError> {
    match (format, state) {
        (Format::Token | Format::Signed | Format::Standard | Format::Set, _) => Err(CallError::WrongFormat(format)),
        (_, WebhookState::Pending { .. }) => Err(CallError::Pending),
        (_, WebhookState::Disabled { .. }) => Err(CallError::Disabled),
        (_, WebhookState::Enabled | WebhookState::Failing { .. } | WebhookState::Unproven { .. }) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_under_way_are_bounded_for_each_webhook_and_for_all_and_places_come_back() {
        let places = Places::default();
        let id = |number: u8| WebhookId::from_bytes([number; 16]);

        let of_one: Vec<_> = std::iter::from_fn(|| places.take(id(1))).collect();
        let others: Vec<_> = (2..=200).filter_map(|number| places.take(id(number))).collect();

        assert_eq!((of_one.len(), others.len()), (CALLS_PER_WEBHOOK_MAX, CALLS_MAX - CALLS_PER_WEBHOOK_MAX));
        assert!(places.take(id(201)).is_none());
        drop(others);
        assert!(places.take(id(1)).is_none() && places.take(id(2)).is_some());
        drop(of_one);
        assert!(places.0.lock().unwrap().is_empty());
    }
}
