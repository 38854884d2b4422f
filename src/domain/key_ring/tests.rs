//! What a ring decides, as stories and as a property over random lives.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// What is known at `now` by a service that was never down.
fn at(now: Timestamp) -> Situation {
    Situation { now, service_time: ServiceTime::ZERO.plus(now.since(START)), served_version: i64::MAX }
}

fn key(kid: &str, publication: u32, published_at: Timestamp, state: KeyState) -> Key {
    Key {
        kid: Kid::from_text(kid),
        algorithm: Algorithm::Es256,
        publication,
        published_at,
        version: i64::from(publication),
        since: at(published_at).service_time,
        missed_at: None,
        state,
    }
}

fn ring(keys: Vec<Key>) -> KeyRing {
    KeyRing::new(keys, Algorithm::Es256, None)
}

/// A ring as it is right after a tenant was created.
fn opened() -> KeyRing {
    ring(vec![
        key("first", 1, START, KeyState::Active { activated_at: START }),
        key("standby", 1, START, KeyState::Pending),
    ])
}

fn promote(kid: &str, demoted: &str) -> Step {
    Step::Promote { kid: Kid::from_text(kid), demoted: Some(Kid::from_text(demoted)) }
}

const PUBLISH: Step = Step::Publish { algorithm: Algorithm::Es256 };

/// The ring after a rotation at `now`, with the next standby published.
fn rotated(ring: &KeyRing, now: Timestamp, next: &str) -> KeyRing {
    let step = ring.force_rotation().unwrap();
    let ring = ring.after(&step, &at(now), &[]);
    ring.after(&PUBLISH, &at(now), &[key(next, ring.next_publication(), now, KeyState::Pending)])
}

#[test]
fn an_empty_ring_opens_with_a_key_that_signs_and_a_standby() {
    assert_eq!(ring(Vec::new()).next_step(&KeyPolicy::standard(), &at(START)), Some(Step::Open));
}

#[test]
fn an_opened_ring_rests_until_its_period_ends() {
    let policy = KeyPolicy::standard();
    let end = START.plus(90 * DAY);

    assert_eq!(opened().next_step(&policy, &at(end.minus(HOUR))), None);
    assert_eq!(opened().next_step(&policy, &at(end)), Some(promote("standby", "first")));
}

#[test]
fn a_standby_as_old_as_the_active_key_may_sign_at_once() {
    assert_eq!(opened().rotate_now(&KeyPolicy::standard(), &at(START)), Ok(promote("standby", "first")));
}

#[test]
fn a_standby_younger_than_the_active_key_waits_for_every_cache() {
    let policy = KeyPolicy::standard();
    let now = START.plus(HOUR);
    let ring = rotated(&opened(), now, "third");
    let safe_at = now.plus(7 * DAY);

    assert_eq!(ring.rotate_now(&policy, &at(now.plus(HOUR))), Err(CannotRotate::TooSoon { safe_at }));
    assert_eq!(ring.rotate_now(&policy, &at(safe_at)), Ok(promote("third", "standby")));
}

#[test]
fn a_clock_that_is_set_forward_makes_no_standby_safe() {
    let policy = KeyPolicy::standard();
    let ring = rotated(&opened(), START, "third");
    let jumped = Situation { now: START.plus(365 * DAY), ..at(START.plus(HOUR)) };

    assert_eq!(ring.next_step(&policy, &jumped), None);
    assert!(matches!(ring.rotate_now(&policy, &jumped), Err(CannotRotate::TooSoon { .. })));
}

#[test]
fn a_standby_that_a_node_does_not_serve_yet_does_not_sign() {
    let policy = KeyPolicy::standard();
    let behind = Situation { served_version: 0, ..at(START.plus(90 * DAY)) };

    assert_eq!(opened().next_step(&policy, &behind), None);
    assert_eq!(opened().rotate_now(&policy, &behind), Err(CannotRotate::NotEverywhere));
    assert_eq!(
        opened().next_step(&policy, &Situation { served_version: 1, ..behind }),
        Some(promote("standby", "first"))
    );
}

#[test]
fn a_standby_that_a_lost_node_did_not_know_counts_anew_from_when_that_one_falls_silent() {
    let policy = KeyPolicy::standard();
    let mut keys = rotated(&opened(), START, "third").keys().to_vec();
    let lost_at = START.plus(DAY);
    keys.iter_mut().filter(|key| key.kid.as_str() == "third").for_each(|key| {
        key.missed_at = Some(at(lost_at).service_time);
    });
    let ring = ring(keys);
    let safe_at = lost_at.plus(2 * DAY).plus(7 * DAY);

    assert_eq!(ring.rotate_now(&policy, &at(START.plus(8 * DAY))), Err(CannotRotate::TooSoon { safe_at }));
    assert!(ring.rotate_now(&policy, &at(safe_at)).is_ok());
}

#[test]
fn a_retired_key_stays_published_for_its_grace() {
    let policy = KeyPolicy::standard();
    let now = START.plus(HOUR);
    let ring = rotated(&opened(), now, "third");
    let archive = Step::Archive { kid: Kid::from_text("first") };

    assert_eq!(ring.next_step(&policy, &at(now.plus(7 * DAY).minus(HOUR))), None);
    assert_eq!(ring.next_step(&policy, &at(now.plus(7 * DAY))), Some(archive));
}

