//! What a webhook's record keeps sealed: the secrets and the key pairs that sign its deliveries, and the values of its own headers.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::WebhookKeyPair;
use super::digest::{self, WebhookSecret};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::domain::webhook::{CustomHeaders, Format, HeaderName, MalformedSecret, secret};

/// How many secrets sign at a time.
const SECRETS_MAX: usize = 8;

/// There are as many secrets as may be: a receiver would have to try all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{SECRETS_MAX} secrets sign already; wait until the overlap of one ends")]
pub struct TooManySecrets;

/// A secret, and when it signs no more.
pub struct SharedSecret {
    text: Secret<String>,
    pub expires_at: Option<Timestamp>,
}

/// What a webhook's record keeps sealed.
pub struct Confidential {
    /// Oldest first; the last does not expire.
    secrets: Vec<SharedSecret>,
    /// The private halves of its key pairs, likewise; none where no signatures of one were asked for.
    key_pairs: Vec<SharedSecret>,
    pub headers: CustomHeaders,
    /// What its deliveries show receivers that want to know who comes.
    pub client: Option<ClientSecret>,
}

/// A client certificate's chain and private key, as PEM. They lie together, so that one never meets another's other half.
#[derive(Debug, Clone)]
pub struct ClientSecret {
    pub chain: String,
    pub private_key: Secret<String>,
}

/// How it is written.
#[derive(Serialize, Deserialize)]
struct Record {
    secrets: Vec<SecretRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    key_pairs: Vec<SecretRecord>,
    headers: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client: Option<ClientRecord>,
}

#[derive(Serialize, Deserialize)]
struct ClientRecord {
    chain: String,
    private_key: String,
}

#[derive(Serialize, Deserialize)]
struct SecretRecord {
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
}

impl Drop for Record {
    fn drop(&mut self) {
        let secrets = self.secrets.iter_mut().chain(&mut self.key_pairs);
        secrets.for_each(|secret| secret.text.zeroize());
        self.headers.iter_mut().for_each(|(_, value)| value.zeroize());
        self.client.iter_mut().for_each(|client| client.private_key.zeroize());
    }
}

impl Confidential {
    pub fn new(secret: Secret<String>, headers: CustomHeaders) -> Self {
        let secrets = vec![SharedSecret { text: secret, expires_at: None }];
        Self { secrets, key_pairs: Vec::new(), headers, client: None }
    }

    /// Reads what was sealed. A record of a webhook that never had more than one secret may be that secret alone.
    pub fn read(plain: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(plain).ok()?;
        // Another vendor's secret never stood alone, and might look like a record.
        if secret::read(text).is_ok() {
            return Some(Self::new(Secret::new(text.to_owned()), CustomHeaders::default()));
        }
        let record: Record = serde_json::from_str(text).ok()?;
        let mut headers = CustomHeaders::default();
        for (name, value) in &record.headers {
            headers.set(HeaderName::from_record(name)?, Secret::new(value.clone())).ok()?;
        }
        let (secrets, key_pairs) = (read_all(&record.secrets), read_all(&record.key_pairs));
        let client = record.client.as_ref().map(|client| ClientSecret {
            chain: client.chain.clone(),
            private_key: Secret::new(client.private_key.clone()),
        });
        if secrets.is_empty() { None } else { Some(Self { secrets, key_pairs, headers, client }) }
    }

