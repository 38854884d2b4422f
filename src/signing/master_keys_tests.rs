//! Several master keys at once, their file, and what is refused.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::domain::id::WebhookId;
use crate::signing::digest::base64url;

const PURPOSE: Purpose<'static> = Purpose::WebhookSecret { webhook_id: WebhookId::from_bytes([1; 16]) };

fn jwk(fill: u8) -> String {
    format!(r#"{{"kty":"oct","k":"{}"}}"#, base64url(&[fill; 32]))
}

fn set(fills: &[u8]) -> String {
    let keys: Vec<String> = fills.iter().map(|fill| jwk(*fill)).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

fn created() -> (TempDir, MasterKeys) {
    let folder = tempfile::tempdir().unwrap();
    let keys = MasterKeys::create(&folder.path().join("keys/master.key")).unwrap();
    (folder, keys)
}

#[test]
fn each_record_opens_with_the_key_that_it_names() {
    let (one, other) = (MasterKeys::parse(&jwk(1)).unwrap(), MasterKeys::parse(&jwk(2)).unwrap());
    let both = MasterKeys::parse(&set(&[1, 2])).unwrap();

    for keys in [&one, &other] {
        let sealed = keys.seal(&PURPOSE, b"whsec_x").unwrap();
        assert_eq!(both.open(&PURPOSE, &sealed).unwrap().as_slice(), b"whsec_x");
    }
}

#[test]
fn a_key_that_is_not_held_is_named() {
    let one = MasterKeys::parse(&jwk(1)).unwrap();
    let sealed = one.seal(&PURPOSE, b"whsec_x").unwrap();

    let refused = MasterKeys::parse(&jwk(2)).unwrap().open(&PURPOSE, &sealed).unwrap_err();

    assert_eq!(refused, SigningError::MasterKeyMissing(one.current_id()));
    assert!(refused.to_string().contains(&one.current_id()));
}

#[test]
fn the_key_that_a_record_names_seals_from_then_on() {
    let (one, both) = (MasterKeys::parse(&jwk(1)).unwrap(), MasterKeys::parse(&set(&[1, 2])).unwrap());
    assert_ne!(both.current_id(), one.current_id(), "without a record it is the newest");

    assert!(both.adopt(&one.check(&one.current_id()).unwrap()).unwrap());

    assert_eq!(master_key_of(&both.seal(&PURPOSE, b"x").unwrap()), Some(one.current_id()));
    assert!(!both.adopt(&one.check(&one.current_id()).unwrap()).unwrap());
}

#[test]
fn a_record_that_only_claims_to_name_a_key_is_not_followed() {
    let (one, both) = (MasterKeys::parse(&jwk(1)).unwrap(), MasterKeys::parse(&set(&[1, 2])).unwrap());

    // Of another purpose, and with another text.
    assert_eq!(both.adopt(&one.seal(&PURPOSE, CHECK).unwrap()), Err(SigningError::Unopenable));
    assert_eq!(both.adopt(&one.seal(&Purpose::Check, b"other").unwrap()), Err(SigningError::Unopenable));
}

#[test]
fn a_rewrapped_record_names_the_current_key_and_holds_the_same() {
    let (one, both) = (MasterKeys::parse(&jwk(1)).unwrap(), MasterKeys::parse(&set(&[1, 2])).unwrap());
    let sealed = one.seal(&PURPOSE, b"whsec_x").unwrap();

    let rewrapped = both.rewrapped(&PURPOSE, &sealed).unwrap().unwrap();

    assert_eq!(master_key_of(&rewrapped), Some(both.current_id()));
    assert_eq!(both.open(&PURPOSE, &rewrapped).unwrap().as_slice(), b"whsec_x");
    assert_eq!(both.rewrapped(&PURPOSE, &rewrapped), Ok(None));
    let elsewhere = Purpose::WebhookSecret { webhook_id: WebhookId::from_bytes([2; 16]) };
    assert_eq!(both.rewrapped(&elsewhere, &sealed), Err(SigningError::Unopenable));
}

#[test]
fn a_master_key_file_is_private_and_never_overwritten() {
    let (folder, made) = created();
    let path = folder.path().join("keys/master.key");

    assert_eq!(MasterKeys::load(&path).unwrap().ids(), made.ids());
    assert!(MasterKeys::create(&path).is_err());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(MasterKeys::load(&path), Err(MasterKeyError::Exposed { mode: 0o644, .. })));
        assert!(matches!(made.reread(), Err(MasterKeyError::Exposed { .. })), "who holds it notices too");
        assert!(matches!(made.reread(), Ok(false)), "once");
    }
}

