//! What the description says of one operation, beside what the table of routes says of it.

use axum::http::StatusCode;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::content::{Content, ContentBuilder};
use utoipa::openapi::link::Link;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema};
use utoipa::openapi::{Ref, RefOr, Required};

use super::shapes;
use crate::api::page::{LIMIT_MAX, LIMIT_STANDARD, Pagination};
use crate::api::problem::Problem;

/// One operation: what it is for, what it takes, what it answers, what it refuses.
pub(in crate::api) struct Described {
    pub(super) operation: OperationBuilder,
    pub(super) schemas: Vec<(String, RefOr<Schema>)>,
    pub(super) body: Body,
    pub(super) takes_query: bool,
    /// Beside what every operation of its kind refuses.
    pub(super) refusals: Vec<Problem>,
}

/// Whether an operation takes a body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    None,
    Optional,
    Required,
}

/// What an answer's body is.
#[derive(Clone, Copy)]
pub(in crate::api) struct Answer {
    status: StatusCode,
    words: &'static str,
    media_type: &'static str,
}

impl Answer {
    pub(in crate::api) const fn new(status: StatusCode, words: &'static str) -> Self {
        Self { status, words, media_type: "application/json" }
    }

    pub(in crate::api) const fn ok(words: &'static str) -> Self {
        Self::new(StatusCode::OK, words)
    }

    pub(in crate::api) const fn of_type(self, media_type: &'static str) -> Self {
        Self { media_type, ..self }
    }
}

impl Described {
    pub(in crate::api) fn new(id: &str, summary: &str, detail: &str) -> Self {
        let operation = OperationBuilder::new().operation_id(Some(id)).summary(Some(summary)).description(Some(detail));
        Self { operation, schemas: Vec::new(), body: Body::None, takes_query: false, refusals: Vec::new() }
    }

    /// Whether it has parameters in its query string; what has none is asked for without.
    pub(in crate::api) fn takes_query(&self) -> bool {
        self.takes_query
    }

    /// A variable part of its path.
    pub(in crate::api) fn path<T: ToSchema>(self, name: &str, words: &str) -> Self {
        let schema = T::schema();
        let parameter = parameter(ParameterIn::Path, name, words).required(Required::True).schema(Some(schema));
        self.with(parameter.build())
    }

    /// A parameter of its query string.
    pub(in crate::api) fn query(mut self, name: &str, words: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        self.takes_query = true;
        let parameter = parameter(ParameterIn::Query, name, words).required(Required::False).schema(Some(schema));
        self.with(parameter.build())
    }

    /// The parameters of a list.
    pub(in crate::api) fn pages(self) -> Self {
        let limit = shapes::integer(1, LIMIT_MAX).default(Some(json!(LIMIT_STANDARD)));
        self.query("limit", "How many of them at most.", schema(limit))
            .query("cursor", "The `next_cursor` of the page before.", Schema::Object(shapes::cursor()))
            .refuses([Problem::invalid_one("limit", format!("is a number from 1 to {LIMIT_MAX}"))])
    }

    pub(in crate::api) fn takes<T: ToSchema>(self, example: Value) -> Self {
        self.with_body::<T>(Body::Required, example)
    }

    pub(in crate::api) fn may_take<T: ToSchema>(self, example: Value) -> Self {
        self.with_body::<T>(Body::Optional, example)
    }

    fn with_body<T: ToSchema>(mut self, kind: Body, example: Value) -> Self {
        self.body = kind;
        let required = if kind == Body::Required { Required::True } else { Required::False };
        let content = self.content::<T>().example(Some(example)).build();
        let body = RequestBodyBuilder::new().required(Some(required)).content("application/json", content).build();
        Self { operation: self.operation.request_body(Some(body)), ..self }
    }

    /// What it answers when all is well, and what its members open: the operation, its parameter, and where that stands in the answer.
    pub(in crate::api) fn answers<T: ToSchema>(
        mut self,
        answer: Answer,
        example: Value,
        links: &[(&str, &str, &str)],
    ) -> Self {
        let content = self.content::<T>().example(Some(example)).build();
        let response = linked(response(answer.words), links).content(answer.media_type, content);
        self.answered(answer.status, response)
    }

    /// A page of a list.
    pub(in crate::api) fn answers_page<T: ToSchema>(
        mut self,
        words: &'static str,
        example: Value,
        links: &[(&str, &str, &str)],
    ) -> Self {
        let entries = ArrayBuilder::new().items(self.named::<T>());
        let pagination = self.named::<Pagination>();
        let page = ObjectBuilder::new().property("data", entries).property("pagination", pagination);
        let name = format!("{}Page", T::name());
        self.schemas.push((name.clone(), schema(page.required("data").required("pagination"))));
        let content = Content::builder().schema(Some(Ref::from_schema_name(name))).example(Some(example)).build();
        let response = linked(response(words), links).content("application/json", content);
        self.answered(StatusCode::OK, response)
    }

    /// A text.
    pub(in crate::api) fn answers_text(self, answer: Answer, example: &str) -> Self {
        let content = Content::builder().schema(Some(schema(shapes::text()))).example(Some(example.into())).build();
        let response = response(answer.words).content(answer.media_type, content);
        self.answered(answer.status, response)
    }

    /// Nothing but its status.
    pub(in crate::api) fn answers_nothing(self, status: StatusCode, words: &str) -> Self {
        self.answered(status, response(words))
    }

    pub(in crate::api) fn refuses(mut self, refusals: impl IntoIterator<Item = Problem>) -> Self {
        self.refusals.extend(refusals);
        self
    }

    fn content<T: ToSchema>(&mut self) -> ContentBuilder {
        Content::builder().schema(Some(self.named::<T>()))
    }

    /// A schema by its name, which stands among the components with all that it names.
    fn named<T: ToSchema>(&mut self) -> Ref {
        self.schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(&mut self.schemas);
        Ref::from_schema_name(T::name())
    }

    fn answered(self, status: StatusCode, response: ResponseBuilder) -> Self {
        Self { operation: self.operation.response(status.as_str(), response.build()), ..self }
    }

    fn with(self, parameter: Parameter) -> Self {
        Self { operation: self.operation.parameter(parameter), ..self }
    }
}

pub(super) fn parameter(place: ParameterIn, name: &str, words: &str) -> ParameterBuilder {
    ParameterBuilder::new().name(name).parameter_in(place).description(Some(words))
}

/// What the members of an answer open.
fn linked(mut response: ResponseBuilder, links: &[(&str, &str, &str)]) -> ResponseBuilder {
    for (operation, parameter, pointer) in links {
        let link = Link::builder().operation_id(*operation).parameter(*parameter, format!("$response.body#{pointer}"));
        response = response.link(*operation, link.build());
    }
    response
}

pub(super) fn schema(object: ObjectBuilder) -> RefOr<Schema> {
    RefOr::T(object.build().into())
}

pub(super) fn response(words: &str) -> ResponseBuilder {
    ResponseBuilder::new().description(words).header_ref("X-Request-ID", Ref::new("#/components/headers/RequestId"))
}