    /// What is to be sealed.
    pub fn write(&self) -> Zeroizing<Vec<u8>> {
        let headers = self.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.to_owned()));
        let (secrets, key_pairs) = (write_all(&self.secrets), write_all(&self.key_pairs));
        let client = self.client.as_ref().map(|client| ClientRecord {
            chain: client.chain.clone(),
            private_key: client.private_key.reveal().clone(),
        });
        let record = Record { secrets, key_pairs, headers: headers.collect(), client };
        Zeroizing::new(serde_json::to_vec(&record).unwrap_or_default())
    }

    /// Puts another secret in the place of the one that does not expire, which goes on signing until an instant. What has
    /// expired is forgotten, and nothing signs for longer than was said before.
    pub fn rotate(&mut self, next: Secret<String>, until: Timestamp, now: Timestamp) -> Result<(), TooManySecrets> {
        put_last(&mut self.secrets, next, until, now)
    }

    /// The same for its key pair, of which this is the private half.
    pub fn rotate_key_pair(
        &mut self,
        next: Secret<String>,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), TooManySecrets> {
        put_last(&mut self.key_pairs, next, until, now)
    }

    /// What was to overlap signs no more, of secrets and key pairs alike.
    pub fn end_overlaps(&mut self) {
        for secrets in [&mut self.secrets, &mut self.key_pairs] {
            secrets.retain(|secret| secret.expires_at.is_none());
        }
    }

    /// From now on no key pair signs.
    pub fn forget_key_pairs(&mut self) {
        self.key_pairs.clear();
    }

    /// Whether this is the secret that does not expire.
    pub fn is_signed_with(&self, secret: &Secret<String>) -> bool {
        let lasting = self.secrets.last().map(|lasting| lasting.text.reveal().as_bytes());
        lasting.is_some_and(|lasting| digest::equal(lasting, secret.reveal().as_bytes()))
    }

    /// Whether the secret that does not expire is one for this format. Those that do may be of any form: their signatures stand
    /// beside its own.
    pub fn suits(&self, format: Format) -> Result<(), MalformedSecret> {
        self.secrets.last().map_or(Ok(()), |lasting| secret::suits(lasting.text.reveal(), format))
    }

    /// Whether as many secrets sign as may.
    pub fn is_full(&self, now: Timestamp) -> bool {
        let signs = |secret: &&SharedSecret| secret.expires_at.is_none_or(|at| now < at);
        self.secrets.iter().filter(signs).count() >= SECRETS_MAX
    }

    /// The secrets, ready to sign, newest first: a receiver that knows one tries the likeliest first.
    pub fn signers(&self) -> Option<Vec<(WebhookSecret, Option<Timestamp>)>> {
        let signer = |secret: &SharedSecret| Some((WebhookSecret::parse(secret.text.reveal())?, secret.expires_at));
        self.secrets.iter().rev().map(signer).collect()
    }

    /// The key pairs, likewise.
    pub fn key_pairs(&self) -> Option<Vec<(WebhookKeyPair, Option<Timestamp>)>> {
        let pair = |secret: &SharedSecret| Some((WebhookKeyPair::parse(secret.text.reveal())?, secret.expires_at));
        self.key_pairs.iter().rev().map(pair).collect()
    }
}

fn put_last(
    secrets: &mut Vec<SharedSecret>,
    next: Secret<String>,
    until: Timestamp,
    now: Timestamp,
) -> Result<(), TooManySecrets> {
    for secret in &mut *secrets {
        secret.expires_at = Some(secret.expires_at.unwrap_or(until));
    }
    secrets.retain(|secret| secret.expires_at.is_some_and(|at| at > now));
    if secrets.len() >= SECRETS_MAX {
        return Err(TooManySecrets);
    }
    secrets.push(SharedSecret { text: next, expires_at: None });
    Ok(())
}

fn read_all(records: &[SecretRecord]) -> Vec<SharedSecret> {
    let read = |record: &SecretRecord| SharedSecret {
        text: Secret::new(record.text.clone()),
        expires_at: record.expires_at.map(Timestamp::from_micros),
    };
    records.iter().map(read).collect()
}

