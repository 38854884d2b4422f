//! What the members of requests and answers look like, for the description of the API. Bounds and words come from where they
//! are checked, so that a shape says what is true. None of these is ever made; fields name them in the place of their own type.

use std::time::Duration;

use serde_json::{Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, KnownFormat, Object, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::access;
use crate::domain::call::users;
use crate::domain::catalogue;
use crate::domain::delivery::{DeliveryState, FailureKind};
use crate::domain::dialect;
use crate::domain::event_type;
use crate::domain::hook;
use crate::domain::id;
use crate::domain::key_ring;
use crate::domain::tenant;
use crate::domain::token::{self, TokenTtl};
use crate::domain::webhook::handling::{RATE, TIMEOUT_SECONDS};
use crate::domain::webhook::headers::{HEADERS_MAX, NAME_BYTES_MAX, RESERVED, RESERVED_PREFIXES, VALUE_BYTES_MAX};
use crate::domain::webhook::{self, URL_BYTES_MAX, activation, client_certificate, secret};

/// The characters of Crockford's base32, of which a ULID is written; the first holds three bits only.
const ULID: &str = "[0-7][0-9A-HJKMNP-TV-Z]{25}";
/// Twenty-six of them, for examples.
pub(in crate::api) const ULID_EXAMPLE: &str = "01J9ZW3K8Q5T7B2M4N6P8R0S1V";

macro_rules! shapes {
    ($($(#[doc = $doc:literal])+ $name:ident: $schema:expr;)+) => {
        $(
            $(#[doc = $doc])+
            pub(in crate::api) enum $name {}

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    let words = concat!($($doc, " "),+).trim().to_owned();
                    let object: ObjectBuilder = $schema;
                    RefOr::T(object.description(Some(words)).build().into())
                }
            }

            impl ToSchema for $name {}
        )+
    };
}

shapes! {
    /// The id of a tenant.
    TenantId: id(id::TenantId::PREFIX);
    /// The id of a webhook.
    WebhookId: id(id::WebhookId::PREFIX);
    /// The id of an event: the same on every attempt and replay, equal to the token's `jti` and the header `webhook-id`.
    EventId: id(id::EventId::PREFIX);
    /// The id of an API key; not the key itself.
    ApiKeyId: id(id::ApiKeyId::PREFIX);
    /// The id of one question to an authentication hook: the token's `jti` and the header `webhook-id`.
    ExecutionId: id(id::ExecutionId::PREFIX);
    /// What a hook is for.
    HookKind: one_of(hook::HookKind::ALL.map(hook::HookKind::as_str));
    /// What counts as said when there is no answer that counts.
    OnFailure: one_of(hook::OnFailure::ALL.map(hook::OnFailure::as_str));
    /// How a question ended; `amended` is allowed, with claims.
    HookOutcome: one_of(hook::HookOutcome::ALL.map(hook::HookOutcome::as_str));
    /// Why there is no answer that counts.
    HookFailure: text().enum_values(Some(hook::HookFailure::names()));
    /// Claims by their names.
    Claims: ObjectBuilder::new().examples([json!({"plan": "pro"})]);
    /// Any JSON object that every receiver reads alike (RFC 7493). It is sent byte for byte as it comes.
    HookPayload: ObjectBuilder::new().examples([json!({"email": "alice@example.com"})]);
    /// The name of one request, which the server's log knows it by.
    RequestId: id(id::RequestId::PREFIX);
    /// The thumbprint of a public key (RFC 7638): the `kid` of tokens and JWKs.
    KeyId: text().pattern(Some("^[A-Za-z0-9_-]{43}$")).examples([json!("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")]);
    /// An instant (RFC 3339), from 1970 on. Answers are in UTC.
    Timestamp: text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).examples([json!("2026-03-01T12:00:00Z")]);
    /// Segments of a-z, 0-9 and _ joined by dots.
    EventType: text().max_length(Some(event_type::NAME_BYTES_MAX)).pattern(Some(event_type_pattern())).examples([json!("user.created")]);
    /// An event type that a platform may publish: any that does not begin with the segment `signet`.
    PublishedEventType: text().max_length(Some(event_type::NAME_BYTES_MAX)).pattern(Some(published_pattern())).examples([json!("user.created")]);
    /// The name of an event type, which covers all beneath it too, or `*` for everything that the platform publishes.
    Subscription: text().max_length(Some(event_type::NAME_BYTES_MAX)).pattern(Some(subscription_pattern())).examples([json!("user"), json!("*")]);
    /// An absolute https URL without user name, password or fragment.
    WebhookUrl: text().max_length(Some(URL_BYTES_MAX)).format(Some(SchemaFormat::Custom("webhook-url".to_owned()))).examples([json!("https://example.com/webhooks")]);
    /// An absolute URL.
    Url: text().format(Some(SchemaFormat::Custom("uri".to_owned()))).examples([json!("https://signet.example.com/.well-known/jwks.json")]);
    /// How deliveries are written.
    Format: one_of(webhook::Format::ALL.map(webhook::Format::as_str));
    /// What the header of a token says that it is.
    TokenType: one_of(token::TokenType::CHOICES.map(token::TokenType::as_str));
    /// The public half of a webhook's own key pair, as Standard Webhooks writes it.
    PublicKey: text().pattern(Some("^whpk_[A-Za-z0-9+/]{43}=$"));
    /// What headers of formats begin with.
    HeaderPrefix: text().max_length(Some(dialect::PREFIX_BYTES_MAX)).pattern(Some(prefix_pattern())).examples([json!("Signet")]);
    /// How format `signed` writes its signature.
    SignatureScheme: one_of(dialect::SignatureScheme::ALL.map(dialect::SignatureScheme::as_str));
    /// What the URIs of event types begin with.
    EventBase: text().max_length(Some(dialect::EVENT_BASE_BYTES_MAX)).format(Some(SchemaFormat::Custom("event-base".to_owned()))).examples([json!("https://example.com/events/")]);
    /// `active` and `failing` are sent deliveries, `pending` and `disabled` are not.
    WebhookStatus: one_of(webhook::WebhookState::NAMES);
    /// Why a webhook was disabled: on request, because its receiver answered 410, or because it failed for five days.
    DisabledReason: one_of(webhook::DisabledReason::ALL.map(webhook::DisabledReason::as_str));
    /// `pending` before the first attempt, `failed` between attempts; the others are ends.
    DeliveryStatus: one_of(DeliveryState::NAMES);
    /// Why nothing was answered.
    Failure: one_of(FailureKind::ALL.map(FailureKind::as_str));
    /// How a receiver shows that it wants deliveries: it echoes a signed challenge, or names us when asked with `OPTIONS` (CloudEvents 1.0).
    ActivationMethod: one_of(webhook::ActivationMethod::ALL.map(webhook::ActivationMethod::as_str));
    /// One thing that an API key allows; `admin` allows everything.
    Scope: one_of(access::Scope::ALL.map(access::Scope::as_str));
    /// An algorithm of RFC 7518 or RFC 8037.
    Algorithm: one_of(token::Algorithm::ALL.map(token::Algorithm::as_str));
    /// `development` accepts margins of seconds, which hurt receivers that cache keys.
    Profile: one_of(key_ring::Profile::ALL.map(key_ring::Profile::as_str));
    /// What becomes of a key: announced, in use, still published, over.
    KeyState: one_of(["pending", "active", "retiring", "archived", "revoked"]);
    /// What is replayed: what was not delivered, or everything.
    ReplayStatus: one_of(["failed", "all"]);
    /// A catalogue that comes with Signet.
    Preset: one_of(catalogue::Preset::ALL.map(catalogue::Preset::as_str));
    /// Words for people.
    WebhookDescription: text().max_length(Some(webhook::DESCRIPTION_CHARS_MAX)).pattern(Some("^[^\\u0000]*$"));
    /// Words for people.
    EventTypeDescription: text().max_length(Some(catalogue::DESCRIPTION_CHARS_MAX)).pattern(Some("^[^\\u0000]*$"));
    /// What tokens name as their `aud`.
    Audience: text().min_length(Some(1)).max_length(Some(webhook::AUDIENCE_CHARS_MAX)).pattern(Some(NO_CONTROLS));
    /// A shared secret: `whsec_` and base64 of 24 to 64 bytes (Standard Webhooks 1.0), or, where the format is `signed` or `action`, any
    /// visible ASCII characters that a receiver has already.
    Secret: text().min_length(Some(*secret::CHARS.start())).max_length(Some(*secret::CHARS.end())).pattern(Some("^[!-~]*$")).examples([json!("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]);
    /// A chain of certificates as PEM, the client's own first, then each one's issuer.
    ClientChain: text().max_length(Some(client_certificate::CHAIN_BYTES_MAX)).format(Some(SchemaFormat::Custom("certificate-chain".to_owned())));
    /// The private key of the chain's first certificate as PEM, without a password. It is never shown.
    ClientKey: text().max_length(Some(client_certificate::KEY_BYTES_MAX)).format(Some(SchemaFormat::Custom("private-key".to_owned())));
    /// What a receiver collects with: `pull_live_`, thirty random characters and six that check them.
    PullKey: text().pattern(Some("^pull_live_[0-9A-Za-z]{36}$"));
    /// How deliveries come to a receiver: they are sent, or it collects them.
    DeliveryMethod: one_of(webhook::DeliveryMethod::ALL.map(webhook::DeliveryMethod::as_str));
    /// Seconds for which nobody else is given a delivery.
    PollLease: seconds(Duration::ZERO, crate::engine::mailbox::LEASE_MAX);
    /// A name for people.
    TenantName: text().min_length(Some(1)).max_length(Some(tenant::NAME_CHARS_MAX)).pattern(Some(NO_CONTROLS));
    /// The `sub` of a tenant's tokens.
    TokenSubject: text().min_length(Some(1)).max_length(Some(tenant::TOKEN_SUBJECT_CHARS_MAX)).pattern(Some(NO_CONTROLS));
    /// Seconds after which a receiver must show again that it wants deliveries.
    ActivationInterval: seconds(activation::EVERY.0, activation::EVERY.1);
    /// Seconds that an attempt may take.
    Timeout: seconds(Duration::from_secs(*TIMEOUT_SECONDS.start()), Duration::from_secs(*TIMEOUT_SECONDS.end()));
    /// Deliveries a second, over all nodes.
    DeliveryRate: integer(*RATE.start(), *RATE.end());
    /// Seconds for which the secrets before sign too.
    Overlap: seconds(Duration::ZERO, Duration::from_secs(secret::OVERLAP_SECONDS_MAX));
    /// How long tokens live, in seconds.
    TokenLifetime: integer(TokenTtl::MIN.into(), TokenTtl::MAX.into());
    /// A label for people.
    ApiKeyLabel: text().max_length(Some(access::LABEL_CHARS_MAX)).pattern(Some(NO_CONTROLS));
    /// What a receiver is asked.
    UserAction: one_of(users::UserAction::ALL.map(users::UserAction::as_str));
    /// What a receiver knows a user by.
    UserId: text().min_length(Some(1)).max_length(Some(users::USER_ID_CHARS_MAX)).pattern(Some(NO_CONTROLS)).examples([json!("usr_1")]);
    /// How a user is called.
    UserDisplayName: text().max_length(Some(users::DISPLAY_NAME_CHARS_MAX)).pattern(Some(NO_CONTROLS));
    /// A user's address.
    UserEmail: text().max_length(Some(users::EMAIL_CHARS_MAX)).pattern(Some(NO_CONTROLS));
    /// A number as E.164 has it; an empty text takes it away.
    UserPhoneNumber: text().pattern(Some(phone_pattern())).examples([json!("+12125550123")]);
    /// Where a picture of a user is.
    UserImageUrl: text().max_length(Some(users::IMAGE_URL_CHARS_MAX)).pattern(Some(NO_CONTROLS));
    /// How many users a page may have.
    UserPageSize: integer(*users::PAGE_SIZE.start(), *users::PAGE_SIZE.end());
    /// What a receiver called the next page.
    UserPageToken: text().max_length(Some(users::PAGE_TOKEN_CHARS_MAX));
    /// What a receiver answered: `{"users", "nextPageToken"?}` to `users.list`, a user with at least an `id` to `users.get`, `users.create` and
    /// `users.update`, `{}` to `users.delete`.
    UserAnswer: ObjectBuilder::new().property("users", ArrayBuilder::new().schema_type(SchemaType::from_iter([Type::Array, Type::Null])).items(answered_user())).property("nextPageToken", any_of([Type::String, Type::Null]));
    /// Any JSON that every receiver reads alike (RFC 7493): no member twice, at most 64 levels. It is signed byte for byte as it comes.
    Json: ObjectBuilder::new().schema_type(SchemaType::AnyValue);
    /// A JSON Schema (draft 2020-12 unless it says otherwise) without references to elsewhere, or null for none.
    JsonSchemaOrNull: any_of([Type::Object, Type::Boolean, Type::Null]).examples([json!({"type": "object"})]);
    /// A JWK Set (RFC 7517). Private numbers are in none of its keys.
    KeySet: ObjectBuilder::new().property("keys", ArrayBuilder::new().items(jwk())).required("keys");
    /// A public JWK (RFC 7517) that can be encrypted to: EC on P-256, P-384 or P-521, OKP on X25519 (`ECDH-ES`), or RSA of 2048 to 8192
    /// bits (`RSA-OAEP-256`).
    EncryptionKey: encryption_key();
    /// Whom the data of deliveries is encrypted to: a key, or the URL of a JWK Set, of which the first key that can be encrypted to is
    /// taken, one with `"use": "enc"` before one without `use`.
    EncryptionWish: ObjectBuilder::new().property("jwk", encryption_key()).property("jwks_url", WebhookUrl::schema())
        .additional_properties(Some(AdditionalProperties::FreeForm(false))).min_properties(Some(1)).max_properties(Some(1))
        .examples([json!({"jwks_url": "https://example.com/keys.json"})]);
    /// This document.
    Description: ObjectBuilder::new().property("openapi", text());
    /// An OpenAPI 3.1 document with a `webhooks` section.
    OpenApiDocument: ObjectBuilder::new().property("openapi", text().pattern(Some(r"^3\.1(\.|$)"))).required("openapi")
        .property("webhooks", imported_types()).required("webhooks").examples([json!({"openapi": "3.1.0", "webhooks": {}})]);
}

/// Public JWKs (RFC 7517), of which nothing is kept but what verifies.
pub(in crate::api) enum AnswerKeys {}

impl PartialSchema for AnswerKeys {
    fn schema() -> RefOr<Schema> {
        let key = ObjectBuilder::new().property("kty", one_of(["EC", "OKP", "RSA"])).required("kty");
        let keys = ArrayBuilder::new().items(key).min_items(Some(1)).max_items(Some(hook::ANSWER_KEYS_MAX));
        RefOr::T(keys.into())
    }
}

impl ToSchema for AnswerKeys {}

/// Headers by name. A name is no header that HTTP or Signet sets itself, and stands there once whatever its case.
pub(in crate::api) enum Headers {}

impl PartialSchema for Headers {
    fn schema() -> RefOr<Schema> {
        headers(header_value().into())
    }
}

impl ToSchema for Headers {}

/// Headers to be set, or with null taken away; those that are not named stay.
pub(in crate::api) enum HeaderChanges {}

impl PartialSchema for HeaderChanges {
    fn schema() -> RefOr<Schema> {
        let nullable = header_value().schema_type(SchemaType::from_iter([Type::String, Type::Null]));
        headers(nullable.into())
    }
}

impl ToSchema for HeaderChanges {}

/// What [`dialect::HeaderPrefix::parse`] takes.
fn prefix_pattern() -> String {
    let reserved = dialect::RESERVED.map(any_case).join("|");
    format!("^(?!({reserved})(-|$))[A-Za-z]([A-Za-z0-9-]*[A-Za-z0-9])?$")
}

/// A name in lower case, as an ECMA-262 expression, which has no switch to ignore case.
fn any_case(name: &str) -> String {
    let either = |c: char| format!("[{}{c}]", c.to_ascii_uppercase());
    name.chars().map(|c| if c.is_ascii_lowercase() { either(c) } else { c.into() }).collect()
}

fn headers(value: Schema) -> RefOr<Schema> {
    let object = ObjectBuilder::new()
        .property_names(Some(Schema::Object(text().pattern(Some(header_name_pattern())).build())))
        .additional_properties(Some(AdditionalProperties::RefOr(RefOr::T(value))))
        .max_properties(Some(HEADERS_MAX))
        .description(Some("Headers by name: none that HTTP or Signet sets itself, and each once whatever its case."))
        .examples([json!({"authorization": "Bearer of-the-receiver"})]);
    RefOr::T(object.build().into())
}

/// What [`HeaderName::parse`] takes.
fn header_name_pattern() -> String {
    let alike = |name| any_case(name).replace('-', "[-_]");
    let names: Vec<String> = RESERVED.into_iter().map(|name| format!("{}$", alike(name))).collect();
    let prefixes: Vec<String> = RESERVED_PREFIXES.into_iter().map(alike).collect();
    let reserved = [names, prefixes].concat().join("|");
    format!("^(?!{reserved})[A-Za-z0-9!#$%&'*+.^_`|~-]{{1,{NAME_BYTES_MAX}}}$")
}

fn header_value() -> ObjectBuilder {
    // One that is the mask that answers show would be taken for a mistake.
    text().max_length(Some(VALUE_BYTES_MAX)).pattern(Some(r"^(?!\*\*\*$)[!-~]([ -~\t]*[!-~])?$"))
}

/// A page's place in a list.
pub(in crate::api) fn cursor() -> Object {
    let format = SchemaFormat::Custom("cursor".to_owned());
    text().format(Some(format)).build()
}

pub(in crate::api) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// A whole number of seconds.
pub(in crate::api) fn seconds(least: Duration, most: Duration) -> ObjectBuilder {
    let whole = |span: Duration| u32::try_from(span.as_secs()).unwrap_or(u32::MAX);
    integer(whole(least), whole(most))
}

/// A whole number of a range.
pub(in crate::api) fn integer(least: u32, most: u32) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(least)).maximum(Some(most))
}

/// A list of this many things of a kind.
pub(in crate::api) fn list_of<T: ToSchema>(least: usize, most: usize) -> Schema {
    ArrayBuilder::new().items(T::schema()).min_items(Some(least)).max_items(Some(most)).into()
}

const NO_CONTROLS: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";
fn any_of<const N: usize>(types: [Type; N]) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::from_iter(types))
}

