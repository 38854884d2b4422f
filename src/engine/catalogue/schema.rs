//! A JSON Schema that data is checked against, in bounded time. The one home of the library that does it.
//!
//! References outside are refused before anything is compiled; patterns run in time that is linear in the text; and what
//! checking an event may cost is known before it is begun ([`super::weight`]). Formats are notes and are not checked, as
//! draft 2020-12 has it.

use std::thread;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

use super::weight::{Weight, escaped};

/// The most that is said about one event.
pub(super) const FAULTS_MAX: usize = 20;
/// The longest detail of a fault, in characters: a schema's own words may be long.
const DETAIL_CHARS_MAX: usize = 200;
/// Memory for the program of one pattern, which bounds its time for each character too.
const PATTERN_BYTES_MAX: usize = 64 * 1024;
/// Memory for what is remembered of a pattern's runs, by each thread that runs it. With less it runs slower, not longer than
/// linear.
const PATTERN_CACHE_BYTES_MAX: usize = 64 * 1024;
/// How much larger than its text a schema is when it is compiled, patterns apart: measured.
const COMPILED_GROWTH: usize = 24;
/// Stack for whoever compiles: the library goes as deep as the schema refers on.
const COMPILER_STACK_BYTES: usize = 64 * 1024 * 1024;
/// Work on one event that is done; what would take more is refused. About a fifth of a second.
const VISITS_MAX: u64 = 20_000_000;
/// Text that patterns run over for one event, each counted by itself. A few seconds for the worst of patterns.
const SCANNED_BYTES_MAX: u64 = 512 * 1024;
/// Work that is done where the event came in, without asking for room.
const QUICK_VISITS_MAX: u64 = 50_000;
const QUICK_SCANNED_BYTES_MAX: u64 = 1_024;
/// Work up to which every single violation is looked for, and bytes that are copied for it.
const TOLD_VISITS_MAX: u64 = 500_000;
const TOLD_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A value without its text.
const VALUE_BYTES: u64 = 32;

/// What is wrong with a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// A JSON pointer, from the schema or the data on.
    pub pointer: String,
    pub detail: String,
}

impl Fault {
    pub(super) fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }

    /// The same in something larger.
    #[must_use]
    pub fn beneath(self, pointer: &str) -> Self {
        Self { pointer: format!("{pointer}{}", self.pointer), ..self }
    }
}

/// A compiled schema.
pub(super) struct Schema {
    validator: Validator,
    weight: Weight,
    /// What it takes of memory, about.
    bytes: usize,
}

/// Data and what it would cost to check it.
pub(super) struct Examination {
    data: Value,
    visits: u64,
    scanned_bytes: u64,
    copied_bytes: u64,
}

impl Schema {
    /// Compiles a schema, or says what is wrong with it. Takes milliseconds and more: not where others wait.
    pub(super) fn compile(text: &[u8]) -> Result<Self, Vec<Fault>> {
        let schema: Value = serde_json::from_slice(text).map_err(|error| vec![Fault::new("", error.to_string())])?;
        if !schema.is_object() && !schema.is_boolean() {
            return Err(vec![Fault::new("", "is a JSON Schema: an object, or true or false")]);
        }
        let weight = Weight::of(&schema)?;
        let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_CACHE_BYTES_MAX);
        let build = move || {
            jsonschema::options().offline().should_validate_formats(false).with_pattern_options(patterns).build(&schema)
        };
        let compiler = thread::Builder::new().name("schema".to_owned()).stack_size(COMPILER_STACK_BYTES).spawn(build);
        let built = compiler.ok().and_then(|compiler| compiler.join().ok());
        let refused = || vec![Fault::new("", "cannot be compiled; say it more simply")];
        let validator = built.ok_or_else(refused)?.map_err(|error| {
            let detail = match error.kind() {
                ValidationErrorKind::Format { format } if format == "regex" => PATTERN_ADVICE.to_owned(),
                _ => words(&error),
            };
            vec![Fault::new(error.instance_path().as_str(), detail)]
        })?;
        let bytes = text.len() * COMPILED_GROWTH + weight.patterns() * PATTERN_BYTES_MAX;
        Ok(Self { validator, weight, bytes })
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Looks at how much data there is, and how deep.
    pub(super) fn examine(&self, data: Value) -> Examination {
        let (mut visits, mut scanned_bytes, mut copied, mut widest) = (0_u64, 0_u64, 0_u64, 0);
        let mut open = vec![(&data, 0)];
        while let Some((value, level)) = open.pop() {
            let cost = self.weight.at(level);
            let text_bytes = match value {
                Value::String(text) => text.len(),
                Value::Object(members) => members.keys().map(String::len).sum(),
                _ => 0,
            };
            let text_bytes = u64::try_from(text_bytes).unwrap_or(u64::MAX);
            // A name is looked at with the object and with the member that it names.
            let scans = cost.scans.saturating_add(self.weight.at(level + 1).scans);
            visits = visits.saturating_add(cost.visits);
            widest = widest.max(cost.visits);
            scanned_bytes = scanned_bytes.saturating_add(text_bytes.saturating_mul(scans));
            // What is wrong with a value is told with a copy of it, and of it within every value around it.
            copied = copied.saturating_add((text_bytes + VALUE_BYTES).saturating_mul(copies_at(level)));
            match value {
                Value::Array(items) => open.extend(items.iter().map(|item| (item, level + 1))),
                Value::Object(members) => open.extend(members.values().map(|member| (member, level + 1))),
                _ => {}
            }
        }
        Examination { data, visits, scanned_bytes, copied_bytes: copied.saturating_mul(widest) }
    }

