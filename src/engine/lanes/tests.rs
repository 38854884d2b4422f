//! Fairness and bounds of the lanes, without a clock or a queue.

use super::*;
use crate::engine::lanes::room::Used;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_micros(1_000);
const LATER: Timestamp = Timestamp::from_micros(2_000);

fn webhook(number: u8) -> WebhookId {
    WebhookId::from_bytes([number; 16])
}

const ONE: TenantId = TenantId::from_bytes([1; 16]);
const OTHER: TenantId = TenantId::from_bytes([2; 16]);

/// Lanes in which the receiver of this webhook is known to answer well.
fn knowing(number: u8) -> Lanes {
    let mut lanes = Lanes::default();
    for _ in 0..300 {
        assert!(lanes.admit(ONE, webhook(number), 1));
        lanes.done(webhook(number), 1, Answered::Well);
    }
    lanes
}

#[test]
fn a_lane_takes_no_more_than_its_width() {
    let mut lanes = knowing(1);

    let admitted = (0..500).filter(|_| lanes.admit(ONE, webhook(1), 1)).count();

    assert_eq!(admitted, 256);
    assert!(lanes.admit(ONE, webhook(2), 1));
}

#[test]
fn a_receiver_of_which_nothing_is_known_gets_a_little_at_first() {
    let mut lanes = Lanes::default();

    let admitted = (0..200).filter(|_| lanes.admit(ONE, webhook(1), 1)).count();

    assert_eq!(admitted, 16);
}

#[test]
fn receivers_that_hold_on_to_their_deliveries_leave_room_to_others_of_their_tenant() {
    let mut lanes = knowing(255);
    for number in 0..200 {
        (0..16).for_each(|_| {
            lanes.admit(ONE, webhook(number), 1);
        });
    }

    let admitted = (0..500).filter(|_| lanes.admit(ONE, webhook(255), 1)).count();

    assert_eq!((lanes.room.used.narrow, admitted), (1_536, 256));
}

#[test]
fn lanes_with_due_work_take_turns() {
    let mut lanes = Lanes::default();
    for number in 0..40 {
        lanes.note_due(ONE, webhook(number), NOW);
    }

    let first = lanes.take(NOW);
    for grant in &first {
        lanes.claimed(*grant, grant.limit, Some(NOW), NOW);
    }
    let second = lanes.take(NOW);

    // Thirty-two turns of sixteen fill a transaction; those that had to wait come first in the next.
    assert_eq!(
        first.iter().map(|grant| (grant.webhook_id, grant.limit)).collect::<Vec<_>>(),
        (0..32).map(|number| (webhook(number), 16)).collect::<Vec<_>>()
    );
    assert_eq!(second[..2].iter().map(|grant| grant.webhook_id).collect::<Vec<_>>(), [webhook(32), webhook(33)]);
}

#[test]
fn a_lane_that_is_alone_takes_all_that_it_may() {
    let mut lanes = knowing(1);
    lanes.note_due(ONE, webhook(1), NOW);

    assert_eq!(lanes.take(NOW), [Grant { webhook_id: webhook(1), limit: 256 }]);
}

#[test]
fn new_work_does_not_overtake_what_is_due() {
    let mut lanes = Lanes::default();
    lanes.note_due(ONE, webhook(1), NOW);
    let grant = lanes.take(NOW)[0];

    assert!(!lanes.admit(ONE, webhook(1), 1));
    lanes.claimed(grant, 0, None, NOW);
    assert!(lanes.admit(ONE, webhook(1), 1));
}

#[test]
fn a_full_lane_is_ready_again_when_half_of_it_is_done() {
    let mut lanes = knowing(1);
    for _ in 0..256 {
        assert!(lanes.admit(ONE, webhook(1), 1));
    }
    lanes.note_due(ONE, webhook(1), NOW);

    assert!(lanes.take(NOW).is_empty());
    (0..127).for_each(|_| lanes.done(webhook(1), 1, Answered::Well));
    assert!(lanes.take(NOW).is_empty());
    lanes.done(webhook(1), 1, Answered::Well);
    assert_eq!(lanes.take(NOW), [Grant { webhook_id: webhook(1), limit: 128 }]);
}

#[test]
fn a_lane_that_is_as_narrow_as_can_be_is_ready_again_when_one_is_done() {
    let mut lanes = Lanes::default();
    lanes.note_due(ONE, webhook(1), NOW);
    (0..16).for_each(|_| lanes.done(webhook(1), 1, Answered::Badly));
    let grant = lanes.take(NOW)[0];
    lanes.claimed(grant, 2, Some(NOW), NOW);

    assert!(lanes.take(NOW).is_empty());
    lanes.done(webhook(1), 1, Answered::Badly);
    assert_eq!(lanes.take(NOW), [Grant { webhook_id: webhook(1), limit: 1 }]);
}

#[test]
fn what_is_noted_during_a_claim_is_not_lost() {
    let mut lanes = Lanes::default();
    lanes.note_due(ONE, webhook(1), NOW);
    let grant = lanes.take(NOW)[0];
    lanes.note_due(ONE, webhook(1), LATER);

    lanes.claimed(grant, 1, None, NOW);

    assert_eq!(lanes.next_timer(), Some(LATER));
}

#[test]
fn receivers_that_fail_cannot_use_all_of_the_room() {
    let mut lanes = Lanes::default();
    for _ in 0..8 {
        for number in 0..=255 {
            lanes.admit(ONE, webhook(number), 1);
            lanes.done(webhook(number), 1, Answered::Badly);
            lanes.note_due(ONE, webhook(number), LATER);
        }
    }

    let admitted: usize =
        (0..=255).map(|number| (0..64).filter(|_| lanes.admit(ONE, webhook(number), 1)).count()).sum();

    assert_eq!(admitted, 512, "two for each of 256 narrowed lanes");
}