fn write_all(secrets: &[SharedSecret]) -> Vec<SecretRecord> {
    let write = |secret: &SharedSecret| SecretRecord {
        text: secret.text.reveal().clone(),
        expires_at: secret.expires_at.map(Timestamp::as_micros),
    };
    secrets.iter().map(write).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000);
    const LATER: Timestamp = Timestamp::from_micros(2_000_000);

    fn secret(number: u8) -> Secret<String> {
        Secret::new(WebhookSecret::text(&[number; 32]))
    }

    fn expiries(confidential: &Confidential) -> Vec<Option<Timestamp>> {
        confidential.signers().unwrap().into_iter().map(|(_, expires_at)| expires_at).collect()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut headers = CustomHeaders::default();
        headers.set(HeaderName::parse("authorization").unwrap(), Secret::new("Bearer a\"b".to_owned())).unwrap();
        let mut confidential = Confidential::new(secret(1), headers);
        confidential.rotate(secret(2), LATER, NOW).unwrap();

        let read = Confidential::read(&confidential.write()).unwrap();

        assert_eq!(expiries(&read), [None, Some(LATER)]);
        assert_eq!(read.headers.iter().map(|(_, value)| value).collect::<Vec<_>>(), ["Bearer a\"b"]);
    }

    #[test]
    fn a_record_that_is_a_secret_alone_is_read() {
        let read = Confidential::read(secret(1).reveal().as_bytes()).unwrap();

        assert_eq!(expiries(&read), [None]);
        assert!(Confidential::read(b"{\"secrets\":[],\"headers\":[]}").is_none());
        assert!(Confidential::read(b"nonsense").is_none());
    }

    #[test]
    fn a_vendor_s_secret_that_looks_like_a_record_is_read_as_what_it_is() {
        let text = r#"{"secrets":[{"text":"mine"}],"headers":[]}"#;
        let confidential = Confidential::new(Secret::new(text.to_owned()), CustomHeaders::default());

        let read = Confidential::read(&confidential.write()).unwrap();

        assert!(read.is_signed_with(&Secret::new(text.to_owned())) && read.signers().is_some());
        assert!(read.suits(Format::Signed).is_ok() && read.suits(Format::Token).is_err());
        assert!(
            Confidential::read(text.as_bytes()).is_some_and(|read| !read.is_signed_with(&Secret::new(text.to_owned())))
        );
    }

    #[test]
    fn a_secret_signs_until_its_overlap_ends_and_no_rotation_prolongs_it() {
        let mut confidential = Confidential::new(secret(1), CustomHeaders::default());

        confidential.rotate(secret(2), LATER, NOW).unwrap();
        confidential.rotate(secret(3), LATER.plus(std::time::Duration::from_secs(9)), NOW).unwrap();
        assert_eq!(expiries(&confidential)[2], Some(LATER));
        confidential.rotate(secret(4), LATER, LATER).unwrap();

        assert_eq!(expiries(&confidential).len(), 2, "the first has ended, and the third ends at once");
    }

    #[test]
    fn a_key_pair_is_kept_until_it_is_forgotten_and_rotates_as_a_secret_does() {
        let mut confidential = Confidential::new(secret(0), CustomHeaders::default());
        let pair = |number| WebhookKeyPair::text(&[number; 32]);

        confidential.rotate_key_pair(pair(1), LATER, NOW).unwrap();
        confidential.rotate_key_pair(pair(2), LATER, NOW).unwrap();
        let mut read = Confidential::read(&confidential.write()).unwrap();
        let kept = read.key_pairs().unwrap();
        read.forget_key_pairs();

        let public = |number| WebhookKeyPair::parse(pair(number).reveal()).unwrap().public_text();
        let kept: Vec<_> = kept.iter().map(|(pair, expires_at)| (pair.public_text(), *expires_at)).collect();
        assert_eq!(kept, [(public(2), None), (public(1), Some(LATER))]);
        assert!(Confidential::read(&read.write()).unwrap().key_pairs().unwrap().is_empty());
    }

    #[test]
    fn secrets_that_sign_at_a_time_are_bounded() {
        let mut confidential = Confidential::new(secret(0), CustomHeaders::default());
        for number in 1..8 {
            confidential.rotate(secret(number), LATER, NOW).unwrap();
        }

        assert_eq!(confidential.rotate(secret(9), LATER, NOW), Err(TooManySecrets));
    }
}
