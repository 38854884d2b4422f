//! How a tenant's dialect is shown and wished for.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::patch::{Patched, not_null};
use crate::api::body::Faults;
use crate::api::openapi::shapes;
use crate::domain::dialect::{Dialect, EventBase, HeaderPrefix, SignatureScheme};
use crate::engine::tenants::DialectChange;

/// How deliveries speak where receivers' vendors differ.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Dialect)]
pub(super) struct DialectView {
    #[schema(value_type = shapes::HeaderPrefix)]
    header_prefix: String,
    #[schema(value_type = shapes::SignatureScheme)]
    signature_scheme: &'static str,
    #[schema(value_type = shapes::EventBase)]
    event_base: String,
}

impl DialectView {
    pub(super) fn of(dialect: &Dialect, issuer: &str) -> Self {
        Self {
            header_prefix: dialect.prefix.as_str().to_owned(),
            signature_scheme: dialect.scheme.as_str(),
            event_base: dialect.event_base_of(issuer).into_owned(),
        }
    }
}

/// What of it shall be otherwise; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DialectWish {
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = shapes::HeaderPrefix, required = false)]
    header_prefix: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = shapes::SignatureScheme, required = false)]
    signature_scheme: Option<String>,
    /// Null is the issuer's own again.
    #[serde(default)]
    #[schema(value_type = Option<shapes::EventBase>)]
    event_base: Patched<String>,
}

impl DialectWish {
    pub(super) fn change(self, faults: &mut Faults) -> DialectChange {
        let known = SignatureScheme::ALL.map(SignatureScheme::as_str).join(" or ");
        let scheme = |text: String| {
            let scheme = SignatureScheme::parse(&text).ok_or_else(|| format!("is {known}"));
            faults.take("/dialect/signature_scheme", scheme)
        };
        let scheme = self.signature_scheme.and_then(scheme);
        let prefix = self.header_prefix.map(|text| HeaderPrefix::parse(&text));
        DialectChange {
            prefix: prefix.and_then(|prefix| faults.take("/dialect/header_prefix", prefix)),
            scheme,
            event_base: self.event_base.choice(|text| faults.take("/dialect/event_base", EventBase::parse(&text))),
        }
    }
}
