//! Which problem each error is.

use axum::http::StatusCode;

use super::{Fault, Problem};
use crate::domain::call::{Failure, Told};
use crate::domain::delivery::FailureKind;
use crate::domain::key_ring::{CannotRevoke, CannotRotate};
use crate::engine::access::CreateKeyError;
use crate::engine::calls::CallError;
use crate::engine::catalogue::known::JudgeError;
use crate::engine::catalogue::{CatalogueError, Fault as SchemaFault};
use crate::engine::deliveries::RetryError;
use crate::engine::hooks::{HookConfigError, HookError};
use crate::engine::idempotency::IdempotencyError;
use crate::engine::ingest::IngestError;
use crate::engine::keys::{KeysError, MayNotSign};
use crate::engine::mailbox::PollError;
use crate::engine::rehearse::RehearseError;
use crate::engine::revoke::RevokeError;
use crate::engine::rotate::RotateError;
use crate::engine::tenants::TenantError;
use crate::engine::webhooks::{ProbeError, WebhookError};
use crate::store::StoreError;

/// One answer for every address, so that nobody can map a network by asking.
const UNREACHABLE_HOST: &str = "names a host that webhooks may not reach; use a public address, or have the operator list its network in SIGNET_EGRESS_ALLOW";
/// What is said of a member that only webhooks have that deliveries are sent to.
pub(in crate::api) const OF_SENDING: &str =
    "makes no sense where the receiver collects its deliveries, because nothing is sent to it; leave it out";

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Contended(_) => Self::unavailable().because(&error),
            StoreError::Conflict(_) => {
                Self::conflict("conflict", "it contradicts what is already there").because(&error)
            }
            StoreError::Corrupt { .. }
            | StoreError::Migration(_)
            | StoreError::UnknownDatabase(_)
            | StoreError::MalformedUrl
            | StoreError::TooOld(_)
            | StoreError::File { .. }
            | StoreError::Folder { .. } => Self::internal().because(&error),
        }
    }
}

impl From<IngestError> for Problem {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::Overloaded => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "Overloaded",
                "more events are waiting to be written than is good for them; this one was not accepted, try again",
            ),
            IngestError::KeyReused => Self::idempotency_mismatch(),
            IngestError::TooWide => Self::invalid_one(
                "/events",
                "concern more than 100,000 webhooks together; publish them in smaller batches",
            ),
            IngestError::Unavailable => Self::unavailable(),
        }
    }
}

impl From<IdempotencyError> for Problem {
    fn from(error: IdempotencyError) -> Self {
        match error {
            IdempotencyError::KeyReused => Self::idempotency_mismatch(),
            IdempotencyError::Running => Self::idempotency_in_progress(),
            IdempotencyError::Store(error) => error.into(),
            IdempotencyError::Signing(_) => Self::internal().because(&error),
        }
    }
}

impl From<RetryError> for Problem {
    fn from(error: RetryError) -> Self {
        match error {
            RetryError::NoWebhook => Self::not_found("webhook"),
            RetryError::NoDelivery => Self::not_found("delivery"),
            RetryError::Disabled => {
                Self::conflict("webhook_disabled", "the webhook is disabled; enable it, then try the delivery again")
            }
            RetryError::Pending => Self::conflict(
                "webhook_pending",
                "the webhook's receiver has yet to show that it wants deliveries; POST /v1/webhooks/{id}/activate asks it, then try again",
            ),
            RetryError::Store(error) => error.into(),
        }
    }
}

impl From<KeysError> for Problem {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::Store(error) => error.into(),
            KeysError::Signing(_) | KeysError::Stuck => Self::internal().because(&error),
        }
    }
}

impl From<RotateError> for Problem {
    fn from(error: RotateError) -> Self {
        match error {
            RotateError::CannotRotate(CannotRotate::NoStandby) => Self::conflict("no_standby", error.to_string()),
            RotateError::CannotRotate(CannotRotate::TooSoon { .. }) => Self::conflict("too_soon", error.to_string()),
            RotateError::CannotRotate(CannotRotate::NotEverywhere) => {
                Self::conflict("not_everywhere", error.to_string())
            }
            RotateError::Keys(error) => error.into(),
        }
    }
}

