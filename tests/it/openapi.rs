//! The description of the API is true: it is the committed one, it is whole, and its examples satisfy its own schemas. That the server
//! keeps to it is for `tests/openapi` to find out.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use signet::api::{DOCUMENT, ROUTES};

use crate::support::Service;

const COMMITTED: &str = include_str!("../../docs/openapi.json");

fn document() -> Value {
    serde_json::from_str(&DOCUMENT).unwrap()
}

#[test]
fn the_committed_description_is_the_one_in_the_code() {
    let is_current = COMMITTED == *DOCUMENT;

    assert!(is_current, "docs/openapi.json is stale; it is what `cargo run -- openapi` prints");
}

#[test]
fn every_route_is_described_and_no_other() {
    let document = document();
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = |(path, item): (&String, &Value)| -> Vec<String> {
        item.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())).collect()
    };

    let described: BTreeSet<String> = paths.flat_map(operations).filter(|route| route.contains(" /v1/")).collect();

    assert_eq!(described, ROUTES.iter().map(|route| format!("{} {}", route.method, route.path)).collect());
}

#[test]
fn every_operation_has_words_a_scope_examples_and_errors() {
    let document = document();
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let name = format!("{method} {path}");
        let is_guarded = path.starts_with("/v1/");
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{name}: its id is taken");
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{name}");
        assert_eq!(operation["security"].is_array(), is_guarded, "{name}");
        let responses = operation["responses"].as_object().unwrap();
        for status in ["401", "403", "404", "429", "500", "503"].iter().filter(|_| is_guarded) {
            assert!(responses.contains_key(*status), "{name} may answer {status}");
        }
        for (status, response) in responses.iter().map(|(status, response)| (status, resolved(&document, response))) {
            for content in response["content"].as_object().into_iter().flat_map(|content| content.values()) {
                let has_example = !content["example"].is_null() || !content["examples"].is_null();
                assert!(has_example, "{name}: {status} has no example");
            }
        }
    }
}

#[test]
fn every_example_satisfies_its_schema() {
    let document = document();
    let (mut examined, mut known) = (0, BTreeSet::new());
    let mut examine = |place: &str, content: &Value| {
        if !known.insert(content.to_string()) {
            return;
        }
        let schema = json!({"allOf": [content["schema"]], "components": document["components"]});
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let named = content["examples"].as_object().into_iter().flat_map(|all| all.values().map(|one| &one["value"]));
        for example in named.chain(content.get("example")) {
            let errors: Vec<String> = validator.iter_errors(example).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{place}: {example}: {errors:?}");
            examined += 1;
        }
    };
    for (path, method, operation) in operations(&document) {
        let responses = operation["responses"].as_object().unwrap().values();
        let bodies = responses.map(|response| resolved(&document, response)).chain(operation.get("requestBody"));
        for content in bodies.flat_map(|body| body["content"].as_object().into_iter().flat_map(|all| all.values())) {
            examine(&format!("{method} {path}"), content);
        }
    }

    assert!(examined > 100, "only {examined} examples were found");
}

#[test]
fn every_reference_names_something() {
    let document = document();
    let mut references = Vec::new();
    collect(&document, &mut references);

    assert!(references.len() > 100);
    for reference in references {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference} is not there");
    }
}

#[tokio::test]
async fn the_description_and_its_pages_are_served_and_fetch_nothing_from_elsewhere() {
    let service = Service::start().await;

    assert_eq!(service.get("/openapi.json").await.text, *DOCUMENT);
    let page = service.get("/docs/").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html"));
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("connect-src 'self'"), "{policy}");
    let elsewhere: Vec<&str> = page.text.split('"').filter(|word| word.contains("//")).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    for file in page.text.split('"').filter(|word| word.starts_with("./")) {
        assert_eq!(service.get(&format!("/docs/{}", &file[2..])).await.status, 200, "{file}");
    }
    assert!(service.get("/docs/swagger-initializer.js").await.text.contains("/openapi.json"));
    assert_eq!(service.get("/docs/nothing.js").await.status, 404);
}

fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let methods = item.as_object().unwrap().iter();
        operations.extend(methods.map(|(method, operation)| (path.as_str(), method.as_str(), operation)));
    }
    operations
}

/// What stands among the components, where that is all that is said.
fn resolved<'a>(document: &'a Value, said: &'a Value) -> &'a Value {
    let reference = said["$ref"].as_str().map(|reference| reference.trim_start_matches('#'));
    reference.map_or(said, |pointer| document.pointer(pointer).unwrap())
}

fn collect<'a>(value: &'a Value, references: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            references.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|member| collect(member, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}
