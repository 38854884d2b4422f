//! Why no answer came, in words that a log keeps and that its reader acts on.

/// Why no answer came, or none that may be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The name could not be resolved.
    Dns,
    /// The address is not one that webhooks may reach.
    Blocked,
    /// No connection came about.
    Connect,
    /// The certificate or the handshake was refused.
    Tls(TlsFault),
    /// The time for an attempt was up.
    Timeout,
    /// The connection broke, or what came back was not HTTP.
    Protocol,
    /// The answer was larger than answers of its kind may be.
    TooLarge,
    /// There was no key to encrypt the delivery to; the receiver never heard of it.
    EncryptionKey,
    /// We could not sign or write the delivery; the receiver never heard of it.
    Internal,
}

/// What was wrong with a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFault {
    /// None of the others.
    Handshake,
    WrongName,
    Expired,
    NotYetValid,
    SelfSigned,
    UnknownIssuer,
    IncompleteChain,
    Revoked,
    /// The certificate itself is not one that may be trusted, whoever issued it.
    Unusable,
    TooOld,
    CertificateWanted,
    CertificateRefused,
}

impl TlsFault {
    const ALL: [Self; 12] = [
        Self::Handshake,
        Self::WrongName,
        Self::Expired,
        Self::NotYetValid,
        Self::SelfSigned,
        Self::UnknownIssuer,
        Self::IncompleteChain,
        Self::Revoked,
        Self::Unusable,
        Self::TooOld,
        Self::CertificateWanted,
        Self::CertificateRefused,
    ];

    /// As it is kept.
    fn as_str(self) -> &'static str {
        match self {
            Self::Handshake => "tls",
            Self::WrongName => "tls_wrong_name",
            Self::Expired => "tls_expired",
            Self::NotYetValid => "tls_not_yet_valid",
            Self::SelfSigned => "tls_self_signed",
            Self::UnknownIssuer => "tls_unknown_issuer",
            Self::IncompleteChain => "tls_incomplete_chain",
            Self::Revoked => "tls_revoked",
            Self::Unusable => "tls_unusable",
            Self::TooOld => "tls_too_old",
            Self::CertificateWanted => "tls_certificate_wanted",
            Self::CertificateRefused => "tls_certificate_refused",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Handshake => "the TLS handshake failed: the server broke it off, or does not speak TLS at this port",
            Self::WrongName => "the server's certificate is for another name than the URL's host",
            Self::Expired => "the server's certificate, or one that it depends on, has expired",
            Self::NotYetValid => "the server's certificate, or one that it depends on, is not valid yet",
            Self::SelfSigned => "the server's certificate is self-signed: nobody vouches for it",
            Self::UnknownIssuer => "the server's certificate was issued by an authority that is not trusted here",
            Self::IncompleteChain => {
                "incomplete chain: the server did not send its intermediate certificate, or has its own from an authority that is not trusted here"
            }
            Self::Revoked => "the server's certificate was revoked",
            Self::Unusable => {
                "the server's certificate is not one that a server may have: its form, its purpose, its algorithm or its signature is wrong"
            }
            Self::TooOld => "the server speaks no TLS of version 1.2 or later",
            Self::CertificateWanted => "the server wants a client certificate, and this webhook has none",
            Self::CertificateRefused => "the server refused this webhook's client certificate",
        }
    }
}

impl FailureKind {
    /// The kinds, as they are told apart.
    pub const ALL: [Self; 9] = [
        Self::Dns,
        Self::Blocked,
        Self::Connect,
        Self::Tls(TlsFault::Handshake),
        Self::Timeout,
        Self::Protocol,
        Self::TooLarge,
        Self::EncryptionKey,
        Self::Internal,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Blocked => "blocked",
            Self::Connect => "connect",
            Self::Tls(_) => "tls",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::TooLarge => "too_large",
            Self::EncryptionKey => "encryption_key",
            Self::Internal => "internal",
        }
    }

    /// As it is kept: the kind, and what it was in particular.
    pub fn record(self) -> &'static str {
        match self {
            Self::Tls(fault) => fault.as_str(),
            kind => kind.as_str(),
        }
    }

    pub fn from_record(text: &str) -> Option<Self> {
        let fault = || TlsFault::ALL.into_iter().find(|fault| fault.as_str() == text).map(Self::Tls);
        Self::ALL.into_iter().find(|kind| kind.record() == text).or_else(fault)
    }

    /// What it means, for whoever runs the receiver. One answer for every address that may not be reached.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Dns => "the URL's host could not be resolved",
            Self::Blocked => "the URL's host may not be reached by webhooks",
            Self::Connect => "no connection came about: the server did not answer, or refused it",
            Self::Tls(fault) => fault.sentence(),
            Self::Timeout => {
                "the time was up before the server had answered: that of the attempt, or the 5 s that a connection may take"
            }
            Self::Protocol => "the connection broke before an answer came, or what came back was not HTTP/1.1",
            Self::TooLarge => "the answer was larger than it may be",
            Self::EncryptionKey => "there was no key to encrypt the delivery to; the receiver never heard of it",
            Self::Internal => "the delivery could not be written or signed; the receiver never heard of it",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again_and_each_has_its_own_sentence() {
        let faults = TlsFault::ALL.into_iter().map(FailureKind::Tls);
        let all: Vec<FailureKind> = FailureKind::ALL.into_iter().chain(faults).collect();

        for kind in &all {
            assert_eq!(FailureKind::from_record(kind.record()), Some(*kind));
        }
        let mut sentences: Vec<&str> = all.iter().map(|kind| kind.sentence()).collect();
        sentences.sort_unstable();
        sentences.dedup();
        // The generic handshake is in both lists.
        assert_eq!(sentences.len(), all.len() - 1);
        assert_eq!(FailureKind::from_record("tls_"), None);
    }
}
