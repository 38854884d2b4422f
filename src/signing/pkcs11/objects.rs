//! Our keys as a token keeps them: how they are made, told apart from others, found and destroyed.

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::types::Ulong;

use super::TokenError;
use super::sessions::Failure;
use super::uri::KeyUri;
use crate::domain::id::TenantId;
use crate::domain::token::Algorithm;
use crate::signing::KeptKey;

/// What the labels of our keys begin with.
const LABEL: &str = "signet ";
pub(super) const RSA_BYTES: usize = 256;
const RSA_BITS: Ulong = Ulong::new(2_048);
const RSA_EXPONENT: [u8; 3] = [1, 0, 1];
/// As long as the digest (RFC 7518 3.5).
const PSS_SALT_BYTES: Ulong = Ulong::new(32);
/// The curves by their object identifiers in DER (RFC 5480 2.1.1.1).
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
/// By its name, a PrintableString, which is what tokens have in common (PKCS #11 3.0 2.3.10).
const ED25519: &[u8] = b"\x13\x0cedwards25519";

/// The label of a tenant's keys. The token keeps it, and no row can change it.
pub(super) fn label(tenant_id: TenantId) -> String {
    format!("{LABEL}{tenant_id}")
}

/// The mechanism that signs for an algorithm. What ECDSA signs was hashed before: that is what every token can.
pub(super) fn mechanism(algorithm: Algorithm) -> Mechanism<'static> {
    match algorithm {
        Algorithm::Es256 | Algorithm::Es384 => Mechanism::Ecdsa,
        Algorithm::Rs256 => Mechanism::Sha256RsaPkcs,
        Algorithm::Ps256 => Mechanism::Sha256RsaPkcsPss(PkcsPssParams {
            hash_alg: MechanismType::SHA256,
            mgf: PkcsMgfType::MGF1_SHA256,
            s_len: PSS_SALT_BYTES,
        }),
        Algorithm::EdDsa => Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519)),
    }
}

/// Makes a key pair that stays in the token and signs; answers the public half's handle.
pub(super) fn generate(session: &Session, uri: &KeyUri, algorithm: Algorithm) -> Result<ObjectHandle, Failure> {
    let (mechanism, kind) = match algorithm {
        Algorithm::Es256 => (Mechanism::EccKeyPairGen, vec![Attribute::EcParams(P256.to_vec())]),
        Algorithm::Es384 => (Mechanism::EccKeyPairGen, vec![Attribute::EcParams(P384.to_vec())]),
        Algorithm::EdDsa => (Mechanism::EccEdwardsKeyPairGen, vec![Attribute::EcParams(ED25519.to_vec())]),
        Algorithm::Rs256 | Algorithm::Ps256 => (
            Mechanism::RsaPkcsKeyPairGen,
            vec![Attribute::ModulusBits(RSA_BITS), Attribute::PublicExponent(RSA_EXPONENT.to_vec())],
        ),
    };
    let mut public = named(uri);
    public.extend(kind);
    public.extend([Attribute::Private(false), Attribute::Verify(true)]);
    let mut private = named(uri);
    private.extend([
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
    ]);
    match session.generate_key_pair(&mechanism, &public, &private) {
        Ok((public, _)) => Ok(public),
        Err(Error::Pkcs11(
            RvError::MechanismInvalid | RvError::CurveNotSupported | RvError::DomainParamsInvalid,
            _,
        )) => Err(TokenError::Unsupported(algorithm.as_str()).into()),
        Err(error) => Err(error.into()),
    }
}

/// The one object of this class that a URI names.
pub(super) fn find(session: &Session, uri: &KeyUri, class: ObjectClass) -> Result<Option<ObjectHandle>, Failure> {
    let mut template = named(uri);
    template.push(Attribute::Class(class));
    match session.find_objects(&template)?.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        _ => Err(TokenError::Ambiguous(uri.text()).into()),
    }
}

/// Destroys both halves that a URI names, as far as they are there.
pub(super) fn destroy(session: &Session, uri: &KeyUri) -> Result<(), Failure> {
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        let mut template = named(uri);
        template.push(Attribute::Class(class));
        for object in session.find_objects(&template)? {
            match session.destroy_object(object) {
                // Another node was first.
                Ok(()) | Err(Error::Pkcs11(RvError::ObjectHandleInvalid, _)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// Every key of ours. Of a pair that was destroyed halfway, the public half may be left: it counts.
pub(super) fn list(session: &Session, token: &str) -> Result<Vec<KeptKey>, Failure> {
    let mut kept = Vec::new();
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        for object in session.find_objects(&[Attribute::Class(class), Attribute::Token(true)])? {
            kept.extend(kept_key(session, object, token)?);
        }
    }
    kept.sort_unstable_by(|a, b| a.private_half.cmp(&b.private_half));
    kept.dedup();
    Ok(kept)
}

/// Whether there is any private key to be seen.
pub(super) fn any_private(session: &Session) -> Result<bool, Failure> {
    let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Token(true)];
    Ok(session.iter_objects(&template)?.next().transpose()?.is_some())
}

/// A key of ours; `None` when it is somebody else's.
fn kept_key(session: &Session, object: ObjectHandle, token: &str) -> Result<Option<KeptKey>, Failure> {
    let (mut id, mut object_label) = (Vec::new(), String::new());
    for attribute in session.get_attributes(object, &[AttributeType::Id, AttributeType::Label])? {
        match attribute {
            Attribute::Id(bytes) => id = bytes,
            Attribute::Label(bytes) => object_label = String::from_utf8(bytes).unwrap_or_default(),
            _ => {}
        }
    }
    let tenant_id = object_label.strip_prefix(LABEL).and_then(|id| id.parse().ok());
    Ok(tenant_id.map(|tenant_id| {
        let uri = KeyUri { token: token.to_owned(), id, object: object_label };
        KeptKey { tenant_id, private_half: uri.text() }
    }))
}

fn named(uri: &KeyUri) -> Vec<Attribute> {
    vec![Attribute::Token(true), Attribute::Id(uri.id.clone()), Attribute::Label(uri.object.clone().into())]
}
