//! How receivers keep the JWKS, library by library, as they are documented or were read and measured.

use std::time::Duration;

/// When a set is fetched anew although every token is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// Never.
    Never,
    /// With the first token after it has expired.
    Asked(Duration),
    /// By a timer, tokens or not.
    Timer(Duration),
    /// With the first token after it has expired, but behind its back: that one is still checked with the expired set.
    Late(Duration),
}

/// What is done about a key that is not in the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// The token is refused.
    Refused,
    /// The set is fetched anew first, unless it was fetched less than this long ago.
    AskedFor(Duration),
    /// The token is refused, and the set fetched behind its back, at most this often.
    AskedForLater(Duration),
}

/// What is done with the set when it should be fetched anew and no answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    Kept,
    Forgotten,
}

/// Keys that are kept one by one, before any set is asked.
#[derive(Debug, Clone, Copy)]
pub struct PerKey {
    pub most: usize,
    pub lives_for: Duration,
}

#[derive(Debug, Clone, Copy)]
pub struct Library {
    pub name: &'static str,
    pub renewal: Renewal,
    pub unknown: Unknown,
    pub unanswered: Unanswered,
    pub per_key: Option<PerKey>,
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const FOR_EVER: Duration = Duration::MAX;
const AT_ANY_TIME: Unknown = Unknown::AskedFor(Duration::ZERO);

const fn library(name: &'static str, renewal: Renewal, unknown: Unknown, unanswered: Unanswered) -> Library {
    Library { name, renewal, unknown, unanswered, per_key: None }
}

const fn per_key(library: Library, most: usize, lives_for: Duration) -> Library {
    Library { per_key: Some(PerKey { most, lives_for }), ..library }
}

const fn minutes(count: u32) -> Duration {
    MINUTE.saturating_mul(count)
}

const fn hours(count: u32) -> Duration {
    HOUR.saturating_mul(count)
}

use Renewal::{Asked, Late, Never, Timer};
use Unanswered::{Forgotten, Kept};
use Unknown::{AskedFor, AskedForLater, Refused};

pub const LIBRARIES: [Library; 25] = [
    library("jose (node) createRemoteJWKSet", Asked(minutes(10)), AskedFor(SECOND.saturating_mul(30)), Forgotten),
    per_key(library("jwks-rsa (node)", Asked(Duration::ZERO), AT_ANY_TIME, Forgotten), 5, minutes(10)),
    per_key(
        library("jwks-rsa (node), rate limit on", Asked(Duration::ZERO), AskedFor(SECOND.saturating_mul(6)), Forgotten),
        5,
        minutes(10),
    ),
    per_key(library("jwks-rsa-java", Never, AskedFor(SECOND.saturating_mul(6)), Kept), 5, hours(10)),
    library("PyJWT PyJWKClient", Asked(minutes(5)), AT_ANY_TIME, Forgotten),
    per_key(library("PyJWT PyJWKClient, cache_keys", Asked(minutes(5)), AT_ANY_TIME, Forgotten), 16, FOR_EVER),
    library("Authlib OIDC client", Never, AT_ANY_TIME, Kept),
    library("go-oidc RemoteKeySet", Never, AT_ANY_TIME, Kept),
    library("keyfunc / jwkset (go)", Timer(HOUR), AskedFor(minutes(5)), Kept),
    library("jwx jwk.Cache (go)", Timer(minutes(15)), Refused, Kept),
    library("Nimbus JWKSourceBuilder", Asked(minutes(5)), AskedFor(SECOND.saturating_mul(30)), Forgotten),
    library("Spring NimbusJwtDecoder", Asked(minutes(5)), AT_ANY_TIME, Forgotten),
    library(".NET ConfigurationManager", Late(hours(12)), AskedForLater(minutes(5)), Kept),
    library("php-jwt CachedKeySet", Never, AT_ANY_TIME, Kept),
    library("php-jwt CachedKeySet, rate limit on", Never, AskedFor(SECOND.saturating_mul(6)), Kept),
    library("ruby-jwt as its README shows", Never, AskedFor(minutes(5)), Kept),
    library("Istio", Timer(minutes(20)), Refused, Kept),
    library("Envoy", Timer(minutes(10)), Refused, Kept),
    library("AWS REST API authorizer", Asked(HOUR), AT_ANY_TIME, Forgotten),
    library("AWS HTTP API authorizer", Asked(hours(2)), Refused, Kept),
    library("Confluent Cloud", Asked(minutes(5)), Refused, Kept),
    // A proxy that takes Cache-Control away makes it fall back to a day.
    library("Confluent Cloud without max-age", Asked(hours(24)), Refused, Kept),
    library("TIBCO EMS", Asked(hours(24)), AskedFor(minutes(5)), Kept),
    library("SmallRye JWT", Asked(HOUR), AskedFor(minutes(30)), Kept),
    // The worst that any of them could be.
    library("a day by a timer", Timer(hours(24)), Refused, Kept),
];
