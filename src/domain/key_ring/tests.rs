//! What a ring decides, as stories and as a property over random lives.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

fn key(kid: &str, publication: u32, published_at: Timestamp, state: KeyState) -> Key {
    Key { kid: Kid::from_text(kid), algorithm: Algorithm::Es256, publication, published_at, state }
}

/// A ring as it is right after a tenant was created.
fn opened() -> KeyRing {
    KeyRing::new(vec![
        key("first", 1, START, KeyState::Active { activated_at: START }),
        key("standby", 1, START, KeyState::Pending),
    ])
}

fn promote(kid: &str, demoted: &str) -> Step {
    Step::Promote { kid: Kid::from_text(kid), demoted: Some(Kid::from_text(demoted)) }
}

/// The ring after a rotation at `at`, with the next standby published.
fn rotated(ring: &KeyRing, at: Timestamp, next: &str) -> KeyRing {
    let step = ring.force_rotation().unwrap();
    let ring = ring.after(&step, at, &[]);
    ring.after(&Step::Publish, at, &[key(next, ring.next_publication(), at, KeyState::Pending)])
}

#[test]
fn an_empty_ring_opens_with_a_key_that_signs_and_a_standby() {
    let ring = KeyRing::default();

    assert_eq!(ring.next_step(&KeyPolicy::standard(), START), Some(Step::Open));
}

#[test]
fn an_opened_ring_rests_until_its_period_ends() {
    let policy = KeyPolicy::standard();
    let end = START.plus(90 * DAY);

    assert_eq!(opened().next_step(&policy, end.minus(HOUR)), None);
    assert_eq!(opened().next_step(&policy, end), Some(promote("standby", "first")));
}

#[test]
fn a_standby_as_old_as_the_active_key_may_sign_at_once() {
    assert_eq!(opened().rotate_now(&KeyPolicy::standard(), START), Ok(promote("standby", "first")));
}

#[test]
fn a_standby_younger_than_the_active_key_waits_for_every_cache() {
    let policy = KeyPolicy::standard();
    let at = START.plus(HOUR);
    let ring = rotated(&opened(), at, "third");
    let safe_at = at.plus(7 * DAY);

    assert_eq!(ring.rotate_now(&policy, at.plus(HOUR)), Err(CannotRotate::TooSoon { safe_at }));
    assert_eq!(ring.rotate_now(&policy, safe_at), Ok(promote("third", "standby")));
}

#[test]
fn a_clock_that_stands_still_makes_no_standby_safe() {
    let ring = rotated(&opened(), START, "third");

    assert!(matches!(ring.rotate_now(&KeyPolicy::standard(), START), Err(CannotRotate::TooSoon { .. })));
}

#[test]
fn a_retired_key_stays_published_for_its_grace() {
    let policy = KeyPolicy::standard();
    let at = START.plus(HOUR);
    let ring = rotated(&opened(), at, "third");
    let archive = Step::Archive { kid: Kid::from_text("first") };

    assert_eq!(ring.next_step(&policy, at.plus(7 * DAY).minus(HOUR)), None);
    assert_eq!(ring.next_step(&policy, at.plus(7 * DAY)), Some(archive));
}

#[test]
fn the_jwks_lists_the_active_key_first_and_the_oldest_last() {
    let ring = rotated(&rotated(&opened(), START.plus(HOUR), "third"), START.plus(2 * HOUR), "fourth");

    let kids: Vec<&str> = ring.published().iter().map(|key| key.kid.as_str()).collect();

    assert_eq!(kids, ["third", "fourth", "standby", "first"]);
}

#[test]
fn revoking_the_active_key_names_its_successor() {
    assert_eq!(opened().revoke(&Kid::from_text("first")), Ok(Some(Kid::from_text("standby"))));
    assert_eq!(opened().revoke(&Kid::from_text("standby")), Ok(None));
    assert_eq!(opened().revoke(&Kid::from_text("other")), Err(CannotRevoke::Unknown));
}

#[test]
fn a_ring_without_an_active_key_promotes_its_standby_at_once() {
    let ring = KeyRing::new(vec![key("standby", 1, START, KeyState::Pending)]);

    let step = ring.next_step(&KeyPolicy::standard(), START);

    assert_eq!(step, Some(Step::Promote { kid: Kid::from_text("standby"), demoted: None }));
}

#[test]
fn a_plan_tells_the_dates_of_a_rotation() {
    let plan = opened().plan(&KeyPolicy::standard(), START, 3);

    assert_eq!(plan[0], (START.plus(90 * DAY), promote("standby", "first")));
    assert_eq!(plan[1], (START.plus(90 * DAY), Step::Publish));
    assert_eq!(plan[2], (START.plus(97 * DAY), Step::Archive { kid: Kid::from_text("first") }));
}

proptest! {
    /// Lets a ring live with arbitrary pauses between its job's visits, as after outages, and with requested rotations.
    #[test]
    fn exactly_one_key_signs_and_it_was_announced_in_time(
        pauses in prop::collection::vec((1_u64..40 * 24, any::<bool>()), 1..60),
    ) {
        let policy = KeyPolicy::standard();
        let mut ring = KeyRing::default();
        let mut now = START;
        let mut made = 0_usize;
        for (hours, asked) in pauses {
            if asked && let Ok(step) = ring.rotate_now(&policy, now) {
                ring = ring.after(&step, now, &[]);
            }
            while let Some(step) = ring.next_step(&policy, now) {
                if let Step::Promote { kid, demoted: Some(demoted) } = &step {
                    let of = |kid: &Kid| ring.keys().iter().find(|key| key.kid == *kid).unwrap();
                    let in_every_cache = now.since(of(kid).published_at) >= policy.margins().publish_ahead;
                    prop_assert!(in_every_cache || of(kid).publication == of(demoted).publication);
                }
                made += 1;
                let created = ring.made_up_keys(&step, now, made);
                ring = ring.after(&step, now, &created);
            }
            let active = ring.keys().iter().filter(|key| matches!(key.state, KeyState::Active { .. })).count();
            prop_assert_eq!(active, 1);
            prop_assert!(ring.standby().is_some());
            prop_assert!(ring.published().len() >= 2);
            now = now.plus(Duration::from_secs(hours * 3_600));
        }
    }
}
