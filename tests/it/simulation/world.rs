//! An installation that lives through its incidents. Around the real decisions of the ring it does what the engine does;
//! nothing happens in it but at instants when something changes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use signet::domain::key_ring::Profile;

use super::chance::Dice;
use super::database::{Database, Name};
use super::life::{Incident, Life, Request};
use super::machine::Machine;
use super::margin::Without;
use super::record::{KEYS_MAX, Record};

/// How fast a monotonic clock may be wrong: as much as NTP may slew it.
const DRIFT: f64 = 500e-6;
/// Tokens of the first moments are not looked at: a receiver that asks a node which has not heard of a tenant yet is told
/// that there is none.
const OPENED_WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
pub enum Event {
    Incident(usize),
    DatabaseBack,
    Linked(usize),
    Hearing(usize),
    Seen(Option<usize>),
    Start(usize),
    Load(Name),
    Beat(Name),
    StrikeOff(Name, u64),
    JwksEnd(Name),
    Look(usize, u64),
    /// Somebody signs; with a machine's number, only what runs there.
    Sign(Option<usize>),
    Traffic,
    Ask(Request),
}

#[derive(Debug)]
struct Scheduled {
    at: Duration,
    number: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

pub struct World<'l> {
    pub life: &'l Life,
    pub without: Without,
    pub profile: Profile,
    pub now: Duration,
    pub dice: Dice,
    pub database: Database,
    pub backup: Option<Database>,
    /// How many outages of the database last.
    pub outages: u32,
    pub machines: Vec<Machine>,
    /// When the count was raised last.
    pub counted_at: Duration,
    /// Only the last look that was planned is taken.
    pub looks: u64,
    /// Requests that reached nobody.
    pub waiting: Vec<Request>,
    pub has_forgotten: bool,
    pub record: Record,
    queue: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
}

impl<'l> World<'l> {
    /// Lives a life to its end.
    pub fn live(life: &'l Life, without: Without) -> Record {
        let mut machines: Vec<Machine> = Vec::new();
        machines.extend(life.clocks.iter().map(|clock| Machine { clock: *clock, ..Machine::default() }));
        let mut world = Self {
            life,
            without,
            profile: life.policy.profile(),
            now: Duration::ZERO,
            dice: Dice::seeded(!life.seed),
            database: Database::new(without.policy(life.policy)),
            backup: None,
            outages: 0,
            counted_at: Duration::ZERO,
            looks: 0,
            waiting: Vec::new(),
            has_forgotten: false,
            record: Record { machines: vec![Vec::new(); machines.len()], ..Record::default() },
            machines,
            queue: BinaryHeap::new(),
            scheduled: 0,
        };
        world.run();
        world.record
    }

    fn run(&mut self) {
        (0..self.machines.len()).for_each(|machine| self.start(machine));
        let incidents = self.life.incidents.iter().enumerate();
        incidents.for_each(|(number, (at, _))| self.at(*at, Event::Incident(number)));
        self.at(OPENED_WITHIN, Event::Traffic);
        while let Some(Reverse(Scheduled { at, event, .. })) = self.queue.pop() {
            if at > self.life.lasts || self.database.keys_made + 4 > KEYS_MAX {
                return;
            }
            self.now = at;
            self.happen(event);
        }
    }

    pub fn at(&mut self, at: Duration, event: Event) {
        self.scheduled += 1;
        self.queue.push(Reverse(Scheduled { at, number: self.scheduled, event }));
    }

    pub fn after(&mut self, span: Duration, event: Event) {
        self.at(self.now + span, event);
    }

    /// Some time within a span from now.
    pub fn soon(&mut self, within: Duration, event: Event) {
        let span = self.dice.within(within);
        self.after(span, event);
    }

    pub fn drift(&mut self) -> f64 {
        1.0 + self.dice.deviation(DRIFT)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Incident(number) => self.befall(self.life.incidents[number].1),
            Event::DatabaseBack => self.database_returns(),
            Event::Linked(machine) => self.link(machine),
            Event::Hearing(machine) => self.hear(machine),
            Event::Seen(Some(machine)) => self.reveal(machine),
            Event::Seen(None) => (0..self.machines.len()).for_each(|machine| self.reveal(machine)),
            Event::Start(machine) => self.start(machine),
            Event::Load(name) => self.load_if_it_can(name),
            Event::Beat(name) => self.beat(name),
            Event::StrikeOff(name, generation) => self.strike_off(name, generation),
            Event::JwksEnd(name) => self.end_jwks(name),
            Event::Look(machine, look) => self.look_as_planned(machine, look),
            Event::Sign(machine) => self.sign(machine),
            Event::Traffic => self.go_on_signing(),
            Event::Ask(request) => self.ask(request),
        }
    }

    fn befall(&mut self, incident: Incident) {
        match incident {
            Incident::DatabaseAway(lasts) => {
                self.database_leaves();
                self.after(lasts, Event::DatabaseBack);
            }
            Incident::CutOff(machine, lasts) => {
                self.cut(machine);
                self.after(lasts, Event::Linked(machine));
            }
            Incident::Deaf(machine, lasts) => {
                self.deafen(machine);
                self.after(lasts, Event::Hearing(machine));
            }
            Incident::Hidden(machine, lasts) => {
                self.hide(machine);
                self.after(lasts, Event::Seen(Some(machine)));
            }
            Incident::AllHidden(lasts) => {
                (0..self.machines.len()).for_each(|machine| self.hide(machine));
                self.after(lasts, Event::Seen(None));
            }
            Incident::Death(machine, lasts) => {
                self.die(machine);
                self.after(lasts, Event::Start(machine));
            }
            Incident::ClockSet(machine, seconds) => self.set_clock(machine, self.machines[machine].clock + seconds),
            Incident::ClockRight(machine) => self.set_clock(machine, 0),
            Incident::Ask(request) => self.ask(request),
            Incident::BackedUp => self.backup = Some(self.database.clone()),
            Incident::Restored => self.restore(),
        }
    }
}
