//! One question: written, signed, put, and decided by what was heard.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::HookError;
use super::known::{KnownHook, TenantHooks};
use crate::domain::delivery::FailureKind;
use crate::domain::hook::decision::{Decision, Heard, decide};
use crate::domain::hook::{ANSWER_BYTES_MAX, ANSWERED_WITHIN, Execution, HookKind};
use crate::domain::id::{ExecutionId, TenantId};
use crate::domain::time::Timestamp;
use crate::domain::webhook::CustomHeaders;
use crate::egress::Parcel;
use crate::engine::Engine;
use crate::engine::clock::Stopwatch;
use crate::engine::keys::{MayNotSign, TenantKeys};
use crate::signing::{Bound, SigningError};
use crate::wire::hook::{self, Letter, Question};

const UNAUTHORIZED: u16 = 401;

/// What came of a question.
#[derive(Debug, Clone)]
pub struct Answered {
    pub id: ExecutionId,
    pub decision: Decision,
    pub took_for: Duration,
}

/// A question that is to be put, and to whom.
struct Asked {
    id: ExecutionId,
    kind: HookKind,
    tenant_id: TenantId,
    payload: Bytes,
    hooks: Arc<TenantHooks>,
    known: Arc<KnownHook>,
    at: Timestamp,
    stopwatch: Stopwatch,
}

/// A question with its signatures.
struct Written {
    keys: Arc<TenantKeys>,
    letter: Letter,
    /// One header for each secret that signs, newest first.
    signatures: Vec<(String, String)>,
}

/// Why a question has no signature.
#[derive(Debug, thiserror::Error)]
enum Unsigned {
    #[error(transparent)]
    MayNotSign(#[from] MayNotSign),
    #[error(transparent)]
    Signing(#[from] SigningError),
}

/// What was heard, and with which status.
type Reply = (Heard, Option<u16>);

impl Engine {
    /// Puts a question to a tenant's hook of this kind, and decides what counts as said.
    pub async fn ask_hook(
        self: &Arc<Self>,
        tenant_id: TenantId,
        kind: HookKind,
        payload: Bytes,
    ) -> Result<Answered, HookError> {
        let (id, at, stopwatch) = (ExecutionId::from_bytes(self.clock.id()), self.clock.now(), self.clock.stopwatch());
        let hooks = self.hooks_of(tenant_id).await?;
        let Some(known) = hooks.hooks.get(&kind).cloned() else {
            let decision = Decision::not_configured();
            self.metrics.count(kind, decision.outcome, None);
            return Ok(Answered { id, decision, took_for: stopwatch.elapsed() });
        };
        let Some(place) = self.hooks.places.take(tenant_id) else { return Err(self.refused(kind)) };
        let Some(room) = self.room_in_hook_log().await else { return Err(self.refused(kind)) };
        let asked = Asked { id, kind, tenant_id, payload, hooks, known, at, stopwatch: self.clock.stopwatch() };
        let engine = self.clone();
        // On its own, so that what was asked is written down also when the caller has hung up.
        let asking = tokio::spawn(async move {
            let (answered, execution) = engine.put_question(asked).await;
            drop(place);
            room.send(execution);
            answered
        });
        asking.await.map_err(|panicked| {
            tracing::error!(error = &panicked as &dyn std::error::Error, "a question to a hook panicked");
            HookError::Panicked
        })
    }

    fn refused(&self, kind: HookKind) -> HookError {
        self.metrics.count_refused(kind);
        HookError::Overloaded
    }

    async fn put_question(&self, asked: Asked) -> (Answered, Execution) {
        let (heard, status_code) = self.hear(&asked).await;
        let decision = decide(asked.kind, asked.known.hook.on_failure, heard);
        let took_for = asked.stopwatch.elapsed();
        let Asked { id, kind, tenant_id, at, .. } = asked;
        self.metrics.count(kind, decision.outcome, Some(took_for));
        if let Some(failure) = decision.failure {
            tracing::debug!(tenant.id = %tenant_id, hook = kind.as_str(), execution.id = %id, failure = failure.as_str(), status_code, "a hook did not answer as it should");
        }
        let execution = Execution {
            id,
            tenant_id,
            kind,
            outcome: decision.outcome,
            allow: decision.allow,
            reason: decision.reason.clone(),
            status_code,
            failure: decision.failure,
            took_for,
            ignored_claims: decision.ignored_claims.clone(),
            at,
        };
        (Answered { id, decision, took_for }, execution)
    }

    /// Asks, and once more with the secret before if the receiver does not know the newest one yet.
    async fn hear(&self, asked: &Asked) -> Reply {
        let writing = tokio::time::timeout(ANSWERED_WITHIN, self.written(asked)).await;
        let written = match writing.unwrap_or(Err(SigningError::Busy.into())) {
            Ok(written) => written,
            Err(error) => {
                tracing::error!(execution.id = %asked.id, error = &error as &dyn std::error::Error, "a question to a hook could not be signed");
                return (Heard::Nothing(FailureKind::Internal), None);
            }
        };
        let mut signatures = written.signatures.iter();
        let reply = self.exchange(asked, &written, signatures.next()).await;
        match (reply.1, signatures.next()) {
            (Some(UNAUTHORIZED), Some(before)) => self.exchange(asked, &written, Some(before)).await,
            _ => reply,
        }
    }

    async fn written(&self, asked: &Asked) -> Result<Written, Unsigned> {
        self.take_leave_to_sign().await?;
        let (keys, signer) = self.signer_of(asked.tenant_id)?;
        let now = self.clock.now();
        let secrets = asked.hooks.secrets_at(now)?;
        let prefix = &keys.tenant.dialect.prefix;
        let question = Question {
            id: asked.id,
            kind: asked.kind,
            audience: &asked.known.hook.url.audience(),
            issuer: &keys.issuer,
            prefix,
            signer: &signer,
            secrets: &secrets,
            payload: &asked.payload,
        };
        let letter = hook::letter(&question, now).await?;
        let signatures = secrets.iter().map(|secret| hook::signature(prefix, secret, &asked.payload)).collect();
        Ok(Written { keys, letter, signatures })
    }

    async fn exchange(&self, asked: &Asked, written: &Written, signature: Option<&(String, String)>) -> Reply {
        let known = &asked.known;
        let mut own_headers = written.letter.own_headers.clone();
        own_headers.extend(signature.cloned());
        let parcel = Parcel {
            url: known.hook.url.as_url(),
            content_type: "application/json",
            headers: &written.letter.headers,
            own_headers: &own_headers,
            custom: &CustomHeaders::default(),
            body: asked.payload.clone(),
            timeout: Some(ANSWERED_WITHIN.saturating_sub(asked.stopwatch.elapsed())),
        };
        if asked.kind.is_told() {
            // Whatever it says, and however much of it.
            return match self.hooks.egress.post(parcel, self.clock.now()).await {
                Ok(reply) => (Heard::Status(reply.status_code), Some(reply.status_code)),
                Err(kind) => (Heard::Nothing(kind), None),
            };
        }
        let answer = match self.hooks.egress.ask(parcel, ANSWER_BYTES_MAX).await {
            Ok(answer) => answer,
            Err(kind) => return (Heard::Nothing(kind), None),
        };
        if answer.status_code != 200 {
            return (Heard::Status(answer.status_code), Some(answer.status_code));
        }
        let id = asked.id.to_string();
        let bound = Bound { jti: &id, audience: &written.keys.issuer, now: self.clock.now() };
        let said = hook::read(&answer.body, known.answer_keys.as_ref().map(|keys| (keys, bound)));
        (Heard::Answer(said), Some(200))
    }
}
