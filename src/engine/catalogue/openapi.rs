//! Event types out of an OpenAPI 3.1 document: one for each of its webhooks.
//!
//! A schema of a catalogue stands by itself, so what it refers to among the document's components is copied beneath its
//! own `$defs`.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::weight::escaped;
use super::{CatalogueError, Fault, Place, Put, Wish, schema};
use crate::domain::audit::Actor;
use crate::domain::catalogue::{
    CATALOGUE_BYTES_MAX, DESCRIPTION_CHARS_MAX, Described, Description, SAMPLE_BYTES_MAX, SCHEMA_BYTES_MAX,
};
use crate::domain::event_type::EventType;
use crate::domain::id::TenantId;
use crate::engine::Engine;

const SCHEMAS: &str = "#/components/schemas/";
/// References that lead to references, at most.
const HOPS_MAX: usize = 8;
/// The deepest that data is nested, as for events.
const SAMPLE_DEPTH_MAX: usize = 64;
/// What holds values and no schemas.
const VALUES: [&str; 5] = ["example", "examples", "enum", "const", "default"];

impl Engine {
    /// Describes an event type for each webhook of a document, all or none.
    pub async fn import_openapi(
        &self,
        actor: Actor,
        tenant_id: TenantId,
        document: Value,
    ) -> Result<Vec<(Put, Described)>, CatalogueError> {
        let wishes = self.catalogues.apart(move || wishes(&document)).await?;
        self.describe(actor, tenant_id, wishes).await
    }
}

fn wishes(document: &Value) -> Result<Vec<Wish>, CatalogueError> {
    let version = document["openapi"].as_str().unwrap_or_default();
    if !version.starts_with("3.1.") {
        return Err(faulty("/openapi", "is the version of OpenAPI, which must be 3.1"));
    }
    let Some(webhooks) = document["webhooks"].as_object().filter(|webhooks| !webhooks.is_empty()) else {
        return Err(faulty("/webhooks", "is an object with the webhooks to import, one at least"));
    };
    let (mut wishes, mut faults, mut bytes) = (Vec::new(), Vec::new(), 0);
    for (key, item) in webhooks {
        let webhook = Webhook { document, pointer: format!("/webhooks/{}", escaped(key)) };
        match webhook.wish(key, item) {
            Ok(wish) => {
                bytes += wish.description.bytes();
                wishes.push(wish);
            }
            Err(fault) => faults.push(fault),
        }
        if faults.len() >= schema::FAULTS_MAX || bytes > CATALOGUE_BYTES_MAX {
            break;
        }
    }
    if bytes > CATALOGUE_BYTES_MAX {
        return Err(CatalogueError::TooLarge);
    }
    if faults.is_empty() { Ok(wishes) } else { Err(CatalogueError::Faulty(faults)) }
}

fn faulty(pointer: &str, detail: &str) -> CatalogueError {
    CatalogueError::Faulty(vec![Fault::new(pointer, detail)])
}

/// A webhook of a document, and where it stands there.
struct Webhook<'d> {
    document: &'d Value,
    pointer: String,
}

/// A value of a document, and where it stands there.
#[derive(Clone)]
struct Found<'d> {
    value: &'d Value,
    pointer: String,
}

impl<'d> Found<'d> {
    fn member(&self, name: &str) -> Option<Self> {
        let value = self.value.get(name)?;
        Some(Self { value, pointer: format!("{}/{}", self.pointer, escaped(name)) })
    }

    fn text(&self, name: &str) -> Option<&'d str> {
        self.value.get(name)?.as_str().map(str::trim).filter(|text| !text.is_empty())
    }
}

impl<'d> Webhook<'d> {
    fn wish(&self, key: &str, item: &'d Value) -> Result<Wish, Fault> {
        let name: EventType = key.parse().map_err(|error| Fault::new(self.pointer.as_str(), format!("{error}")))?;
        if name.is_reserved() {
            let detail = "begins with signet, which is kept for what Signet itself has to tell";
            return Err(Fault::new(self.pointer.as_str(), detail));
        }
        let item = self.followed(Found { value: item, pointer: self.pointer.clone() })?;
        let post = item.member("post").ok_or_else(|| Fault::new(item.pointer.as_str(), "has no post operation"))?;
        let text = [post.clone(), item].iter().find_map(described).unwrap_or_default();
        if text.chars().count() > DESCRIPTION_CHARS_MAX {
            let detail = format!("has a summary and a description of more than {DESCRIPTION_CHARS_MAX} characters");
            return Err(Fault::new(post.pointer, detail));
        }
        let mut description = Description { text, is_group: false, schema: None, sample: None, preset: None };
        let mut place = Place::default();
        if let Some(body) = post.member("requestBody")
            && let Some(media) = json_of(&self.followed(body)?)
        {
            if let Some(found) = media.member("schema") {
                description.schema = Some(self.bundled(&found)?);
                place.schema.clone_from(&found.pointer);
                "/components/schemas".clone_into(&mut place.definitions);
            }
            if let Some(sample) = self.sample(&media)? {
                description.sample = Some(bytes_of(&sample, SAMPLE_BYTES_MAX)?);
                place.sample = sample.pointer;
            }
        }
        Ok(Wish { name, description, place })
    }

