//! Schemas that are refused, what data has against them, and that neither takes longer than it may.

use std::time::Duration;

use serde_json::{Map, json};

use super::*;
use crate::engine::clock::Clock;

/// Far more than anything here takes, and far less than what is not bounded would.
const SOON: Duration = Duration::from_secs(20);

fn compiled(schema: &Value) -> Schema {
    Schema::compile(schema.to_string().as_bytes()).unwrap_or_else(|faults| panic!("{schema}: {faults:?}"))
}

fn refused(schema: &Value) -> Vec<Fault> {
    Schema::compile(schema.to_string().as_bytes()).err().unwrap_or_else(|| panic!("{schema} was compiled"))
}

fn check_refused(schema: &Value, pointer: &str, words: &str) {
    let faults = refused(schema);

    let is_it = |fault: &Fault| fault.pointer == pointer && fault.detail.contains(words);
    assert!(faults.iter().any(is_it), "{schema}: {faults:?}");
}

fn check(schema: &Value, data: &Value, pointers: &[&str]) {
    let schema = compiled(schema);

    let faults = schema.violations(&schema.examine(data.clone()));

    let found: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(found, pointers, "{faults:?}");
}

fn within<T>(span: Duration, work: impl FnOnce() -> T) -> T {
    let watch = Clock::system().stopwatch();
    let done = work();
    let took = watch.elapsed();
    assert!(took < span, "it took {took:?}");
    done
}

/// A chain of definitions, each of which applies the next one twice.
fn doubling(keyword: &str, steps: usize, end: &Value) -> Value {
    let mut definitions = Map::new();
    for step in 0..steps {
        let next = json!({"$ref": format!("#/$defs/step{}", step + 1)});
        definitions.insert(format!("step{step}"), json!({keyword: [next, next]}));
    }
    definitions.insert(format!("step{steps}"), end.clone());
    json!({"$ref": "#/$defs/step0", "$defs": definitions})
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!({"end": 1}), |inner, _| json!({"a": inner}))
}

