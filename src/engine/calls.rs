//! Calling receivers: asking one to do something, and handing on what it answers.
//!
//! A call is made once. It stands in no queue and in no delivery log, for there are people in it: all that is kept is a line
//! in the server's log with who asked what of whom and what came of it. It says nothing of a webhook's health either.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::Engine;
use super::clock::Stopwatch;
use super::keys::MayNotSign;
use super::letters::envelope;
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
/// Calls under way on a node, which read as many megabytes at most.
const CALLS_MAX: usize = 64;
/// Those of one tenant: the others have room whatever it does.
const CALLS_PER_TENANT_MAX: usize = 48;
/// Those to one webhook, so that a receiver that does not answer leaves room for the tenant's others.
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
    #[error(
        "as many calls are under way to this receiver, of this tenant or in all as may be; nothing was asked, try again"
    )]
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
pub(super) struct Places(Mutex<HashMap<Whose, usize>>);

type Whose = (TenantId, WebhookId);

/// A call's place; it is free again however the call ends.
struct Place<'p> {
    places: &'p Places,
    whose: Whose,
}

impl Places {
    fn take(&self, whose: Whose) -> Option<Place<'_>> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_webhook = taken.get(&whose).copied().unwrap_or_default();
        let of_tenant: usize = taken.iter().filter(|((tenant, _), _)| *tenant == whose.0).map(|(_, count)| count).sum();
        let is_full = of_webhook >= CALLS_PER_WEBHOOK_MAX
            || of_tenant >= CALLS_PER_TENANT_MAX
            || taken.values().sum::<usize>() >= CALLS_MAX;
        if is_full {
            return None;
        }
        taken.insert(whose, of_webhook + 1);
        Some(Place { places: self, whose })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = taken.remove(&self.whose).unwrap_or_default().saturating_sub(1);
        if left > 0 {
            taken.insert(self.whose, left);
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
        let _place = self.calls.take((caller.tenant_id, caller.webhook_id)).ok_or(CallError::TooMany)?;
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
        let answered = match addressee.way_out(&self.egress).ask_once(parcel, ANSWER_BYTES_MAX).await {
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
    fn calls_under_way_are_bounded_for_each_webhook_each_tenant_and_all_and_places_come_back() {
        let places = Places::default();
        let whose =
            |tenant: u8, webhook: u8| (TenantId::from_bytes([tenant; 16]), WebhookId::from_bytes([webhook; 16]));
        let as_many =
            |tenant, webhook| -> Vec<_> { std::iter::from_fn(|| places.take(whose(tenant, webhook))).collect() };

        let of_one = as_many(1, 1);
        let of_tenant: Vec<_> = (2..=200).flat_map(|webhook| as_many(1, webhook)).collect();
        let of_another = as_many(2, 201);

        assert_eq!((of_one.len(), of_another.len()), (CALLS_PER_WEBHOOK_MAX, CALLS_PER_WEBHOOK_MAX));
        assert_eq!(of_one.len() + of_tenant.len(), CALLS_PER_TENANT_MAX);
        assert_eq!(places.0.lock().unwrap().values().sum::<usize>(), CALLS_MAX);
        assert!(places.take(whose(3, 202)).is_none());
        drop(of_one);
        assert!(places.take(whose(3, 202)).is_some() && places.take(whose(1, 1)).is_some());
        drop((of_tenant, of_another));
        assert!(places.0.lock().unwrap().is_empty());
    }
}