#[test]
fn a_key_that_is_added_joins_the_others_and_leaves_nothing_beside_the_file() {
    let (folder, keys) = created();
    let first = keys.current_id();

    let second = keys.add().unwrap();

    assert_eq!(keys.ids(), [first.clone(), second.clone()]);
    assert_eq!(keys.current_id(), first, "the database says which one seals");
    assert_eq!(MasterKeys::load(keys.file().unwrap()).unwrap().ids(), [first.clone(), second.clone()]);
    assert_eq!(fs::read_dir(folder.path().join("keys")).unwrap().count(), 1);
    keys.remove(&second).unwrap();
    assert_eq!(keys.ids(), std::slice::from_ref(&first));
    assert!(matches!(keys.remove(&first), Err(MasterKeyError::Last(id)) if id == first));
    assert!(matches!(keys.remove(&second), Err(MasterKeyError::NotHeld(id)) if id == second));
}

#[test]
fn a_file_keeps_its_mode_when_a_key_is_added() {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let (_folder, keys) = created();
        let path = keys.file().unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o640)).unwrap();

        keys.add().unwrap();

        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o640);
    }
}

#[test]
fn keys_that_are_added_at_once_are_all_there() {
    let (_folder, keys) = created();
    let path = keys.file().unwrap();

    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| MasterKeys::load(path).unwrap().add().unwrap());
        }
    });

    assert_eq!(MasterKeys::load(path).unwrap().ids().len(), 9);
}

#[test]
fn a_file_is_read_again_when_a_record_names_a_key_that_is_not_held() {
    let (_folder, keys) = created();
    let other = MasterKeys::load(keys.file().unwrap()).unwrap();
    let added = other.add().unwrap();

    assert!(keys.adopt(&other.check(&added).unwrap()).unwrap());

    assert_eq!(keys.current_id(), added);
}

#[test]
fn a_file_that_was_broken_leaves_what_is_held_and_is_complained_of_once() {
    let (_folder, keys) = created();
    let sealed = keys.seal(&PURPOSE, b"x").unwrap();

    fs::write(keys.file().unwrap(), "{").unwrap();

    assert!(matches!(keys.reread(), Err(MasterKeyError::Malformed)));
    assert!(matches!(keys.reread(), Ok(false)));
    assert!(keys.open(&PURPOSE, &sealed).is_ok());
}

#[test]
fn what_is_no_set_of_master_keys_is_refused_with_its_reason() {
    let refused = |text: &str| MasterKeys::parse(text).err().map(|error| error.to_string()).unwrap_or_default();

    assert!(refused(r#"{"keys":[]}"#).contains("empty"));
    assert!(refused(&set(&[1, 2, 1])).contains("stands twice"));
    let long = format!(r#"{{"kty":"oct","k":"{}"}}"#, base64url(&[1; 33]));
    for malformed in ["hunter2", "{}", r#"{"kty":"oct","k":"AAAA"}"#, r#"{"kty":"RSA","k":"AAAA"}"#, &long] {
        assert!(refused(malformed).contains("32 bytes"), "{malformed}");
    }
}

#[test]
fn an_error_holds_nothing_of_a_key() {
    let garbled = format!(r#"{{"keys":[{{"kty":"oct","k":"{}"}}"#, base64url(&[7; 32]));

    let error = MasterKeys::parse(&garbled).err().unwrap();

    assert!(!format!("{error:?} {error}").contains(&base64url(&[7; 32])));
}
