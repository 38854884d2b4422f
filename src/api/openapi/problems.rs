//! Problems as they are described: what several operations answer alike stands once, among the components.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::content::Content;
use utoipa::openapi::example::Example;
use utoipa::openapi::path::OperationBuilder;
use utoipa::openapi::{Header, Ref, Response};

use super::described::{response, schema};
use super::shapes;
use crate::api::problem::{Problem, RETRY_AFTER_MAX, Written};

/// What stands for the name of a request in examples.
const REQUEST_ID: &str = "req_01J9ZW3K8Q5T7B2M4N6P8R0S1V";

/// The answers of all operations that were described so far.
#[derive(Default)]
pub(super) struct Problems(BTreeMap<String, Response>);

impl Problems {
    /// Adds its problems to an operation, each with an example.
    pub(super) fn refuse(&mut self, mut operation: OperationBuilder, refusals: Vec<Problem>) -> OperationBuilder {
        let mut by_status: BTreeMap<StatusCode, Vec<(String, Value)>> = BTreeMap::new();
        for refusal in refusals {
            let (status, written) = (refusal.status(), refusal.as_json(REQUEST_ID));
            let code = written.get("code").and_then(Value::as_str).unwrap_or_default().to_owned();
            let examples = by_status.entry(status).or_default();
            if !examples.iter().any(|(_, example)| *example == written) {
                examples.push((code, written));
            }
        }
        for (status, examples) in by_status {
            let name = self.keep(status, examples);
            operation = operation.response(status.as_str(), Ref::new(format!("#/components/responses/{name}")));
        }
        operation
    }

    pub(super) fn into_inner(self) -> BTreeMap<String, Response> {
        self.0
    }

    /// The name of an answer, under which it is kept.
    fn keep(&mut self, status: StatusCode, examples: Vec<(String, Value)>) -> String {
        let mut codes: Vec<&str> = examples.iter().map(|(code, _)| code.as_str()).collect();
        codes.dedup();
        let name = format!("{}-{}", status.as_u16(), codes.join("-"));
        let answer = answer(status, examples);
        let names = std::iter::once(name.clone()).chain((2..).map(|number| format!("{name}-{number}")));
        let is_free_or_same = |name: &String| self.0.get(name).is_none_or(|kept| *kept == answer);
        let name = names.into_iter().find(is_free_or_same).unwrap_or(name);
        self.0.insert(name.clone(), answer);
        name
    }
}

fn answer(status: StatusCode, examples: Vec<(String, Value)>) -> Response {
    // Several of one code are told apart by number.
    let named = examples.into_iter().enumerate().map(|(at, (code, value))| {
        let name = if at == 0 { code } else { format!("{code}-{}", at + 1) };
        (name, Example::builder().value(Some(value)).build())
    });
    let content =
        Content::builder().schema(Some(Ref::from_schema_name(Written::name()))).examples_from_iter(named).build();
    let words = status.canonical_reason().unwrap_or_default();
    let response = response(words).content("application/problem+json", content);
    let may_come_back = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    if may_come_back {
        let seconds = Header::builder().schema(Some(schema(shapes::seconds(Duration::ZERO, RETRY_AFTER_MAX))));
        return response.header("Retry-After", seconds.build()).build();
    }
    response.build()
}