fn id(prefix: &str) -> ObjectBuilder {
    let example: Value = format!("{prefix}_{ULID_EXAMPLE}").into();
    text().pattern(Some(format!("^{prefix}_{ULID}$"))).examples([example])
}

/// What [`users::phone_number`] takes.
fn phone_pattern() -> String {
    let (least, most) = (users::PHONE_DIGITS.start() - 1, users::PHONE_DIGITS.end() - 1);
    format!("^(\\+[1-9][0-9]{{{least},{most}}})?$")
}

/// What every user in an answer has; the rest is the receiver's.
fn answered_user() -> ObjectBuilder {
    ObjectBuilder::new().property("id", text()).required("id")
}

fn imported_types() -> ObjectBuilder {
    let operation =
        ObjectBuilder::new().description(Some("A path item: its `post` has the schema and the example of the data."));
    ObjectBuilder::new()
        .property_names(Some(Schema::Object(text().pattern(Some(published_pattern())).build())))
        .additional_properties(Some(AdditionalProperties::RefOr(RefOr::T(operation.build().into()))))
        .min_properties(Some(1))
}

/// That a point lies on its curve, no expression says.
fn encryption_key() -> ObjectBuilder {
    let number = || text().pattern(Some("^[A-Za-z0-9_-]+$"));
    ObjectBuilder::new()
        .property("kty", one_of(["EC", "OKP", "RSA"]))
        .required("kty")
        .property("crv", one_of(["P-256", "P-384", "P-521", "X25519"]))
        .property("x", number())
        .property("y", number())
        .property("n", number())
        .property("e", number())
        .property("use", one_of(["enc"]))
        .property("alg", one_of(["ECDH-ES", "RSA-OAEP-256"]))
        .property("kid", text().min_length(Some(1)).max_length(Some(256)))
        .examples([
            json!({"kty": "OKP", "crv": "X25519", "x": "3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08", "kid": "2026"}),
        ])
}

fn jwk() -> Object {
    ["kty", "use", "alg", "kid"]
        .into_iter()
        .fold(ObjectBuilder::new(), |jwk, name| jwk.property(name, text()).required(name))
        .build()
}

fn one_of<const N: usize>(words: [&'static str; N]) -> ObjectBuilder {
    text().enum_values(Some(words))
}

fn event_type_pattern() -> String {
    format!("^{}$", segments())
}

fn published_pattern() -> String {
    format!("^(?!signet(\\.|$)){}$", segments())
}

fn subscription_pattern() -> String {
    format!("^(\\*|{})$", segments())
}

fn segments() -> String {
    format!("[a-z0-9_]+(\\.[a-z0-9_]+){{0,{}}}", event_type::SEGMENTS_MAX - 1)
}
