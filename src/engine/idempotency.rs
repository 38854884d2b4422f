//! Answering a request once, however often it is asked under one key.
//!
//! A claim is written down before anything is done, and the answer after it was done: whoever asks the same meanwhile is told
//! to come back, and whoever asks afterwards gets the same answer. A claim runs out when it is not held any longer, so that a
//! node that died with it is in nobody's way. Then the request is carried out by whoever asks next; one that was carried out
//! by the node that died, in the moment between its end and the writing of its answer, is carried out twice. Events are not
//! among them: [`super::ingest`] writes their keys in the transaction of the events.

use std::pin::pin;
use std::time::Duration;

use tokio::select;
use zeroize::Zeroizing;

use super::Engine;
use super::keys::KeysError;
use super::sweep::IDEMPOTENCY_FOR;
use crate::domain::id::{AnswerId, TenantId};
use crate::signing::digest::{sha256, sha256_of_parts};
use crate::signing::{Purpose, SigningError};
use crate::store::answers::{Claim, Sealed};
use crate::store::{StoreError, answers};

/// How long a claim holds that nobody renews.
const CLAIMED_FOR: Duration = Duration::from_mins(1);
/// Two renewals may fail before a claim runs out.
const RENEWED_EVERY: Duration = Duration::from_secs(20);

/// A request that its caller gave a name.
pub struct Asked {
    pub tenant_id: TenantId,
    /// Method and path: each has names of its own.
    pub route: String,
    pub key: String,
}

/// An answer as it was given.
pub struct Answer {
    pub status: u16,
    pub body: Zeroizing<Vec<u8>>,
}

/// What is to be done about a request.
pub enum Admission {
    /// It is this caller's to be carried out.
    Claimed(Claim),
    /// The same was asked before under the same name; this is what was answered then.
    Answered(Answer),
}

/// A request is not carried out.
#[derive(Debug, thiserror::Error)]
pub enum IdempotencyError {
    #[error("the idempotency key was used for something else")]
    KeyReused,
    #[error("the same request is being carried out")]
    Running,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Signing(#[from] SigningError),
}

impl Engine {
    /// Claims a request that asks for these bytes, or finds what was answered.
    pub async fn admit(&self, asked: &Asked, body: &[u8]) -> Result<Admission, IdempotencyError> {
        let claim = Claim {
            id: AnswerId::from_bytes(self.clock.id()),
            tenant_id: asked.tenant_id,
            name: sha256_of_parts(&[asked.route.as_bytes(), asked.key.as_bytes()]),
            fingerprint: sha256(body),
        };
        let now = self.clock.now();
        let mut tx = self.store.write().await?;
        if answers::claim(tx.conn(), &claim, now.plus(CLAIMED_FOR), now, now.minus(IDEMPOTENCY_FOR)).await? {
            tx.commit().await?;
            return Ok(Admission::Claimed(claim));
        }
        let known = answers::find(tx.conn(), claim.tenant_id, &claim.name).await?;
        match known {
            Some(known) if known.fingerprint != claim.fingerprint => Err(IdempotencyError::KeyReused),
            Some(answers::Known { id, answer: Some(sealed), .. }) => {
                let body = self.master_keys.open(&Purpose::Answer { id }, &sealed.body_jwe)?;
                Ok(Admission::Answered(Answer { status: sealed.status, body }))
            }
            // Given up just now, if there is nothing any more.
            Some(_) | None => Err(IdempotencyError::Running),
        }
    }

    /// Holds a claim for as long as something takes.
    pub async fn holding<T>(&self, claim: &Claim, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            let renewal = self.clock.sleep_until(self.clock.now().plus(RENEWED_EVERY));
            select! {
                done = &mut work => return done,
                () = renewal => self.renew(claim).await,
            }
        }
    }

    async fn renew(&self, claim: &Claim) {
        let until = self.clock.now().plus(CLAIMED_FOR);
        let renewed = async {
            let mut tx = self.store.write().await?;
            answers::renew(tx.conn(), claim.id, until).await?;
            tx.commit().await
        };
        complain(renewed.await, "a request under an idempotency key may be carried out twice");
    }

    /// Keeps what a request was answered for whoever asks it again.
    pub async fn keep_answer(&self, claim: &Claim, status: u16, body: &[u8]) {
        let kept: Result<(), KeysError> = async {
            let mut tx = self.store.write().await?;
            let body_jwe = self.seal(tx.conn(), &Purpose::Answer { id: claim.id }, body).await?;
            answers::keep(tx.conn(), claim.id, &Sealed { status, body_jwe }).await?;
            Ok(tx.commit().await?)
        }
        .await;
        complain(kept, "an answer under an idempotency key was given and could not be kept");
    }

    /// Gives a claim up whose request changed nothing.
    pub async fn release_claim(&self, claim: &Claim) {
        let released = async {
            let mut tx = self.store.write().await?;
            answers::release(tx.conn(), claim.id).await?;
            tx.commit().await
        };
        complain(released.await, "an idempotency key stays taken until its claim runs out");
    }
}

fn complain<E: std::error::Error>(done: Result<(), E>, words: &str) {
    if let Err(error) = done {
        tracing::warn!(error = error.to_string(), "{words}");
    }
}
