//! For how long the key of a set is used, and when the set is asked for again.

use super::*;

const JWK: &str = r#"{"kty":"OKP","crv":"X25519","x":"3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"}"#;
const BROKEN: Result<Heard, NoKey> = Err(NoKey::Status(500));

fn heard(max_age_seconds: Option<u64>) -> Heard {
    let key = Recipient::read(JWK).ok();
    assert!(key.is_some());
    Heard { key, max_age: max_age_seconds.map(Duration::from_secs) }
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn known(heard: Result<Heard, NoKey>) -> Known {
    let mut known = Known::default();
    known.note(heard, at(0));
    known
}

const HOUR: u64 = 3_600;

#[test]
fn a_set_is_kept_for_as_long_as_it_says_within_bounds() {
    for (max_age, kept_for) in
        [(None, 10 * 60), (Some(300), 300), (Some(0), 60), (Some(59), 60), (Some(7 * 24 * HOUR), 24 * HOUR)]
    {
        let known = known(Ok(heard(max_age)));

        assert!(known.is_current(at(kept_for - 1)), "{max_age:?}");
        assert!(!known.is_current(at(kept_for)), "{max_age:?}");
    }
}

#[test]
fn while_nothing_else_can_be_had_the_key_before_is_used_for_a_day() {
    let mut known = known(Ok(heard(Some(300))));

    known.note(BROKEN, at(300));

    assert!(known.is_current(at(359)) && !known.is_current(at(360)), "asked again after a minute");
    assert!(known.key(at(300 + 24 * HOUR - 1)).is_ok());
    assert_eq!(known.key(at(300 + 24 * HOUR)).err(), Some(NoKey::Status(500)));
}

#[test]
fn what_was_never_had_fails_at_once_for_five_seconds() {
    let known = known(BROKEN);

    assert_eq!(known.key(at(1)).err(), Some(NoKey::Status(500)));
    assert!(known.is_current(at(4)) && !known.is_current(at(5)));
}

#[test]
fn a_receiver_that_takes_its_keys_back_is_believed_at_once() {
    let mut known = known(Ok(heard(Some(300))));

    known.note(Ok(Heard { key: None, max_age: Some(Duration::from_hours(24)) }), at(300));

    assert_eq!(known.key(at(300)).err(), Some(NoKey::NoneUsable));
    assert!(!known.is_current(at(305)), "and asked again soon, whatever the set says");
}

#[test]
fn a_key_that_comes_again_ends_a_failure() {
    let mut known = known(BROKEN);

    known.note(Ok(heard(None)), at(5));

    assert!(known.key(at(6)).is_ok() && known.failure.is_none());
}

#[test]
fn who_has_waited_in_vain_is_told_so() {
    let nothing = Known::default();

    assert_eq!(nothing.key(at(0)).err(), Some(NoKey::Unreachable(FailureKind::Timeout)));
    assert!(!nothing.is_current(at(0)));
}
