//! The proof that rotation breaks no receiver: thousands of drawn lives of an installation, in which everything goes wrong
//! that may, and every documented way of keeping a JWKS. The decisions are the real ones, and what the engine does around
//! them is done likewise. And the proof of that proof: with any one margin taken away, receivers are hurt.
//!
//! A failure is a token whose key a receiver does not find. Four kinds are told apart and not counted, see `judge`: the key
//! was revoked, it had to sign early because another one was, nobody answers the receiver, or it renews its set only behind
//! the back of a token and had none for half a day.

pub mod chance;
mod count;
mod database;
mod judge;
mod keys;
mod libraries;
mod life;
mod machine;
mod margin;
mod nodes;
mod receiver;
mod record;
mod road;
mod signing;
mod stories;
mod world;

use judge::Figures;
use life::{Climate, Life};
use margin::{Margin, Without};
use world::World;

/// How many lives are lived; `SIGNET_SIMULATED_LIVES` says otherwise.
const LIVES_STANDARD: u64 = 1_000;
/// In how many lives without a margin somebody must be hurt.
const LIVES_WITHOUT: u64 = 2_000;
/// How many keys a JWKS may list: one signs, one stands by, three are retired, and a change of algorithm or a revocation
/// may have announced two more.
const PUBLISHED_MAX: u32 = 7;

#[expect(clippy::disallowed_methods, reason = "how long a test runs is no setting of the server")]
fn lives() -> u64 {
    std::env::var("SIGNET_SIMULATED_LIVES").map_or(LIVES_STANDARD, |lives| lives.parse().unwrap())
}

/// Lives so many lives, and shows them to every library.
fn lived(count: u64, life: impl Fn(u64) -> Life, without: Without) -> Figures {
    let mut figures = Figures::default();
    for seed in 0..count {
        let life = life(seed);
        figures.judge(seed, life.policy.profile(), World::live(&life, without));
    }
    figures
}

fn check_unhurt(figures: &Figures) {
    println!("{figures}");
    let failures: Vec<String> = figures.failures.iter().take(10).map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(figures.faults.is_empty(), "{:?}", figures.faults.iter().take(10).collect::<Vec<_>>());
}

/// Without this margin somebody is hurt in one of these lives, before as many are over.
fn check_matters(margin: Margin, life: impl Fn(u64) -> Life) {
    let mut figures = Figures::default();

    let hurt = (0..LIVES_WITHOUT).find(|seed| {
        let life = life(*seed);
        figures.judge(*seed, life.policy.profile(), World::live(&life, Without(Some(margin))));
        !figures.failures.is_empty()
    });

    assert!(hurt.is_some(), "nobody was hurt without {margin:?}: {figures}");
    println!("without {margin:?}: {}", figures.failures[0]);
}

fn rough(seed: u64) -> Life {
    Life::drawn(seed, Climate::Rough)
}

fn calm(seed: u64) -> Life {
    Life::drawn(seed, Climate::Calm)
}

fn development(seed: u64) -> Life {
    Life::drawn(seed, Climate::Development)
}

fn forgetful(seed: u64) -> Life {
    Life::drawn(seed, Climate::Forgetful)
}

#[test]
fn no_receiver_that_behaves_as_documented_meets_a_token_that_it_cannot_verify() {
    let figures = lived(lives(), rough, Without::NOTHING);

    check_unhurt(&figures);
    assert!(figures.promotions > figures.lives, "rings rotate in most lives");
    assert!(figures.published_max <= PUBLISHED_MAX, "{} keys were published", figures.published_max);
}

#[test]
fn margins_of_seconds_hurt_nobody_who_asks_for_keys_that_are_unknown() {
    check_unhurt(&lived(lives() / 4, development, Without::NOTHING));
}

#[test]
fn a_revoked_key_never_comes_back_not_even_with_an_old_backup() {
    let figures = lived(lives() / 2, forgetful, Without::NOTHING);
    let without_the_file = lived(lives() / 10, forgetful, Without(Some(Margin::Revocations)));

    check_unhurt(&figures);
    assert!(figures.resurrected > 0, "backups bring revoked keys back into the database");
    assert!(without_the_file.faults.iter().any(|(_, fault)| fault.contains("revoked")));
}

#[test]
fn what_rarely_coincides_hurts_nobody() {
    for story in [
        stories::a_node_that_cannot_load,
        stories::a_node_that_cannot_load_for_seconds,
        stories::an_outage_right_after_a_publication,
        stories::a_request_at_the_end_of_an_outage,
        stories::a_glimpse_of_the_database,
        stories::publications_that_http_caches_miss,
    ] {
        check_unhurt(&lived(lives() / 10, story, Without::NOTHING));
    }
}

#[test]
fn a_key_that_is_published_for_an_hour_before_it_signs_hurts_receivers() {
    check_matters(Margin::PublishAhead, calm);
}

#[test]
fn a_publish_ahead_that_forgets_http_caches_hurts_receivers() {
    check_matters(Margin::HttpCaches, stories::publications_that_http_caches_miss);
}

#[test]
fn a_grace_of_a_minute_hurts_receivers() {
    check_matters(Margin::Grace, calm);
}

#[test]
fn a_key_that_signs_before_every_node_serves_it_hurts_receivers() {
    check_matters(Margin::Barrier, stories::a_node_that_cannot_load);
}

#[test]
fn a_key_that_signs_before_every_node_serves_it_hurts_receivers_in_development_too() {
    check_matters(Margin::Barrier, stories::a_node_that_cannot_load_for_seconds);
}

#[test]
fn a_key_that_counts_as_published_before_the_last_node_serves_it_hurts_receivers() {
    check_matters(Margin::LastReport, stories::an_outage_right_after_a_publication);
}

#[test]
fn a_lost_node_that_nobody_waits_for_hurts_receivers() {
    check_matters(Margin::LostNodes, rough);
}

#[test]
fn a_lost_node_that_serves_its_jwks_for_ever_hurts_receivers() {
    check_matters(Margin::JwksEnd, rough);
}

#[test]
fn a_lost_node_that_goes_on_after_a_glimpse_of_the_database_hurts_receivers() {
    check_matters(Margin::Registration, stories::a_glimpse_of_the_database);
}

#[test]
fn a_lost_node_that_signs_for_ever_hurts_receivers() {
    check_matters(Margin::SigningLease, rough);
}

#[test]
fn margins_that_are_measured_by_clocks_on_the_wall_hurt_receivers() {
    check_matters(Margin::ServiceTime, rough);
}

#[test]
fn a_span_that_two_nodes_count_hurts_receivers() {
    check_matters(Margin::OneCount, rough);
}

#[test]
fn an_outage_that_is_counted_for_what_comes_after_it_hurts_receivers() {
    check_matters(Margin::Marks, stories::a_request_at_the_end_of_an_outage);
}