#[test]
fn large_payloads_take_more_of_the_room() {
    let mut lanes = Lanes::default();
    let load = load_of(256 * 1024);

    let admitted: usize =
        (0..=255).map(|number| (0..64).filter(|_| lanes.admit(ONE, webhook(number), load)).count()).sum();

    assert_eq!(load, 17);
    assert_eq!(admitted, 1_536 / 17, "three quarters of half of the room: one tenant's, and nothing is known of them");
}

/// Has a tenant's receivers take all that they are let have, after each was sent so much and answered well.
fn hold_on(lanes: &mut Lanes, tenant_id: TenantId, receivers: u8, answered: usize) {
    for number in 0..receivers {
        for _ in 0..answered {
            lanes.admit(tenant_id, webhook(number), 1);
            lanes.done(webhook(number), 1, Answered::Well);
        }
    }
    (0..receivers).for_each(|number| while lanes.admit(tenant_id, webhook(number), 1) {});
}

fn admitted(lanes: &mut Lanes, tenant_id: TenantId, number: u8) -> usize {
    (0..500).take_while(|_| lanes.admit(tenant_id, webhook(number), 1)).count()
}

#[test]
fn a_tenant_whose_receivers_never_answer_leaves_room_to_another_that_is_new() {
    let mut lanes = Lanes::default();
    hold_on(&mut lanes, ONE, 200, 0);

    assert_eq!(lanes.room.used, Used { loads: 1_536, narrow: 1_536 });
    assert_eq!(admitted(&mut lanes, OTHER, 255), 16);
}

#[test]
fn a_tenant_whose_receivers_answered_well_until_now_leaves_room_to_another() {
    let mut lanes = Lanes::default();
    hold_on(&mut lanes, ONE, 200, 1);
    let at_most = lanes.room.used;
    hold_on(&mut lanes, ONE, 200, 100);

    assert_eq!(at_most, Used { loads: 3_072, narrow: 0 });
    assert_eq!(lanes.room.used, at_most);
    assert_eq!(admitted(&mut lanes, OTHER, 255), 16);
}

#[test]
fn room_is_found_for_a_hundred_tenants_whose_receivers_never_answer() {
    let mut lanes = Lanes::default();
    let tenant = |number| TenantId::from_bytes([number; 16]);

    let admitted: Vec<usize> = (0..100).map(|number| admitted(&mut lanes, tenant(number), number)).collect();

    assert_eq!(admitted, [16; 100]);
}

#[test]
fn who_has_one_lane_gets_as_many_turns_as_who_has_hundreds() {
    let mut lanes = Lanes::default();
    (0..200).for_each(|number| lanes.note_due(ONE, webhook(number), NOW));
    lanes.note_due(OTHER, webhook(255), LATER);

    let grants = lanes.take(LATER);

    assert_eq!(grants[1].webhook_id, webhook(255));
}

#[test]
fn lanes_for_which_there_is_no_room_are_passed_by_those_for_which_there_is() {
    let mut lanes = knowing(255);
    hold_on(&mut lanes, ONE, 200, 0);
    (0..=255).for_each(|number| lanes.note_due(ONE, webhook(number), NOW));

    let grants = lanes.take(NOW);

    assert_eq!(grants, [Grant { webhook_id: webhook(255), limit: 64 }]);
}

#[test]
fn a_lane_that_widens_while_it_waits_waits_with_the_wide_ones() {
    let mut lanes = Lanes::default();
    assert!(lanes.admit(ONE, webhook(255), 1));
    hold_on(&mut lanes, ONE, 200, 0);
    lanes.note_due(ONE, webhook(255), NOW);
    assert!(lanes.take(NOW).is_empty());

    lanes.done(webhook(255), 1, Answered::Well);

    assert_eq!(lanes.take(NOW), [Grant { webhook_id: webhook(255), limit: 17 }]);
}

proptest! {
    /// Whatever happens, what was granted and given back leaves nothing behind.
    #[test]
    fn the_books_balance(steps in prop::collection::vec((0_u8..6, 0_u8..4, any::<bool>()), 1..300)) {
        let tenant_of = |number: u8| if number.is_multiple_of(2) { ONE } else { OTHER };
        let mut lanes = Lanes::default();
        let mut under_way: Vec<WebhookId> = Vec::new();
        for (number, action, flag) in steps {
            match action {
                0 if lanes.admit(tenant_of(number), webhook(number), 1) => under_way.push(webhook(number)),
                1 => lanes.note_due(tenant_of(number), webhook(number), if flag { NOW } else { LATER }),
                2 => for grant in lanes.take(NOW) {
                    let used = if flag { grant.limit } else { grant.limit / 2 };
                    lanes.claimed(grant, used, flag.then_some(NOW), NOW);
                    under_way.extend((0..used).map(|_| grant.webhook_id));
                },
                3 => if let Some(webhook_id) = under_way.pop() {
                    lanes.done(webhook_id, 1, if flag { Answered::Well } else { Answered::Badly });
                },
                _ => {}
            }
            prop_assert_eq!(lanes.room.used.loads as usize, under_way.len());
            prop_assert!(lanes.room.used.narrow <= lanes.room.used.loads);
        }
        for webhook_id in under_way {
            lanes.done(webhook_id, 1, Answered::Well);
        }
        prop_assert_eq!(lanes.room.used, Used::default());
        prop_assert!(lanes.room.by_tenant.is_empty());
    }
}
