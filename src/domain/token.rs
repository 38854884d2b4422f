//! What a token says and how it is signed, before anybody signs it.

use super::time::Timestamp;

/// The signature algorithms of RFC 7518 and RFC 8037 that a tenant may choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    Es256,
    Es384,
    Rs256,
    Ps256,
    EdDsa,
}

impl Algorithm {
    pub const ALL: [Self; 5] = [Self::Es256, Self::Es384, Self::Rs256, Self::Ps256, Self::EdDsa];

    /// The `alg` of JOSE headers and JWKs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::EdDsa => "EdDSA",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == text)
    }
}

/// What a token says that it is, in its header's `typ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenType {
    Jwt,
    /// For receivers that tell tokens of webhooks from others by their header (RFC 8725 3.11).
    Webhook,
    /// A Security Event Token (RFC 8417 2.3).
    SecurityEvent,
    /// The question that an authentication hook is asked.
    Hook,
}

impl TokenType {
    pub const ALL: [Self; 4] = [Self::Jwt, Self::Webhook, Self::SecurityEvent, Self::Hook];
    /// What a webhook may choose from; the others belong to what they are.
    pub const CHOICES: [Self; 2] = [Self::Jwt, Self::Webhook];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jwt => "JWT",
            Self::Webhook => "webhook+jwt",
            Self::SecurityEvent => "secevent+jwt",
            Self::Hook => "hook+jwt",
        }
    }

    /// One that a webhook may choose.
    pub fn parse(text: &str) -> Option<Self> {
        Self::CHOICES.into_iter().find(|token_type| token_type.as_str() == text)
    }
}

/// How long a token may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenTtl(u16);

/// The span is no lifetime a token may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a token lives {min} to {max} seconds", min = TokenTtl::MIN, max = TokenTtl::MAX)]
pub struct ImpossibleTtl;

impl TokenTtl {
    pub const MIN: u16 = 60;
    pub const MAX: u16 = 3_600;
    pub const STANDARD: Self = Self(300);
    /// Of a question that must be answered within seconds.
    pub const SHORTEST: Self = Self(Self::MIN);

    pub fn from_seconds(seconds: i64) -> Result<Self, ImpossibleTtl> {
        match u16::try_from(seconds) {
            Ok(seconds) if (Self::MIN..=Self::MAX).contains(&seconds) => Ok(Self(seconds)),
            _ => Err(ImpossibleTtl),
        }
    }

    pub fn as_seconds(self) -> u16 {
        self.0
    }
}

/// When a token was issued and when it ends: NumericDates in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    pub iat: i64,
    pub exp: i64,
}

impl Validity {
    /// Receivers whose clock is behind ours refuse a token "from the future", so it is dated back by this much.
    pub const BACKDATED_SECONDS: i64 = 5;

    /// The validity of a token signed at `now`.
    pub fn starting(now: Timestamp, ttl: TokenTtl) -> Self {
        let iat = now.as_seconds() - Self::BACKDATED_SECONDS;
        Self { iat, exp: iat + i64::from(ttl.as_seconds()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_dated_back_and_lives_as_long_as_its_tenant_says() {
        let validity = Validity::starting(Timestamp::from_micros(1_000_000_000), TokenTtl::STANDARD);

        assert_eq!(validity, Validity { iat: 995, exp: 1_295 });
    }

    #[test]
    fn a_lifetime_outside_its_bounds_is_refused() {
        assert_eq!(TokenTtl::from_seconds(59), Err(ImpossibleTtl));
        assert_eq!(TokenTtl::from_seconds(3_601), Err(ImpossibleTtl));
        assert_eq!(TokenTtl::from_seconds(-1), Err(ImpossibleTtl));
        assert!(TokenTtl::from_seconds(60).is_ok());
    }
}
