//! What happens to an installation in its life: drawn from a seed, or told by a test.

use std::time::Duration;

use signet::domain::key_ring::{KeyPolicy, Margins, Profile};
use signet::domain::token::{Algorithm, TokenTtl};

use super::chance::Dice;
use super::database;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const YEAR: Duration = Duration::from_hours(24 * 365);

/// What an operator may ask of a node; asked again until one can be reached.
#[derive(Debug, Clone, Copy)]
pub enum Request {
    Rotate,
    /// The same, and again as soon as it is told to be safe.
    RotateOnceSafe,
    CutOver(Algorithm),
    CallOff,
    Revoke(Standing),
    Policy(KeyPolicy),
    Ttl(TokenTtl),
}

#[derive(Debug, Clone, Copy)]
pub enum Standing {
    Active,
    Standby,
    Retiring,
}

/// Machines are named by their numbers; most incidents last for a while.
#[derive(Debug, Clone, Copy)]
pub enum Incident {
    DatabaseAway(Duration),
    /// It does not reach the database; receivers reach it.
    CutOff(usize, Duration),
    /// It cannot load keys, for whatever reason, though everything else works.
    Deaf(usize, Duration),
    /// Receivers do not reach it, though everything else works.
    Hidden(usize, Duration),
    AllHidden(Duration),
    /// What ran there is dead, and then started anew.
    Death(usize, Duration),
    /// Its clock is set, this many seconds from where it is.
    ClockSet(usize, i64),
    ClockRight(usize),
    Ask(Request),
    BackedUp,
    /// Everybody is stopped, the last backup put in place of the database, and everybody started.
    Restored,
}

#[derive(Debug)]
pub struct Life {
    pub seed: u64,
    pub policy: KeyPolicy,
    /// By how many seconds each machine's clock is wrong at first.
    pub clocks: Vec<i64>,
    pub incidents: Vec<(Duration, Incident)>,
    pub lasts: Duration,
}

/// What may go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Climate {
    /// Everything.
    Rough,
    /// Nothing that loses a node.
    Calm,
    /// Everything, and databases are replaced by old backups.
    Forgetful,
    /// Margins of seconds.
    Development,
}

/// What a life has most of: what is rare by itself must coincide to do harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Mixed,
    /// The database goes away, and machines die.
    Outages,
    /// Nodes lose touch.
    Partitions,
    /// Operators have plans.
    Plans,
}

impl Life {
    pub fn drawn(seed: u64, climate: Climate) -> Self {
        let mut dice = Dice::seeded(seed);
        let machines = 1 + dice.below(4);
        let development = climate == Climate::Development;
        let policy = if development { database::development() } else { policy(&mut dice) };
        let mut clocks = vec![0; machines];
        for clock in &mut clocks {
            if dice.once_in(4) {
                *clock = off_by(&mut dice, YEAR * 10);
            }
        }
        let count = 8 + dice.below(24);
        let mood = dice.one_of(&[Mood::Mixed, Mood::Outages, Mood::Partitions, Mood::Plans]);
        let mut incidents = Vec::with_capacity(count);
        let mut at = SECOND * 10;
        for _ in 0..count {
            let longest = if development { MINUTE } else { DAY * 10 };
            at += match dice.below(4) {
                0 => dice.between(SECOND / 100, SECOND * 10),
                1 => dice.within(longest / 2),
                _ => dice.between(SECOND, longest),
            };
            incidents.push((at, incident(climate, mood, machines, &mut dice)));
        }
        let rest = if development { MINUTE } else { DAY * 8 };
        Self { seed, policy, clocks, incidents, lasts: at + dice.within(rest) }
    }
}

fn off_by(dice: &mut Dice, most: Duration) -> i64 {
    let seconds = i64::try_from(dice.within(most).as_secs()).unwrap();
    if dice.once_in(2) { seconds } else { -seconds }
}

