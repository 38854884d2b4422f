//! What a schema may cost, known before it is run: a walk over its text, and an upper bound on the work for data of any
//! shape.
//!
//! A schema that refers to a part of itself twice, which refers to another part twice, is checked a thousand million times
//! after thirty steps, however short it is. So the work is counted beforehand: how often some part of the schema is applied
//! to one value, for each level of nesting. It may count too much, never too little.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::schema::Fault;

/// Levels of data that are told apart. Data of events is never nested deeper.
const LEVELS: usize = 64;
/// Parts of a schema that may be applied to one value before going into its members.
const VISITS_IN_PLACE_MAX: u64 = 4_096;
/// Parts that are inside one another when the deepest data is checked: each takes a piece of the stack.
const FRAMES_MAX: u32 = 512;
/// Patterns of one schema: each takes memory for its program.
const PATTERNS_MAX: u64 = 256;
/// What looks at members that no other keyword has looked at applies the others again to know which.
const UNEVALUATED_FACTOR: u64 = 4;

/// Dialects that are understood.
const DIALECTS: [&str; 5] = [
    "https://json-schema.org/draft/2020-12/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "http://json-schema.org/draft-07/schema",
    "http://json-schema.org/draft-06/schema",
    "http://json-schema.org/draft-04/schema",
];

const IN_PLACE: [&str; 4] = ["not", "if", "then", "else"];
const IN_PLACE_LISTS: [&str; 3] = ["allOf", "anyOf", "oneOf"];
const IN_PLACE_MAPS: [&str; 2] = ["dependentSchemas", "dependencies"];
const OF_MEMBERS: [&str; 3] = ["additionalProperties", "unevaluatedProperties", "propertyNames"];
const OF_ITEMS: [&str; 4] = ["items", "additionalItems", "unevaluatedItems", "contains"];
const KEPT_ASIDE: [&str; 2] = ["$defs", "definitions"];

/// Work on one value, or bounds on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// Parts of the schema that are applied.
    pub(super) visits: u64,
    /// Regular expressions that are run, if it is text.
    pub(super) scans: u64,
    frames: u32,
}

impl Cost {
    fn and(self, other: Self) -> Self {
        Self {
            visits: self.visits.saturating_add(other.visits),
            scans: self.scans.saturating_add(other.scans),
            frames: self.frames.max(other.frames),
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            visits: self.visits.max(other.visits),
            scans: self.scans.max(other.scans),
            frames: self.frames.max(other.frames),
        }
    }

    fn times(self, factor: u64) -> Self {
        Self { visits: self.visits.saturating_mul(factor), scans: self.scans.saturating_mul(factor), ..self }
    }
}

/// Work on one value at each level of nesting.
pub(super) struct Weight {
    per_level: Vec<Cost>,
    patterns: u64,
}

impl Weight {
    /// Walks a schema, or says what is wrong with it.
    pub(super) fn of(schema: &Value) -> Result<Self, Vec<Fault>> {
        let parts = Parts::of(schema)?;
        let patterns = parts.all.iter().fold(0_u64, |sum, part| sum.saturating_add(part.own.scans));
        if patterns > PATTERNS_MAX {
            return Err(vec![Fault::new("", format!("has {patterns} patterns, and may have {PATTERNS_MAX}"))]);
        }
        let order = parts.order().map_err(|part| {
            vec![Fault::new(parts.pointer(part), "leads back to itself before it goes into a member or an item")]
        })?;
        let mut per_level = Vec::with_capacity(LEVELS + 1);
        let mut above = vec![Cost::default(); parts.all.len()];
        for level in 0..=LEVELS {
            let mut here = vec![Cost::default(); parts.all.len()];
            for part in &order {
                here[*part] = parts.all[*part].cost(&here, &above, level);
            }
            if level == 0
                && let Some(part) = order.iter().find(|part| here[**part].visits > VISITS_IN_PLACE_MAX)
            {
                let detail = format!("takes more than {VISITS_IN_PLACE_MAX} steps for one value; say it more simply");
                return Err(vec![Fault::new(parts.pointer(*part), detail)]);
            }
            per_level.push(here[0]);
            above = here;
        }
        if per_level[LEVELS].frames > FRAMES_MAX {
            return Err(vec![Fault::new("", "refers from one part to the next too often; say it more simply")]);
        }
        Ok(Self { per_level, patterns })
    }

    /// How many regular expressions it has.
    pub(super) fn patterns(&self) -> usize {
        usize::try_from(self.patterns).unwrap_or(usize::MAX)
    }