impl From<RevokeError> for Problem {
    fn from(error: RevokeError) -> Self {
        match error {
            RevokeError::CannotRevoke(CannotRevoke::Unknown) => Self::not_found("key"),
            RevokeError::CannotRevoke(CannotRevoke::NotPublished(_)) => {
                Self::conflict("not_published", error.to_string())
            }
            RevokeError::Keys(error) => error.into(),
        }
    }
}

impl From<RehearseError> for Problem {
    fn from(error: RehearseError) -> Self {
        match error {
            RehearseError::CannotRotate(error) => Self::conflict("no_standby", error.to_string()),
            RehearseError::Signing(error) => Self::internal().because(&error),
            RehearseError::MayNotSign(error) => error.into(),
            RehearseError::Store(error) => error.into(),
        }
    }
}

impl From<ProbeError> for Problem {
    fn from(error: ProbeError) -> Self {
        match error {
            ProbeError::NoSuchEvent(_) => Self::invalid_one("/event", error),
            ProbeError::MayNotSign(error) => error.into(),
            ProbeError::Store(error) => error.into(),
        }
    }
}

impl From<MayNotSign> for Problem {
    fn from(error: MayNotSign) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "may_not_sign", "Not available", error.to_string())
    }
}

impl From<SchemaFault> for Fault {
    fn from(fault: SchemaFault) -> Self {
        Self { pointer: fault.pointer, detail: fault.detail }
    }
}

impl From<CatalogueError> for Problem {
    fn from(error: CatalogueError) -> Self {
        match error {
            CatalogueError::Faulty(faults) => Self::invalid(faults.into_iter().map(Fault::from).collect()),
            CatalogueError::TooMany | CatalogueError::TooLarge => {
                Self::conflict("catalogue_full", format!("{error}; delete event types that nobody publishes any more"))
            }
            CatalogueError::NoTenant => Self::unknown_tenant(),
            CatalogueError::Store(error) => error.into(),
        }
    }
}

impl From<JudgeError> for Problem {
    fn from(error: JudgeError) -> Self {
        match error {
            JudgeError::Store(error) => error.into(),
            JudgeError::Unusable(_) => Self::internal().because(&error),
            JudgeError::Overloaded => IngestError::Overloaded.into(),
        }
    }
}

impl From<TenantError> for Problem {
    fn from(error: TenantError) -> Self {
        match error {
            TenantError::CannotCutOver(error) => Self::invalid_one("/cut_over", error.to_string()),
            TenantError::Keys(error) => error.into(),
        }
    }
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::Blocked => Self::invalid_one("/url", UNREACHABLE_HOST),
            WebhookError::KeySetBlocked => Self::invalid_one("/encryption/jwks_url", UNREACHABLE_HOST),
            WebhookError::NotEncrypted => {
                let fault =
                    |pointer: &str, detail: &str| Fault { pointer: pointer.to_owned(), detail: detail.to_owned() };
                Self::invalid(vec![
                    fault("/format", "is one whose receivers do not know data that is encrypted; choose another one"),
                    fault(
                        "/encryption",
                        "is not known to receivers of this format; leave it out, or take it away with null",
                    ),
                ])
            }
            WebhookError::Header(error) => Self::invalid_one("/headers", error),
            WebhookError::MalformedSecret(error) => Self::invalid_one("/secret", error),
            WebhookError::UnsuitableSecret => Self::invalid_one("/format", error),
            WebhookError::MalformedClientCertificate(error) => Self::invalid_one(
                if error.is_of_key() { "/client_certificate/private_key" } else { "/client_certificate/certificate" },
                error,
            ),
            WebhookError::TooManySecrets(error) => Self::conflict("too_many_secrets", error.to_string()),
            WebhookError::MethodIsFixed => Self::invalid_one("/delivery", error),
            WebhookError::Collects(members) if members.is_empty() => Self::conflict(
                "webhook_pulls",
                "its receiver collects its deliveries, and shows by that alone that it wants them; nothing is to be activated",
            ),
            WebhookError::Collects(members) => {
                let fault = |name: &str| Fault { pointer: format!("/{name}"), detail: OF_SENDING.to_owned() };
                Self::invalid(members.into_iter().map(fault).collect())
            }
            WebhookError::IsSentTo => Self::conflict("webhook_pushes", error.to_string()),
            WebhookError::TooManyPullKeys => Self::conflict("too_many_secrets", error.to_string()),
            WebhookError::Declared => Self::conflict(
                "webhook_declared",
                "the operator declares this webhook, in signet.toml or SIGNET_WEBHOOKS; it is changed there, and by the next start of the server",
            ),
            WebhookError::TooMany => Self::conflict("too_many_webhooks", error.to_string()),
            WebhookError::Contended => Self::conflict("contended", "somebody else is changing this webhook; try again"),
            WebhookError::Store(error) => error.into(),
            WebhookError::Signing(error) => Self::internal().because(&error),
            WebhookError::NoRandomness(error) => Self::internal().because(&error),
            WebhookError::MayNotSign(error) => error.into(),
        }
    }
}

