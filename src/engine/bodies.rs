//! Signed bodies that several webhooks share. Signing is the dearest step of a delivery, and webhooks with one audience
//! may be sent one token: the same event at the same attempt, signed within the same second by the same key.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use lru::LruCache;

use crate::domain::id::EventId;
use crate::domain::key_ring::Kid;
use crate::domain::token::TokenType;
use crate::domain::webhook::Format;

/// How many bodies are kept. Those who share one are served one after the other, so a few are enough.
const KEPT_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("256 is not zero");
/// Larger ones are signed again: what is kept takes four megabytes at most.
const KEPT_BYTES_MAX: usize = 16 * 1024;

/// What two deliveries must have in common to be sent the same body.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Shared {
    pub(super) event_id: EventId,
    pub(super) audience: String,
    pub(super) format: Format,
    pub(super) token_type: TokenType,
    pub(super) attempt: u32,
    pub(super) kid: Kid,
    /// The second in which it is signed.
    pub(super) second: i64,
}

pub(super) struct Bodies(Mutex<LruCache<Shared, Bytes>>);

impl Default for Bodies {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(KEPT_MAX)))
    }
}

impl Bodies {
    /// The body that was written for another delivery, or a new one.
    pub(super) async fn get_or<E>(
        &self,
        shared: Shared,
        write: impl Future<Output = Result<Bytes, E>>,
    ) -> Result<Bytes, E> {
        if let Some(body) = self.kept().get(&shared) {
            return Ok(body.clone());
        }
        // Not under the lock: two threads that both sign cost less than one that waits.
        let body = write.await?;
        if body.len() <= KEPT_BYTES_MAX {
            self.kept().put(shared, body.clone());
        }
        Ok(body)
    }

    fn kept(&self) -> MutexGuard<'_, LruCache<Shared, Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared() -> Shared {
        Shared {
            event_id: EventId::from_bytes([1; 16]),
            audience: "urn:shop".to_owned(),
            format: Format::Token,
            token_type: TokenType::Jwt,
            attempt: 1,
            kid: Kid::from_text("kid".to_owned()),
            second: 1_770_000_000,
        }
    }

    async fn sent(bodies: &Bodies, of: Shared, written: &[u8]) -> Bytes {
        bodies.get_or(of, async { Ok::<_, ()>(Bytes::copy_from_slice(written)) }).await.unwrap()
    }

    /// Which body a delivery is sent after another one was sent `first`.
    async fn body_after_first(of: Shared) -> Bytes {
        let bodies = Bodies::default();
        sent(&bodies, shared(), b"first").await;
        sent(&bodies, of, b"second").await
    }

    #[tokio::test]
    async fn deliveries_that_have_everything_in_common_are_sent_one_body() {
        assert_eq!(body_after_first(shared()).await, "first");
    }

    #[tokio::test]
    async fn a_delivery_that_differs_in_anything_is_signed_for_itself() {
        for other in [
            Shared { event_id: EventId::from_bytes([2; 16]), ..shared() },
            Shared { audience: "urn:other".to_owned(), ..shared() },
            Shared { format: Format::Signed, ..shared() },
            Shared { token_type: TokenType::Webhook, ..shared() },
            Shared { attempt: 2, ..shared() },
            Shared { kid: Kid::from_text("next".to_owned()), ..shared() },
            Shared { second: 1_770_000_001, ..shared() },
        ] {
            assert_eq!(body_after_first(other.clone()).await, "second", "{other:?}");
        }
    }

    #[tokio::test]
    async fn a_large_body_is_not_kept() {
        let bodies = Bodies::default();

        sent(&bodies, shared(), &vec![b'x'; KEPT_BYTES_MAX + 1]).await;

        assert_eq!(sent(&bodies, shared(), b"again").await, "again");
    }
}