    pub(super) fn at(&self, level: usize) -> Cost {
        self.per_level.get(level).or(self.per_level.last()).copied().unwrap_or_default()
    }
}

/// One part of a schema: an object of keywords.
#[derive(Default)]
struct Part {
    /// Where it stands: in which part, and beneath which pointer there.
    within: Option<(usize, String)>,
    own: Cost,
    in_place: Vec<usize>,
    /// Of which one member meets at most one.
    properties: Vec<usize>,
    members: Vec<usize>,
    /// Of which one item meets at most one.
    prefix: Vec<usize>,
    items: Vec<usize>,
    minds_unevaluated: bool,
}

impl Part {
    /// The work on a value at a level, when that of its parts there and one level above is known.
    fn cost(&self, here: &[Cost], above: &[Cost], level: usize) -> Cost {
        let sum = |parts: &[usize], of: &[Cost]| parts.iter().fold(Cost::default(), |sum, part| sum.and(of[*part]));
        let most = |parts: &[usize], of: &[Cost]| parts.iter().fold(Cost::default(), |most, part| most.or(of[*part]));
        if level == 0 {
            return self.own.and(self.again(sum(&self.in_place, here))).deeper();
        }
        let of_member = most(&self.properties, above).and(sum(&self.members, above));
        let of_item = most(&self.prefix, above).and(sum(&self.items, above));
        of_member.or(of_item).and(self.again(sum(&self.in_place, here))).deeper()
    }

    fn again(&self, cost: Cost) -> Cost {
        if self.minds_unevaluated { cost.times(UNEVALUATED_FACTOR) } else { cost }
    }
}

impl Cost {
    fn deeper(self) -> Self {
        Self { frames: self.frames.saturating_add(1), ..self }
    }
}

/// Every part of a schema that may be applied, the whole first.
struct Parts<'s> {
    root: &'s Value,
    all: Vec<Part>,
    values: Vec<&'s Value>,
    known: HashMap<usize, usize>,
    faults: Vec<Fault>,
}

impl<'s> Parts<'s> {
    fn of(root: &'s Value) -> Result<Self, Vec<Fault>> {
        let mut parts = Self { root, all: Vec::new(), values: Vec::new(), known: HashMap::new(), faults: Vec::new() };
        parts.enter(root, None);
        let mut next = 0;
        while let Some(value) = parts.values.get(next).copied() {
            if let Value::Object(keywords) = value {
                parts.read(next, keywords);
            }
            next += 1;
        }
        if parts.faults.is_empty() { Ok(parts) } else { Err(parts.faults) }
    }

    fn enter(&mut self, value: &'s Value, within: Option<(usize, String)>) -> usize {
        let next = self.all.len();
        let part = *self.known.entry(std::ptr::from_ref(value).addr()).or_insert(next);
        if part == next {
            self.all.push(Part { within, own: Cost { visits: 1, ..Cost::default() }, ..Part::default() });
            self.values.push(value);
        }
        part
    }

    /// Where a part stands in the schema.
    fn pointer(&self, part: usize) -> String {
        let (mut part, mut steps) = (part, Vec::new());
        while let Some((within, step)) = self.all.get(part).and_then(|part| part.within.as_ref()) {
            steps.push(step.as_str());
            part = *within;
        }
        steps.into_iter().rev().collect()
    }

    fn fault(&mut self, part: usize, keyword: &str, detail: impl Into<String>) {
        self.faults.push(Fault::new(format!("{}/{}", self.pointer(part), escaped(keyword)), detail));
    }