impl From<HookError> for Problem {
    fn from(error: HookError) -> Self {
        match error {
            HookError::Overloaded => Self::too_many_questions(),
            HookError::Panicked => Self::internal(),
            HookError::Store(error) => error.into(),
        }
    }
}

impl From<HookConfigError> for Problem {
    fn from(error: HookConfigError) -> Self {
        match error {
            HookConfigError::NoUrl(kind) => Self::invalid_one(format!("/hooks/{}/url", kind.as_str()), "is required"),
            HookConfigError::Blocked(kind) => Self::invalid_one(format!("/hooks/{}", kind.as_str()), UNREACHABLE_HOST),
            HookConfigError::MalformedSecret(error) => Self::invalid_one("/secret", error),
            HookConfigError::TooManySecrets(error) => Self::conflict("too_many_secrets", error.to_string()),
            HookConfigError::NoRandomness(error) => Self::internal().because(&error),
            HookConfigError::Store(error) => error.into(),
            HookConfigError::Signing(error) => Self::internal().because(&error),
            HookConfigError::Keys(error) => error.into(),
        }
    }
}

impl From<PollError> for Problem {
    fn from(error: PollError) -> Self {
        match error {
            PollError::Ended => Self::no_pull_key(),
            PollError::TooManyHere => {
                Self::too_many_polls(format!("{error}; let one of them answer first, or poll with returnImmediately"))
            }
            PollError::TooMany => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "Overloaded",
                format!("{error}; try again, or poll with returnImmediately"),
            ),
            PollError::MayNotSign(error) => error.into(),
            PollError::Signing(_) => Self::internal().because(&error),
            PollError::NoKey(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "encryption_key",
                "No key to encrypt to",
                format!("{error}; deliveries are handed over when there is one, and never in clear"),
            ),
            PollError::Store(error) => error.into(),
        }
    }
}

impl From<CreateKeyError> for Problem {
    fn from(error: CreateKeyError) -> Self {
        match error {
            CreateKeyError::Store(error) => error.into(),
            CreateKeyError::NoRandomness(error) => Self::internal().because(&error),
        }
    }
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        match error {
            CallError::WrongFormat(_) => Self::conflict("wrong_format", error.to_string()),
            CallError::Disabled => Self::conflict("webhook_disabled", error.to_string()),
            CallError::Pending => Self::conflict("webhook_pending", error.to_string()),
            CallError::TooMany => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_calls", "Too many calls", error.to_string())
            }
            CallError::Failed(failure) => failure.into(),
            CallError::Signing(error) => Self::internal().because(&error),
            CallError::MayNotSign(error) => error.into(),
            CallError::Store(error) => error.into(),
        }
    }
}

/// Statuses and codes of these are the domain's.
impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let doubt = if failure.is_in_doubt() { "; whether it was done is not known" } else { "" };
        let detail = match &failure {
            Failure::Refused { code, message, .. } => format!("the receiver answered {}: {message}", code.as_str()),
            Failure::Unverified { message } => format!(
                "the receiver could not verify that it was asked by this webhook: {message}; compare its secret, its clock and the tenant's header_prefix"
            ),
            Failure::Malformed { detail } => format!("what the receiver answered cannot be used: {detail}{doubt}"),
            Failure::Unanswered(FailureKind::Internal) => return Self::internal(),
            // The same for every address, so that nobody can map a network by asking.
            Failure::Unanswered(FailureKind::Blocked) => {
                format!("the webhook's URL {UNREACHABLE_HOST}")
            }
            Failure::Unanswered(kind) => format!("the receiver did not answer ({}){doubt}", kind.as_str()),
        };
        let Told { status, code } = failure.told();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
        Self { retry_after: failure.retry_after(), ..Self::new(status, code, "No answer of the receiver's", detail) }
    }
}
