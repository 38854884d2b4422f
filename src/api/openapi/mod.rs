//! The description of the API (OpenAPI 3.1), made of the table of routes and of the types that requests are read into and
//! answers are written from. What is not in the table is not described, and nothing is in the table without its description.

mod described;
mod page;
mod problems;
pub(in crate::api) mod shapes;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::http::Method;
use serde_json::json;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Parameter, ParameterIn, PathItem};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::{Tag, TagBuilder};
use utoipa::openapi::{
    ComponentsBuilder, Header, InfoBuilder, License, OpenApi, OpenApiBuilder, PathsBuilder, RefOr, Required, Schema,
    ServerBuilder,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::idempotency::KEY_CHARS_MAX;
use super::problem::{self, Problem};
use super::{Public, v1};
pub(in crate::api) use described::{Answer, Described};
use described::{Body, parameter, schema};
use problems::Problems;

pub(super) use page::{description, routes};

/// How the API's keys are called here, and those of receivers.
const API_KEY: &str = "apiKey";
const PULL_KEY: &str = "pullKey";

const TAGS: [(&str, &str); 7] = [
    ("events", "What happened, as the platform tells it."),
    ("webhooks", "Who wants to hear of it, how, and what became of each delivery."),
    ("hooks", "Questions to a tenant's own server while somebody signs up, signs in or is given a token."),
    ("event types", "The catalogue of what may happen."),
    ("keys", "The keys that tokens are signed with."),
    ("administration", "Tenants, API keys and the audit log."),
    ("public", "What receivers and operators read without a key."),
];

/// The description, as it is served and committed.
pub static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let mut text = document().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
});

fn document() -> OpenApi {
    let mut schemas = BTreeMap::from([(problem::Written::name().into_owned(), problem::Written::schema())]);
    let mut nested = Vec::new();
    problem::Written::schemas(&mut nested);
    let (mut paths, mut problems) = (PathsBuilder::new(), Problems::default());
    for route in &v1::ROUTES {
        let (operation, refusals, found) = guarded(route, (route.described)());
        let operation = problems.refuse(operation, refusals);
        nested.extend(found);
        paths = paths.path(route.path, PathItem::new(http_method(&route.method), operation));
    }
    for Public { path, described, .. } in super::public() {
        let Described { operation, schemas: found, refusals, .. } = described;
        let operation = problems.refuse(operation.tag("public"), refusals);
        nested.extend(found);
        paths = paths.path(path, PathItem::new(HttpMethod::Get, operation));
    }
    schemas.extend(nested);
    let scheme = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("sk_live_…")
        .description(Some("An API key, as `signet api-key new` and `POST /v1/admin/api-keys` show it once."));
    let pull_key = Http::builder().scheme(HttpAuthScheme::Bearer).bearer_format("pull_live_…").description(Some(
        "The key of one webhook's receiver, shown once when the webhook is made, and when the key is rotated.",
    ));
    let request_id = Header::builder().schema(Some(shapes::RequestId::schema()));
    let components = ComponentsBuilder::new()
        .header("RequestId", request_id.build())
        .schemas_from_iter(schemas)
        .responses_from_iter(problems.into_inner())
        .security_scheme(API_KEY, SecurityScheme::Http(scheme.build()))
        .security_scheme(PULL_KEY, SecurityScheme::Http(pull_key.build()));
    let tags: Vec<Tag> =
        TAGS.iter().map(|(name, words)| TagBuilder::new().name(*name).description(Some(*words)).build()).collect();
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Signet")
                .version("v1")
                .description(Some(include_str!("introduction.md")))
                .license(Some(License::builder().name("Apache-2.0").identifier(Some("Apache-2.0")).build())),
        )
        .servers(Some([ServerBuilder::new().url("/").build()]))
        .tags(Some(tags))
        .components(Some(components.build()))
        .paths(paths)
        .build()
}

type Schemas = Vec<(String, RefOr<Schema>)>;

/// An operation with what is true of all that need an API key.
fn guarded(route: &v1::Route, described: Described) -> (OperationBuilder, Vec<Problem>, Schemas) {
    let Described { mut operation, schemas, body, takes_query, mut refusals } = described;
    operation = operation.tag(tag(route.path));
    if let Some(scope) = route.scope {
        let requirement = SecurityRequirement::new(API_KEY, [scope.as_str()]);
        operation = operation.security(requirement).parameter(tenant_header());
        refusals.extend([Problem::unauthenticated(), Problem::forbidden(scope), Problem::unknown_tenant()]);
    } else {
        operation = operation.security(SecurityRequirement::new(PULL_KEY, [""; 0]));
    }
    refusals.extend([Problem::too_many(), Problem::internal(), Problem::unavailable()]);
    if body != Body::None {
        refusals.extend([
            Problem::malformed("the body is not JSON: expected value at line 1 column 1"),
            Problem::unsupported_media_type(),
            Problem::too_large("the body is larger than this route takes"),
            Problem::invalid_one("", "must be a JSON object: {…}"),
        ]);
    }
    if route.method == Method::POST && route.scope.is_some() {
        operation = operation.parameter(idempotency_header());
        refusals.extend([Problem::idempotency_mismatch(), Problem::idempotency_in_progress()]);
    }
    let words =
        if takes_query { "unknown field `limt`, expected `limit` or `cursor`" } else { "this route has no parameters" };
    refusals.push(Problem::malformed(format!("the query string is not understood: {words}")));
    (operation, refusals, schemas)
}

fn tenant_header() -> Parameter {
    let words = "The tenant that is meant; by default the API key's own, or the default tenant. One that the key does not reach is answered like one that is not there.";
    let schema = shapes::TenantId::schema();
    parameter(ParameterIn::Header, "X-Tenant-ID", words).required(Required::False).schema(Some(schema)).build()
}

fn idempotency_header() -> Parameter {
    let words = "A name of the caller's own for this request: asked again under it within 24 hours, the same is answered with `Idempotent-Replayed: true` and nothing is done twice.";
    let shape = shapes::text()
        .min_length(Some(1))
        .max_length(Some(KEY_CHARS_MAX))
        .pattern(Some(r#"^(?!""$)[!-~]([ -~\t]*[!-~])?$"#))
        .examples([json!("order-4711-paid")]);
    parameter(ParameterIn::Header, "Idempotency-Key", words)
        .required(Required::False)
        .schema(Some(schema(shape)))
        .build()
}

fn tag(path: &str) -> &'static str {
    let name = path.trim_start_matches("/v1/").split('/').next().unwrap_or_default();
    match name {
        "events" => "events",
        "webhooks" => "webhooks",
        "event-types" => "event types",
        "hooks" => "hooks",
        _ if path.starts_with("/v1/admin/hooks") || path == "/v1/admin/config" => "hooks",
        _ if path.starts_with("/v1/admin/keys") => "keys",
        _ => "administration",
    }
}

fn http_method(method: &Method) -> HttpMethod {
    match *method {
        Method::POST => HttpMethod::Post,
        Method::PUT => HttpMethod::Put,
        Method::PATCH => HttpMethod::Patch,
        Method::DELETE => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}
