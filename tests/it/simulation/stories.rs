//! Lives that are told and not drawn: what rarely coincides, and does harm then unless a margin holds.

use std::time::Duration;

use signet::domain::key_ring::{KeyPolicy, Margins, Profile};

use super::database;
use super::life::{Incident, Life, Request, Standing};

const HOUR: Duration = Duration::from_hours(1);
const MOMENT: Duration = Duration::from_millis(5);

/// With the shortest margins that there are.
fn told(seed: u64, machines: usize, incidents: &[(Duration, Incident)]) -> Life {
    let margins = Margins { period: 30 * 24 * HOUR, publish_ahead: 25 * HOUR, grace: 24 * HOUR };
    let policy = KeyPolicy::new(Profile::Standard, margins).unwrap();
    Life {
        seed,
        policy,
        clocks: vec![0; machines],
        incidents: incidents.to_vec(),
        lasts: incidents[incidents.len() - 1].0 + 7 * 24 * HOUR,
    }
}

const ROTATE: Incident = Incident::Ask(Request::Rotate);
const ROTATE_ONCE_SAFE: Incident = Incident::Ask(Request::RotateOnceSafe);

/// A node lives and shows it, but cannot load the key that is published meanwhile.
pub fn a_node_that_cannot_load(seed: u64) -> Life {
    let deaf = Incident::Deaf(1, 60 * HOUR);
    told(seed, 2, &[(HOUR, deaf), (HOUR + 10 * MOMENT, ROTATE), (2 * HOUR, ROTATE_ONCE_SAFE)])
}

/// The same where margins are seconds.
pub fn a_node_that_cannot_load_for_seconds(seed: u64) -> Life {
    let second = Duration::from_secs(1);
    let incidents = vec![(10 * second, Incident::Deaf(1, 30 * second))];
    Life { seed, policy: database::development(), clocks: vec![0; 2], incidents, lasts: 90 * second }
}

/// The database goes away right after a key was published, before another node has loaded it.
pub fn an_outage_right_after_a_publication(seed: u64) -> Life {
    let away = Incident::DatabaseAway(20 * HOUR);
    told(seed, 2, &[(HOUR, ROTATE), (HOUR + MOMENT, away), (2 * HOUR, ROTATE_ONCE_SAFE)])
}

/// Operators wait for the database, and ask before any node has measured how long it was away.
pub fn a_request_at_the_end_of_an_outage(seed: u64) -> Life {
    let away = Incident::DatabaseAway(30 * HOUR);
    let revoke = Incident::Ask(Request::Revoke(Standing::Standby));
    told(seed, 1, &[(HOUR, away), (2 * HOUR, revoke), (3 * HOUR, ROTATE_ONCE_SAFE)])
}

/// A node that was taken for lost reaches the database for so short that it loads keys and is not seen.
pub fn a_glimpse_of_the_database(seed: u64) -> Life {
    let (cut, again) = (Incident::CutOff(1, 40 * HOUR), Incident::CutOff(1, 80 * HOUR));
    let glimpse = HOUR + 40 * HOUR + Duration::from_millis(500);
    told(seed, 2, &[(HOUR, cut), (glimpse, again), (42 * HOUR, ROTATE), (43 * HOUR, ROTATE_ONCE_SAFE)])
}

/// Again and again, nobody answers HTTP caches for as long as they go on with what they have, from just before a key is
/// published.
pub fn publications_that_http_caches_miss(seed: u64) -> Life {
    let hidden = Incident::AllHidden(Duration::from_mins(65));
    let rounds = (1..20).map(|round| round * 60 * HOUR);
    let incidents: Vec<_> =
        rounds.flat_map(|at| [(at, hidden), (at + MOMENT, ROTATE), (at + 2 * HOUR, ROTATE_ONCE_SAFE)]).collect();
    told(seed, 1, &incidents)
}