/// Any policy that is accepted, the shortest margins among them.
fn policy(dice: &mut Dice) -> KeyPolicy {
    loop {
        let period = dice.one_of(&[DAY * 7, DAY * 7, DAY * 10, DAY * 30, DAY * 90, YEAR]);
        let publish_ahead = dice.one_of(&[HOUR * 25, HOUR * 25, HOUR * 26, DAY * 2, DAY * 7, DAY * 30]);
        let grace = dice.one_of(&[DAY, DAY, HOUR * 25, DAY * 7, DAY * 14, period * 2]);
        if let Ok(policy) = KeyPolicy::new(Profile::Standard, Margins { period, publish_ahead, grace }) {
            return policy;
        }
    }
}

fn incident(climate: Climate, mood: Mood, machines: usize, dice: &mut Dice) -> Incident {
    let machine = dice.below(machines);
    match climate {
        Climate::Development if dice.once_in(2) => clock(machine, dice),
        Climate::Development => Incident::Ask(request(dice)),
        Climate::Forgetful if dice.once_in(8) => Incident::Restored,
        Climate::Forgetful if dice.once_in(5) => Incident::BackedUp,
        Climate::Forgetful if dice.once_in(4) => Incident::Ask(Request::Revoke(standing(dice))),
        Climate::Calm => harmless(machine, dice),
        Climate::Rough | Climate::Forgetful => match mood {
            Mood::Mixed if dice.once_in(3) => trouble(machine, dice),
            Mood::Outages if dice.once_in(2) => match dice.once_in(2) {
                true => Incident::DatabaseAway(lasting(dice)),
                false => Incident::Death(machine, lasting(dice)),
            },
            Mood::Partitions if dice.once_in(2) => match dice.once_in(4) {
                true => Incident::Deaf(machine, lasting(dice)),
                false => Incident::CutOff(machine, lasting(dice)),
            },
            Mood::Plans if dice.once_in(2) => Incident::Ask(Request::RotateOnceSafe),
            Mood::Mixed | Mood::Outages | Mood::Partitions | Mood::Plans => harmless(machine, dice),
        },
    }
}

/// From a moment to many days.
fn lasting(dice: &mut Dice) -> Duration {
    dice.between(SECOND / 5, DAY * 10)
}

fn trouble(machine: usize, dice: &mut Dice) -> Incident {
    match dice.below(5) {
        0 => Incident::DatabaseAway(lasting(dice)),
        1 => Incident::Deaf(machine, lasting(dice)),
        2 => Incident::Death(machine, lasting(dice)),
        _ => Incident::CutOff(machine, lasting(dice)),
    }
}

/// What loses no node.
fn harmless(machine: usize, dice: &mut Dice) -> Incident {
    match dice.below(8) {
        0 | 1 => clock(machine, dice),
        2 => Incident::Hidden(machine, dice.between(SECOND, DAY)),
        3 => Incident::AllHidden(dice.between(SECOND, HOUR * 2)),
        _ => Incident::Ask(request(dice)),
    }
}

fn clock(machine: usize, dice: &mut Dice) -> Incident {
    if dice.once_in(3) { Incident::ClockRight(machine) } else { Incident::ClockSet(machine, jump(dice)) }
}

/// As much as somebody or something may set a clock by.
fn jump(dice: &mut Dice) -> i64 {
    let seconds = dice.one_of(&[1, 60, 3_600, 86_400, 86_400 * 30]);
    if dice.once_in(2) { seconds } else { -seconds }
}

fn standing(dice: &mut Dice) -> Standing {
    dice.one_of(&[Standing::Active, Standing::Active, Standing::Standby, Standing::Retiring])
}

fn request(dice: &mut Dice) -> Request {
    match dice.below(12) {
        0 => Request::CutOver(dice.one_of(&Algorithm::ALL)),
        1 => Request::CallOff,
        2 => Request::Revoke(standing(dice)),
        3 | 4 => Request::Policy(policy(dice)),
        5 => Request::Ttl(TokenTtl::from_seconds(dice.one_of(&[60, 300, 900, 3_600])).unwrap()),
        6 => Request::Rotate,
        _ => Request::RotateOnceSafe,
    }
}