    /// What is wrong with the data: nothing, or at most [`FAULTS_MAX`] faults, from the data on.
    pub(super) fn violations(&self, examination: &Examination) -> Vec<Fault> {
        let Examination { data, visits, scanned_bytes, copied_bytes } = examination;
        if *visits > VISITS_MAX || *scanned_bytes > SCANNED_BYTES_MAX {
            let detail = "is too large, or nested too deep, to be checked against the schema of this event type in time; \
                          publish less at once, or simplify the schema";
            return vec![Fault::new("", detail)];
        }
        if self.validator.is_valid(data) {
            return Vec::new();
        }
        if *visits > TOLD_VISITS_MAX || *copied_bytes > TOLD_BYTES_MAX {
            let detail = "does not satisfy the schema of this event type; it is too large to say where";
            return vec![Fault::new("", detail)];
        }
        let mut faults: Vec<Fault> = self.validator.iter_errors(data).take(FAULTS_MAX).flat_map(told).collect();
        faults.truncate(FAULTS_MAX);
        faults
    }
}

impl Examination {
    /// Whether it takes no longer than other things that a request waits for.
    pub(super) fn is_quick(&self) -> bool {
        self.visits <= QUICK_VISITS_MAX && self.scanned_bytes <= QUICK_SCANNED_BYTES_MAX
    }
}

fn copies_at(level: usize) -> u64 {
    u64::try_from(level + 1).unwrap_or(u64::MAX)
}

const PATTERN_ADVICE: &str = "is no pattern that runs in bounded time; write it without look-around and back-references, \
                              and with smaller numbers of repetitions";

/// What a violation says, each at the member that it is about.
fn told(error: ValidationError<'_>) -> Vec<Fault> {
    let at = error.instance_path().as_str();
    let member = |name: &str, detail: &str| Fault::new(format!("{at}/{}", escaped(name)), detail);
    match error.kind() {
        ValidationErrorKind::Required { property: Value::String(name) } => vec![member(name, "is required")],
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let names = unexpected.iter().take(FAULTS_MAX);
            names.map(|name| member(name, "is not among the members that the schema allows")).collect()
        }
        ValidationErrorKind::FalseSchema => vec![Fault::new(at, "is not allowed by the schema")],
        ValidationErrorKind::AnyOf { .. } | ValidationErrorKind::OneOfNotValid { .. } => {
            vec![Fault::new(at, "satisfies none of the schema's alternatives")]
        }
        ValidationErrorKind::OneOfMultipleValid { .. } => {
            vec![Fault::new(at, "satisfies several of the schema's alternatives, of which it may satisfy one")]
        }
        _ => vec![Fault::new(at, words(&error))],
    }
}

/// The library's words without the value itself, which may be long and is nobody else's business.
fn words(error: &ValidationError<'_>) -> String {
    let words = error.masked().to_string();
    let words = words.strip_prefix("value ").unwrap_or(&words);
    match words.char_indices().nth(DETAIL_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words.to_owned(),
    }
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
