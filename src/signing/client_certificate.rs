//! Certificates that deliveries show, read from PEM and proven to be what they claim before they are kept.

use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use openssl::x509::{X509, X509NameRef, X509Ref};
use zeroize::Zeroizing;

use crate::domain::secret::Secret;
use crate::domain::shown::plain;
use crate::domain::time::Timestamp;
use crate::domain::webhook::client_certificate::{CHAIN_BYTES_MAX, CHAIN_MAX, KEY_BYTES_MAX};
use crate::domain::webhook::{ClientCertificate, ClientCertificateWish, MalformedClientCertificate};

use super::{ClientSecret, digest};

const RSA_BITS_MIN: u32 = 2_048;

/// A certificate with its private key, as whoever speaks TLS wants them.
pub struct ClientIdentity {
    /// The digest of the certificate.
    pub id: [u8; 32],
    /// DER, its own certificate first.
    pub chain: Vec<Vec<u8>>,
    /// PKCS #8, DER.
    pub private_key: Zeroizing<Vec<u8>>,
}

/// Judges a wish; answers what is shown of it, and what is to be sealed.
pub fn read(
    wish: &ClientCertificateWish,
    now: Timestamp,
) -> Result<(ClientCertificate, ClientSecret), MalformedClientCertificate> {
    let certificates = chain(&wish.chain)?;
    let leaf = certificates.first().ok_or(MalformedClientCertificate::Chain)?;
    let is_issued = |pair: &[X509]| pair[0].issuer_name().try_cmp(pair[1].subject_name()).is_ok_and(|it| it.is_eq());
    if !certificates.windows(2).all(is_issued) {
        return Err(MalformedClientCertificate::Order);
    }
    let ends: Option<Vec<Timestamp>> = certificates.iter().map(|it| instant(it.not_after())).collect();
    if ends.as_ref().is_some_and(|ends| ends.iter().any(|at| *at <= now)) {
        return Err(MalformedClientCertificate::Expired);
    }
    // The chain holds for as long as all of it does.
    let expires_at = ends.and_then(|ends| ends.into_iter().min()).ok_or(MalformedClientCertificate::Chain)?;
    if !is_strong(leaf).unwrap_or(false) {
        return Err(MalformedClientCertificate::Weak);
    }
    let key = private_key(wish.private_key.reveal())?;
    if !leaf.public_key().is_ok_and(|public| public.public_eq(&key)) {
        return Err(MalformedClientCertificate::OtherKey);
    }
    let shown = ClientCertificate { subject: name(leaf.subject_name()), expires_at, chain: pem(&certificates)? };
    let sealed = key.private_key_to_pem_pkcs8().ok().and_then(|pem| String::from_utf8(pem).ok());
    let private_key = Secret::new(sealed.ok_or(MalformedClientCertificate::Key)?);
    let secret = ClientSecret { chain: shown.chain.clone(), private_key };
    Ok((shown, secret))
}

/// Reads again what was kept.
pub fn identity(secret: &ClientSecret) -> Option<ClientIdentity> {
    let certificates = chain(&secret.chain).ok()?;
    let chain: Option<Vec<Vec<u8>>> = certificates.iter().map(|certificate| certificate.to_der().ok()).collect();
    let chain = chain?;
    let private_key = private_key(secret.private_key.reveal()).ok()?.private_key_to_pkcs8().ok()?;
    Some(ClientIdentity { id: digest::sha256(chain.first()?), chain, private_key: Zeroizing::new(private_key) })
}

fn chain(text: &str) -> Result<Vec<X509>, MalformedClientCertificate> {
    if text.len() > CHAIN_BYTES_MAX {
        return Err(MalformedClientCertificate::Chain);
    }
    let certificates = X509::stack_from_pem(text.as_bytes()).map_err(|_| MalformedClientCertificate::Chain)?;
    let fits = (1..=CHAIN_MAX).contains(&certificates.len());
    // A private key that was pasted here too would be shown to whoever may read webhooks, were it not left out.
    if fits && !text.contains("PRIVATE KEY") { Ok(certificates) } else { Err(MalformedClientCertificate::Chain) }
}

/// Only what was understood is kept, without what stood between.
fn pem(certificates: &[X509]) -> Result<String, MalformedClientCertificate> {
    let all: Result<Vec<Vec<u8>>, ErrorStack> = certificates.iter().map(|certificate| certificate.to_pem()).collect();
    let text = all.ok().and_then(|all| String::from_utf8(all.concat()).ok());
    text.ok_or(MalformedClientCertificate::Chain)
}

fn private_key(text: &str) -> Result<PKey<Private>, MalformedClientCertificate> {
    // Of several, the library would take the first and say nothing.
    let is_one =
        text.lines().filter(|line| line.starts_with("-----BEGIN") && line.contains("PRIVATE KEY")).count() == 1;
    let fits = is_one && text.len() <= KEY_BYTES_MAX;
    // Without a password of its own the library would ask for one at the terminal.
    let key = PKey::private_key_from_pem_callback(text.as_bytes(), |_| Err(ErrorStack::get()));
    key.ok().filter(|_| fits).ok_or(MalformedClientCertificate::Key)
}

fn is_strong(certificate: &X509Ref) -> Result<bool, ErrorStack> {
    let key = certificate.public_key()?;
    Ok(match key.id() {
        Id::RSA => key.bits() >= RSA_BITS_MIN,
        Id::EC => {
            let curve = key.ec_key()?.group().curve_name();
            curve.is_some_and(|curve| [Nid::X9_62_PRIME256V1, Nid::SECP384R1, Nid::SECP521R1].contains(&curve))
        }
        Id::ED25519 => true,
        _ => false,
    })
}

fn name(name: &X509NameRef) -> String {
    let part = |entry: &openssl::x509::X509NameEntryRef| {
        let text = entry.data().to_string().unwrap_or_default();
        format!("{}={}", entry.object().nid().short_name().unwrap_or("?"), plain(&text))
    };
    name.entries().map(part).collect::<Vec<_>>().join(", ")
}

fn instant(time: &Asn1TimeRef) -> Option<Timestamp> {
    let epoch = Asn1Time::from_unix(0).ok()?;
    let since = epoch.diff(time).ok()?;
    let seconds = i64::from(since.days) * 86_400 + i64::from(since.secs);
    Some(Timestamp::from_micros(seconds.checked_mul(1_000_000)?))
}