    /// What is meant, when it is only referred to.
    fn followed(&self, found: Found<'d>) -> Result<Found<'d>, Fault> {
        let mut found = found;
        for _ in 0..HOPS_MAX {
            let Some(target) = found.value.get("$ref").and_then(Value::as_str) else { return Ok(found) };
            let pointer = target.strip_prefix('#').unwrap_or_default().to_owned();
            let value = self.document.pointer(&pointer).filter(|_| pointer.starts_with('/'));
            let missing = || Fault::new(format!("{}/$ref", found.pointer), "refers to nothing in this document");
            found = Found { value: value.ok_or_else(missing)?, pointer };
        }
        Err(Fault::new(found.pointer, "is referred to by references to references to references"))
    }

    /// The first example that there is, wherever.
    fn sample(&self, media: &Found<'d>) -> Result<Option<Found<'d>>, Fault> {
        if let Some(example) = media.member("example") {
            return Ok(Some(example));
        }
        let examples = media.member("examples");
        let first = examples.as_ref().and_then(|it| Some((it, it.value.as_object()?.keys().next()?)));
        if let Some(example) = first.and_then(|(examples, name)| examples.member(name)) {
            return Ok(self.followed(example)?.member("value"));
        }
        let Some(schema) = media.member("schema") else { return Ok(None) };
        let schema = self.followed(schema)?;
        let of_schema = schema.member("examples").and_then(|examples| {
            let value = examples.value.as_array()?.first()?;
            Some(Found { value, pointer: format!("{}/0", examples.pointer) })
        });
        Ok(of_schema.or_else(|| schema.member("example")))
    }

    /// A schema with all that it refers to.
    fn bundled(&self, schema: &Found<'d>) -> Result<Bytes, Fault> {
        let (mut bundled, mut wanted) = (schema.value.clone(), Vec::new());
        redirect(&mut bundled, &schema.pointer, &mut wanted)?;
        let mut definitions = Map::new();
        while let Some(Wanted { name, at }) = wanted.pop() {
            if definitions.contains_key(&name) {
                continue;
            }
            let found = self.document["components"]["schemas"].get(&name);
            let mut found = found.cloned().ok_or_else(|| Fault::new(at, "refers to nothing in this document"))?;
            redirect(&mut found, &format!("/components/schemas/{}", escaped(&name)), &mut wanted)?;
            definitions.insert(name, found);
        }
        if let Some(keywords) = bundled.as_object_mut().filter(|_| !definitions.is_empty()) {
            if keywords.contains_key("$defs") {
                let at = format!("{}/$defs", schema.pointer);
                return Err(Fault::new(at, "stands beside references to components; put it there as well"));
            }
            keywords.insert("$defs".to_owned(), Value::Object(definitions));
        }
        bytes_of(&Found { value: &bundled, pointer: schema.pointer.clone() }, SCHEMA_BYTES_MAX)
    }
}

/// What an operation, or a path item, is called and said to be.
fn described(found: &Found<'_>) -> Option<String> {
    let texts: Vec<&str> = ["summary", "description"].iter().filter_map(|name| found.text(name)).collect();
    (!texts.is_empty()).then(|| texts.join("\n\n"))
}

/// A component that is referred to, and where.
struct Wanted {
    name: String,
    at: String,
}

/// What is said of a body that is JSON.
fn json_of<'d>(body: &Found<'d>) -> Option<Found<'d>> {
    let content = body.member("content")?;
    let is_json = |media: &&String| media.split(';').next().is_some_and(|it| it.trim() == "application/json");
    let media = content.value.as_object()?.keys().find(is_json)?;
    content.member(media)
}

/// Has references to components lead to `$defs` instead; notes which.
fn redirect(schema: &mut Value, pointer: &str, wanted: &mut Vec<Wanted>) -> Result<(), Fault> {
    let mut open = vec![(schema, pointer.to_owned())];
    while let Some((part, pointer)) = open.pop() {
        let Value::Object(keywords) = part else {
            let items = part.as_array_mut().into_iter().flatten().enumerate();
            open.extend(items.map(|(at, item)| (item, format!("{pointer}/{at}"))));
            continue;
        };
        for (keyword, value) in keywords.iter_mut().filter(|(keyword, _)| !VALUES.contains(&keyword.as_str())) {
            let at = format!("{pointer}/{}", escaped(keyword));
            match value {
                Value::String(target) if keyword == "$ref" => *target = redirected(target, at, wanted)?,
                value => open.push((value, at)),
            }
        }
    }
    Ok(())
}

fn redirected(target: &str, at: String, wanted: &mut Vec<Wanted>) -> Result<String, Fault> {
    let Some(rest) = target.strip_prefix(SCHEMAS) else {
        let detail = format!("refers to something else than {SCHEMAS}NAME, which is not imported");
        return Err(Fault::new(at, detail));
    };
    let name = rest.split('/').next().unwrap_or_default().replace("~1", "/").replace("~0", "~");
    wanted.push(Wanted { name, at });
    Ok(format!("#/$defs/{rest}"))
}

fn bytes_of(found: &Found<'_>, bytes_max: usize) -> Result<Bytes, Fault> {
    let text = found.value.to_string();
    if text.len() > bytes_max {
        let detail = format!("has {} bytes, with all that it refers to, and may have {bytes_max}", text.len());
        return Err(Fault::new(found.pointer.as_str(), detail));
    }
    if depth_of(found.value) > SAMPLE_DEPTH_MAX {
        let detail = format!("is nested deeper than {SAMPLE_DEPTH_MAX} levels");
        return Err(Fault::new(found.pointer.as_str(), detail));
    }
    Ok(Bytes::from(text.into_bytes()))
}

fn depth_of(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth_of).max().unwrap_or_default(),
        Value::Object(members) => 1 + members.values().map(depth_of).max().unwrap_or_default(),
        _ => 0,
    }
}