#[test]
fn rotations_on_request_leave_no_more_retired_keys_than_receivers_take() {
    let margins = Margins { period: 365 * DAY, publish_ahead: 25 * HOUR, grace: 730 * DAY };
    let policy = KeyPolicy::new(Profile::Standard, margins).unwrap();
    let (mut ring, mut now) = (opened(), START);

    for day in 0..60 {
        let rotation = ring.rotate_now(&policy, &at(now)).unwrap();
        ring = ring.after(&rotation, &at(now), &[]);
        while let Some(step) = ring.next_step(&policy, &at(now)) {
            let created = ring.made_up_keys(&step, &at(now), day);
            ring = ring.after(&step, &at(now), &created);
        }
        assert!(ring.published().len() <= 6, "{} keys are published on day {day}", ring.published().len());
        now = now.plus(26 * HOUR);
    }
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
    let ring = ring(vec![key("standby", 1, START, KeyState::Pending)]);

    let step = ring.next_step(&KeyPolicy::standard(), &at(START));

    assert_eq!(step, Some(Step::Promote { kid: Kid::from_text("standby"), demoted: None }));
}

#[test]
fn a_plan_tells_the_dates_of_a_rotation() {
    let plan = opened().plan(&KeyPolicy::standard(), &at(START), 3);

    assert_eq!(plan[0], (START.plus(90 * DAY), promote("standby", "first")));
    assert_eq!(plan[1], (START.plus(90 * DAY), PUBLISH));
    assert_eq!(plan[2], (START.plus(97 * DAY), Step::Archive { kid: Kid::from_text("first") }));
}

#[test]
fn a_change_of_algorithm_is_announced_and_then_happens_at_its_date() {
    let policy = KeyPolicy::standard();
    let cut_over = opened().plan_cut_over(&policy, &at(START), Algorithm::Rs256, None).unwrap();
    assert_eq!(cut_over, CutOver { algorithm: Algorithm::Rs256, at: START.plus(7 * DAY) });

    let ring = KeyRing::new(opened().keys().to_vec(), Algorithm::Es256, Some(cut_over));
    let plan = ring.plan(&policy, &at(START), 5);

    let made = Kid::from_text("(to be made, standby 0)");
    let (first, standby) = (Kid::from_text("first"), Kid::from_text("standby"));
    assert_eq!(
        plan,
        [
            (START, Step::Publish { algorithm: Algorithm::Rs256 }),
            (cut_over.at, Step::Promote { kid: made, demoted: Some(first.clone()) }),
            (cut_over.at, Step::Publish { algorithm: Algorithm::Rs256 }),
            (cut_over.at, Step::Withdraw { kid: standby }),
            (cut_over.at.plus(7 * DAY), Step::Archive { kid: first }),
        ]
    );
}

#[test]
fn a_change_of_algorithm_before_every_cache_has_the_key_is_refused_with_the_date() {
    let policy = KeyPolicy::standard();
    let plan = |algorithm, at_| opened().plan_cut_over(&policy, &at(START), algorithm, Some(at_));

    let early = plan(Algorithm::Rs256, START.plus(6 * DAY)).unwrap_err();

    assert!(early.to_string().contains("24 h too early: cut over at 2023-11-21T22:13:20Z or later"), "{early}");
    assert_eq!(plan(Algorithm::Es256, START.plus(8 * DAY)), Err(CannotCutOver::Same(Algorithm::Es256)));
    assert!(matches!(plan(Algorithm::EdDsa, START.plus(400 * DAY)), Err(CannotCutOver::TooLate { .. })));
}

#[test]
fn a_change_of_algorithm_that_is_called_off_withdraws_its_key() {
    let policy = KeyPolicy::standard();
    let mut keys = opened().keys().to_vec();
    keys.push(Key { algorithm: Algorithm::Rs256, ..key("other", 2, START, KeyState::Pending) });

    let step = ring(keys).next_step(&policy, &at(START));

    assert_eq!(step, Some(Step::Withdraw { kid: Kid::from_text("other") }));
}

proptest! {
    /// Lets a ring live with arbitrary pauses between its job's visits, as after outages, and with requested rotations.
    #[test]
    fn exactly_one_key_signs_and_it_was_announced_in_time(
        pauses in prop::collection::vec((1_u64..40 * 24, any::<bool>()), 1..60),
    ) {
        let policy = KeyPolicy::standard();
        let mut ring = ring(Vec::new());
        let mut now = START;
        let mut made = 0_usize;
        for (hours, asked) in pauses {
            if asked && let Ok(step) = ring.rotate_now(&policy, &at(now)) {
                ring = ring.after(&step, &at(now), &[]);
            }
            while let Some(step) = ring.next_step(&policy, &at(now)) {
                if let Step::Promote { kid, demoted: Some(demoted) } = &step {
                    let of = |kid: &Kid| ring.find(kid).unwrap();
                    let in_every_cache = now.since(of(kid).published_at) >= policy.margins().publish_ahead;
                    prop_assert!(in_every_cache || of(kid).publication == of(demoted).publication);
                }
                made += 1;
                let created = ring.made_up_keys(&step, &at(now), made);
                ring = ring.after(&step, &at(now), &created);
            }
            let active = ring.keys().iter().filter(|key| matches!(key.state, KeyState::Active { .. })).count();
            prop_assert_eq!(active, 1);
            prop_assert!(ring.standby().is_some());
            prop_assert!(ring.published().len() >= 2);
            now = now.plus(Duration::from_secs(hours * 3_600));
        }
    }
}