#[test]
fn every_violation_is_told_at_its_member() {
    let schema = json!({
        "type": "object",
        "required": ["id", "na/me"],
        "properties": {"id": {"type": "string"}, "tags": {"items": {"type": "string", "pattern": "^[a-z]+$"}}},
        "additionalProperties": false,
    });

    check(&schema, &json!({"id": "1", "na/me": 1}), &["/na~1me"]);
    check(&json!({"properties": {"a": {"enum": [1, 2]}}}), &json!({"a": 3}), &["/a"]);
    let several = compiled(&schema);
    let faults = several.violations(&several.examine(json!({"id": 5, "tags": ["a", "B"], "more": true})));
    let mut pointers: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/id", "/more", "/na~1me", "/tags/1"]);
    assert!(faults.iter().any(|fault| fault.detail == r#"is not of type "string""#), "{faults:?}");
}

#[test]
fn no_more_is_told_than_anybody_reads() {
    let schema = compiled(&json!({"items": {"type": "string", "enum": ["x".repeat(1_000)]}}));
    let data = Value::Array((0..1_000).map(Value::from).collect());

    let faults = schema.violations(&schema.examine(data));

    assert_eq!(faults.len(), FAULTS_MAX);
    assert!(faults.iter().all(|fault| fault.detail.chars().count() <= DETAIL_CHARS_MAX + 1));
}

#[test]
fn numbers_are_compared_as_they_are_written() {
    let exact = compiled(&serde_json::from_str(r#"{"const": 12345678901234567890.5}"#).unwrap());
    let holds = |text: &str| exact.violations(&exact.examine(serde_json::from_str(text).unwrap())).is_empty();

    assert!(holds("12345678901234567890.5"));
    assert!(!holds("12345678901234567890.6"));
    for text in ["1e999999999999", "1e-999999999999", "123456789012345678901234567890"] {
        let schema = compiled(&json!({"type": "number", "minimum": 5, "multipleOf": 0.1, "uniqueItems": true}));
        within(SOON, || schema.violations(&schema.examine(serde_json::from_str(text).unwrap())));
    }
}

#[test]
fn what_is_outside_is_not_fetched() {
    for target in ["https://example.com/user.json", "user.json", "file:///user.json", "//example.com/x#/a"] {
        check_refused(&json!({"properties": {"a/b": {"$ref": target}}}), "/properties/a~1b/$ref", "#/$defs/NAME");
    }
    check_refused(&json!({"$defs": {"never": {"$ref": "other.json"}}}), "/$defs/never/$ref", "#/$defs/NAME");
    check_refused(&json!({"$ref": "#user"}), "/$ref", "by an anchor");
    check_refused(&json!({"items": {"$ref": "#/$defs/x"}}), "/items/$ref", "refers to no schema");
    check_refused(&json!({"items": {"$id": "https://example.com/x"}}), "/items/$id", "at the top");
    check_refused(&json!({"$schema": "https://example.com/dialect"}), "/$schema", "2020-12");
    check_refused(&json!({"$dynamicRef": "#x"}), "/$dynamicRef", "$ref");
}

#[test]
fn what_is_no_schema_is_refused_where_it_is_wrong() {
    check_refused(&json!(5), "", "JSON Schema");
    check_refused(&json!({"properties": {"a": {"type": "text"}}}), "/properties/a/type", "");
    check_refused(&json!({"$ref": "#"}), "", "back to itself");
    check_refused(&json!({"properties": {"a": {"pattern": "(?=a)b"}}}), "/properties/a/pattern", "look-around");
    check_refused(&json!({"properties": {"a": {"pattern": "(a)\\1"}}}), "/properties/a/pattern", "look-around");
    check_refused(&json!({"pattern": "((a{100}){100}){100}"}), "/pattern", "repetitions");
}

#[test]
fn a_schema_that_takes_exponential_time_is_refused() {
    for keyword in ["allOf", "anyOf", "oneOf"] {
        for end in [json!({"type": "string"}), json!({"type": "integer"})] {
            let faults = within(SOON, || refused(&doubling(keyword, 60, &end)));
            assert!(faults[0].detail.contains("simply"), "{faults:?}");
        }
        let told = if keyword == "allOf" { FAULTS_MAX } else { 1 };
        check(&doubling(keyword, 5, &json!({"type": "null"})), &json!("text"), &[""; FAULTS_MAX][..told]);
    }
    let inner = json!({"properties": {"x": true}});
    let layered = (0..40).fold(inner, |inner, _| json!({"unevaluatedProperties": false, "anyOf": [inner]}));
    within(SOON, || refused(&layered));
    let chain =
        (0..2_000).map(|step| (format!("s{step}"), json!({"$ref": format!("#/$defs/s{}", (step + 1) % 2_000)})));
    within(SOON, || refused(&json!({"$ref": "#/$defs/s0", "$defs": chain.collect::<Map<_, _>>()})));
}

#[test]
fn a_schema_that_takes_exponential_time_for_nested_data_is_not_run_on_it() {
    let again = |name: &str| json!({"properties": {"a": {"$ref": "#"}}, "required": [name]});
    for keyword in ["anyOf", "allOf", "oneOf"] {
        let schema = compiled(&json!({keyword: [again("a"), again("b")]}));
        let shallow = within(SOON, || schema.violations(&schema.examine(nested(3))));
        let deep = within(SOON, || schema.violations(&schema.examine(nested(60))));

        assert!(!shallow.is_empty() && !shallow[0].detail.contains("too large"), "{shallow:?}");
        assert!(deep[0].detail.contains("too large"), "{deep:?}");
    }
}

#[test]
fn a_schema_that_refers_to_itself_once_is_run_on_data_as_deep_as_may_be() {
    let tree = json!({
        "type": "object",
        "properties": {"a": {"$ref": "#"}, "end": {"type": "integer"}},
        "additionalProperties": false,
    });

    check(&tree, &nested(63), &[]);
    let mut wrong = nested(2);
    wrong["a"]["b"] = json!(true);
    check(&tree, &wrong, &["/a/b"]);
}

#[test]
fn the_deepest_schema_on_the_deepest_data_leaves_stack_to_spare() {
    let chain = |links: usize| {
        let link = |step: usize| (format!("s{step}"), json!({"allOf": [{"$ref": format!("#/$defs/s{}", step + 1)}]}));
        let mut definitions: Map<String, Value> = (0..links).map(link).collect();
        definitions.insert(format!("s{links}"), json!({"properties": {"a": {"$ref": "#"}}}));
        json!({"$ref": "#/$defs/s0", "$defs": definitions})
    };
    let accepted = |links: usize| Schema::compile(chain(links).to_string().as_bytes()).ok();
    let deepest = (1..50).map_while(accepted).last().unwrap();

    // As much as the threads of the server have.
    let small = thread::Builder::new().stack_size(2 * 1024 * 1024);
    let work = move || deepest.violations(&deepest.examine(nested(63))).len();

    assert_eq!(small.spawn(work).unwrap().join().unwrap(), 0);
}

#[test]
fn what_a_large_event_costs_is_bounded() {
    let many: Vec<Value> = (0..3_000).map(|_| json!({"type": "string"})).collect();
    let wide = compiled(&json!({"items": {"anyOf": many}}));
    let zeroes = Value::Array(vec![json!(0); 128 * 1024]);
    let faults = within(SOON, || wide.violations(&wide.examine(zeroes)));
    assert!(faults[0].detail.contains("too large"), "{faults:?}");

    let slow = compiled(&json!({"items": {"pattern": "[ab]*a[ab]{100}c"}}));
    let text = |bytes: usize| json!(["ab".repeat(bytes / 2)]);
    within(SOON, || slow.violations(&slow.examine(text(8 * 1024))));
    assert!(!slow.examine(text(8 * 1024)).is_quick());
    let schema = compiled(&json!({"items": {"allOf": vec![json!({"pattern": "[ab]*a[ab]{100}c"}); 20]}}));
    let faults = within(SOON, || schema.violations(&schema.examine(text(100 * 1024))));
    assert!(faults[0].detail.contains("too large"), "{faults:?}");
}

#[test]
fn patterns_are_few_enough_to_be_held_in_memory() {
    let of = |count: usize| -> Map<String, Value> {
        (0..count).map(|number| (format!("m{number}"), json!({"pattern": "^[a-z]+$"}))).collect()
    };

    compiled(&json!({"properties": of(256)}));
    check_refused(&json!({"properties": of(257)}), "", "patterns");
}

#[test]
fn an_ordinary_event_is_checked_at_once() {
    let member = json!({"type": "string", "pattern": "^[a-z]+$", "maxLength": 20});
    let members: Map<String, Value> = (0..30).map(|number| (format!("m{number}"), member.clone())).collect();
    let schema = compiled(&json!({"properties": {"user": {"properties": members, "additionalProperties": false}}}));
    let values: Map<String, Value> = (0..30).map(|number| (format!("m{number}"), json!("abcdefghij"))).collect();

    let examination = schema.examine(json!({"user": values}));

    assert!(examination.is_quick());
    assert_eq!(schema.violations(&examination), []);
}
