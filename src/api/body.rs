//! What callers say: strict JSON, with an answer that names the member and the fix.

use std::fmt;
use std::marker::PhantomData;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, DeserializeOwned, Deserializer, IgnoredAny, MapAccess, Unexpected, Visitor};
use serde_path_to_error::{Path, Segment};

use super::Api;
use super::problem::{Fault, Problem};
use super::v1::BATCH_BYTES_MAX;
use crate::domain::webhook::members;
use crate::engine::ingest::Reservation;

/// The bytes of a JSON body with events in it, and the memory that was set aside for them before they were read.
pub(super) struct EventJson {
    pub(super) bytes: Bytes,
    pub(super) reservation: Reservation,
}

/// What is set aside for a body that does not say how long it is.
const UNKNOWN_BYTES: u64 = 1024 * 1024;

impl FromRequest<Api> for EventJson {
    type Rejection = Problem;

    async fn from_request(request: Request, engine: &Api) -> Result<Self, Problem> {
        let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        // Before memory is set aside for what would be refused.
        if length.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > BATCH_BYTES_MAX)) {
            return Err(too_large());
        }
        let reservation = engine.reserve(length.unwrap_or(UNKNOWN_BYTES))?;
        let RawJson(bytes) = RawJson::from_request(request, engine).await?;
        Ok(Self { bytes, reservation })
    }
}

/// The bytes of a JSON body.
pub(super) struct RawJson(pub(super) Bytes);

impl FromRequest<Api> for RawJson {
    type Rejection = Problem;

    async fn from_request(request: Request, engine: &Api) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::unsupported_media_type());
        }
        Ok(Self(Bytes::from_request(request, engine).await.map_err(unread)?))
    }
}

/// A JSON body that was understood.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Api> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, engine: &Api) -> Result<Self, Problem> {
        let RawJson(bytes) = RawJson::from_request(request, engine).await?;
        parse(&bytes).map(Self)
    }
}

/// A JSON body, or nothing at all, which says nothing.
pub(super) struct OptionalJson<T>(pub(super) T);

impl<T: DeserializeOwned + Default> FromRequest<Api> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, engine: &Api) -> Result<Self, Problem> {
        let said_json = is_json(request.headers());
        let bytes = Bytes::from_request(request, engine).await.map_err(unread)?;
        match (bytes.is_empty(), said_json) {
            (true, _) => Ok(Self(T::default())),
            (false, false) => Err(Problem::unsupported_media_type()),
            (false, true) => parse(&bytes).map(Self),
        }
    }
}

/// A member that is an object: the parser would also take a list for one, member by member.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(Object)
            }
        }

        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// The members of an object whose names its sender chose, those that come twice included.
#[derive(Debug, Default)]
pub(super) struct Pairs<V>(pub(super) Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Pairs<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<V>(PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for Members<V> {
            type Value = Pairs<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<V>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// A whole number, however it is written: `18.0` is one as well (JSON Schema 2020-12, 6.1.1), and some clients send it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole<T>(pub(super) T);

impl<'de, T: TryFrom<i128>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number<T>(PhantomData<T>);

        impl<T: TryFrom<i128>> Visitor<'_> for Number<T> {
            type Value = Whole<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number within its bounds")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Whole<T>, E> {
                let out_of_bounds = |_| E::invalid_value(Unexpected::Unsigned(number), &self);
                T::try_from(number.into()).map(Whole).map_err(out_of_bounds)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Whole<T>, E> {
                let out_of_bounds = |_| E::invalid_value(Unexpected::Signed(number), &self);
                T::try_from(number.into()).map(Whole).map_err(out_of_bounds)
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Whole<T>, E> {
                #[expect(clippy::cast_possible_truncation, reason = "what is cut off is looked at")]
                let whole = number as i128;
                #[expect(clippy::cast_precision_loss, reason = "a loss would show as inequality")]
                let is_whole = (whole as f64 - number).abs() == 0.0;
                let number_at_fault = || E::invalid_value(Unexpected::Float(number), &self);
                let whole = Some(whole).filter(|_| is_whole).and_then(|whole| T::try_from(whole).ok());
                whole.map(Whole).ok_or_else(number_at_fault)
            }
        }

        deserializer.deserialize_i64(Number(PhantomData))
    }
}

/// Reads a body, or says which member is wrong and how.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if !is_object(bytes) && serde_json::from_slice::<IgnoredAny>(bytes).is_ok() {
        return Err(Problem::invalid_one("", "must be a JSON object: {…}"));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut reader);
    let value = parsed.map_err(|error| {
        let pointer = pointer(error.path());
        let inner = error.into_inner();
        match inner.classify() {
            serde_json::error::Category::Data => Problem::invalid(vec![fault(pointer, words(&inner))]),
            _ => Problem::malformed(format!("the body is not JSON: {inner}")),
        }
    })?;
    reader.end().map_err(|error| Problem::malformed(format!("the body goes on after its JSON value: {error}")))?;
    Ok(value)
}

/// Whether JSON text is an object, by its first character. The parser would also take a list for one, member by member.
pub(super) fn is_object(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'{')
}

/// The parser's words, pointing at the member they are about.
fn fault(pointer: String, words: String) -> Fault {
    match words.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        Some(name) => Fault { pointer: format!("{pointer}/{name}"), detail: "is required".to_owned() },
        None => Fault { pointer, detail: words },
    }
}

/// A path as a JSON pointer (RFC 6901).
fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        let name = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            Segment::Enum { variant } => variant.clone(),
            Segment::Unknown => continue,
        };
        pointer.push('/');
        pointer.push_str(&name);
    }
    pointer
}

/// The parser's words without its line and column, which mean little to whoever sent one line.
pub(super) fn words(error: &serde_json::Error) -> String {
    let words = error.to_string();
    words.rsplit_once(" at line ").map_or(words.clone(), |(words, _)| words.to_owned())
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default().trim();
    let is_plain = headers.get(CONTENT_ENCODING).is_none_or(|encoding| encoding == "identity");
    is_plain && media_type.eq_ignore_ascii_case("application/json")
}

pub(super) fn unread(rejection: BytesRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        _ => Problem::malformed("the body could not be read to its end"),
    }
}

fn too_large() -> Problem {
    Problem::too_large(
        "the body is larger than this route takes: 264 KiB for an event, 16 MiB for a batch, 192 KiB for an event type, 1 MiB for an import, else 64 KiB",
    )
}

/// Collects what is wrong with the members of a request, so that all of it is said at once.
#[derive(Default)]
pub(super) struct Faults(Vec<Fault>);

impl members::Faults for Faults {
    fn add(&mut self, pointer: impl Into<String>, detail: impl ToString) {
        Self::add(self, pointer, detail);
    }
}

impl Faults {
    pub(super) fn add(&mut self, pointer: impl Into<String>, detail: impl ToString) {
        self.0.push(Fault { pointer: pointer.into(), detail: detail.to_string() });
    }

    /// Keeps the value, or notes why there is none.
    pub(super) fn take<T, E: ToString>(&mut self, pointer: impl Into<String>, parsed: Result<T, E>) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(error) => {
                self.add(pointer, error);
                None
            }
        }
    }

    /// Nothing was wrong, or here is all that was.
    pub(super) fn none(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::invalid(self.0)) }
    }
}