    fn read(&mut self, part: usize, keywords: &'s Map<String, Value>) {
        for (keyword, value) in keywords {
            let step = format!("/{}", escaped(keyword));
            match (keyword.as_str(), value) {
                ("$ref", Value::String(target)) => self.refer(part, target),
                ("$dynamicRef" | "$recursiveRef" | "$dynamicAnchor" | "$recursiveAnchor", _) => {
                    self.fault(part, keyword, "is not understood here; refer with $ref");
                }
                ("$id" | "$schema", _) if part > 0 => self.fault(part, keyword, "stands only at the top of a schema"),
                ("$schema", Value::String(dialect)) if !DIALECTS.contains(&dialect.trim_end_matches('#')) => {
                    self.fault(part, keyword, format!("is one of: {}", DIALECTS.join(", ")));
                }
                ("pattern", _) => self.all[part].own.scans += 1,
                ("enum" | "const", _) => self.all[part].own.visits += values_in(value),
                ("properties", Value::Object(members)) => {
                    let entered = self.enter_all(part, &step, members);
                    self.all[part].properties.extend(entered);
                }
                ("patternProperties", Value::Object(members)) => {
                    self.all[part].own.scans += u64::try_from(members.len()).unwrap_or(u64::MAX);
                    let entered = self.enter_all(part, &step, members);
                    self.all[part].own.visits += u64::try_from(entered.len()).unwrap_or(u64::MAX);
                    self.all[part].members.extend(entered);
                }
                (name, Value::Array(items)) if name == "prefixItems" || name == "items" => {
                    let entered = self.enter_items(part, &step, items);
                    self.all[part].prefix.extend(entered);
                }
                (name, Value::Array(items)) if IN_PLACE_LISTS.contains(&name) => {
                    let entered = self.enter_items(part, &step, items);
                    self.all[part].in_place.extend(entered);
                }
                (name, Value::Object(members)) if IN_PLACE_MAPS.contains(&name) => {
                    let entered = self.enter_all(part, &step, members);
                    self.all[part].in_place.extend(entered);
                }
                (name, Value::Object(members)) if KEPT_ASIDE.contains(&name) => {
                    self.enter_all(part, &step, members);
                }
                (name, Value::Object(_)) => self.read_single(part, name, step, value),
                (name, Value::Bool(_)) => self.all[part].minds_unevaluated |= name.starts_with("unevaluated"),
                (_, Value::Array(values)) => self.all[part].own.visits += u64::try_from(values.len() / 8).unwrap_or(0),
                _ => {}
            }
        }
    }

    fn read_single(&mut self, part: usize, name: &str, step: String, value: &'s Value) {
        self.all[part].minds_unevaluated |= name.starts_with("unevaluated");
        if !IN_PLACE.contains(&name) && !OF_MEMBERS.contains(&name) && !OF_ITEMS.contains(&name) {
            return;
        }
        let entered = self.enter(value, Some((part, step)));
        let part = &mut self.all[part];
        match name {
            name if IN_PLACE.contains(&name) => part.in_place.push(entered),
            name if OF_MEMBERS.contains(&name) => part.members.push(entered),
            _ => part.items.push(entered),
        }
    }

    fn enter_all(&mut self, part: usize, step: &str, members: &'s Map<String, Value>) -> Vec<usize> {
        let schemas = members.iter().filter(|(_, value)| value.is_object());
        schemas.map(|(name, value)| self.enter(value, Some((part, format!("{step}/{}", escaped(name)))))).collect()
    }

    fn enter_items(&mut self, part: usize, step: &str, items: &'s [Value]) -> Vec<usize> {
        let schemas = items.iter().enumerate().filter(|(_, value)| value.is_object());
        schemas.map(|(at, value)| self.enter(value, Some((part, format!("{step}/{at}"))))).collect()
    }

    fn refer(&mut self, part: usize, target: &str) {
        let Some(fragment) = target.strip_prefix('#') else {
            let detail = "refers to something outside, which is not fetched; put it under $defs and write #/$defs/NAME";
            return self.fault(part, "$ref", detail);
        };
        let pointer = percent_decode_str(fragment).decode_utf8_lossy().into_owned();
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return self.fault(part, "$ref", "refers by an anchor; write where it is instead, such as #/$defs/NAME");
        }
        match self.root.pointer(&pointer) {
            Some(value) if value.is_object() => {
                let target = self.enter(value, Some((0, pointer)));
                self.all[part].in_place.push(target);
            }
            Some(value) if value.is_boolean() => {}
            _ => self.fault(part, "$ref", "refers to no schema; there is none at that place"),
        }
    }

    /// All parts, each after those that are applied in its place; or one that leads back to itself.
    fn order(&self) -> Result<Vec<usize>, usize> {
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            Fresh,
            Open,
            Done,
        }
        let (mut marks, mut order) = (vec![Mark::Fresh; self.all.len()], Vec::with_capacity(self.all.len()));
        for start in 0..self.all.len() {
            let mut path = vec![(start, 0)];
            while let Some((part, at)) = path.pop() {
                if marks[part] == Mark::Done {
                    continue;
                }
                marks[part] = Mark::Open;
                let Some(next) = self.all[part].in_place.get(at) else {
                    marks[part] = Mark::Done;
                    order.push(part);
                    continue;
                };
                if marks[*next] == Mark::Open {
                    return Err(part);
                }
                path.extend([(part, at + 1), (*next, 0)]);
            }
        }
        Ok(order)
    }
}

/// How many values a value is made of.
fn values_in(value: &Value) -> u64 {
    let (mut count, mut open) = (0, vec![value]);
    while let Some(value) = open.pop() {
        count += 1;
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(members) => open.extend(members.values()),
            _ => {}
        }
    }
    count
}

pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
