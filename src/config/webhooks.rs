//! Webhooks that are declared: tables of the file, or JSON in the environment. Their members are those of a request that
//! makes one, and so are the rules.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use super::Given;
use crate::domain::id::TenantId;
use crate::domain::secret::Secret;
use crate::domain::token::TokenType;
use crate::domain::webhook::members::{self, Faults};
use crate::domain::webhook::{DECLARED_MAX, DeclaredWebhook, Format, Handling, Place, PlainHttp, WebhookUrl, secret};

/// What the setting is called, as a list of the file.
pub(super) const NAME: &str = "webhooks";

/// `callback` is what Hanko calls the URL.
const MEMBERS: [&str; 16] = [
    "url",
    "callback",
    "events",
    "tenant",
    "description",
    "format",
    "typ",
    "audience",
    "headers",
    "secret",
    "v1a",
    "encryption",
    "retry",
    "timeout_seconds",
    "rate_limit",
    "enabled",
];

/// One declaration as it was given.
pub(super) struct Table {
    place: Place,
    members: Vec<(String, Value)>,
}

impl Given {
    /// The list of the file, which the environment's replaces. Nothing in it is judged yet.
    pub(super) fn add_tables(&mut self, file_name: &str, value: &toml::Value) {
        let tables = value.as_array().map(|list| list.iter().map(toml::Value::as_table).collect::<Option<Vec<_>>>());
        let Some(Some(tables)) = tables else {
            self.faults.push(format!("{file_name}: `{NAME}` must be tables, each below a line [[{NAME}]]"));
            return;
        };
        let table = |(at, table): (usize, &toml::Table)| {
            let place = Place { path: format!("{NAME}[{at}]"), origin: file_name.to_owned() };
            // What JSON has no word for, such as a date, is no value of any member either.
            let value = |value: &toml::Value| serde_json::to_value(value).unwrap_or_default();
            let members = table.iter().map(|(name, it)| (name.clone(), value(it))).collect();
            Table { place, members }
        };
        self.tables = tables.into_iter().enumerate().map(table).collect();
    }

    /// The webhooks that are declared. What is wrong with them is noted.
    pub(super) fn declared(&mut self, plain_http: Option<PlainHttp>) -> Vec<DeclaredWebhook> {
        if let Some((text, origin)) = self.values.get(NAME) {
            match tables(text, origin) {
                Ok(tables) => self.tables = tables,
                Err(fault) => {
                    self.faults.push(format!("{origin}: {fault}"));
                    return Vec::new();
                }
            }
        }
        // While nobody knows, what may be right is not called wrong.
        let plain_http = plain_http.unwrap_or(PlainHttp::Accepted);
        let tables = std::mem::take(&mut self.tables);
        if tables.len() > DECLARED_MAX {
            self.faults
                .push(format!("`{NAME}`: more than {DECLARED_MAX} are declared; register the others with the API"));
            return Vec::new();
        }
        let mut declared: Vec<DeclaredWebhook> = Vec::with_capacity(tables.len());
        for table in tables {
            let mut reading = Reading { place: table.place, members: table.members, faults: Vec::new() };
            let webhook = reading.webhook(plain_http);
            let is_same = |other: &DeclaredWebhook, it: &DeclaredWebhook| {
                (other.tenant_id, &other.url) == (it.tenant_id, &it.url)
            };
            if let Some(webhook) = &webhook
                && let Some(other) = declared.iter().find(|other| is_same(other, webhook))
            {
                let words = format!("is that of `{}` too; put the events of both into one", other.place.path);
                reading.add("/url", words);
            }
            self.faults.append(&mut reading.faults);
            declared.extend(webhook);
        }
        declared
    }
}

/// What stands in the environment: a JSON list, or JSON objects with semicolons between them. No fault repeats what it was
/// found in: there may be secrets in it.
fn tables(text: &str, origin: &str) -> Result<Vec<Table>, String> {
    let wanted = r#"is not JSON of the form [{"url": …, "events": […]}, …] or {…};{…}"#;
    let mut objects = Vec::new();
    if text.trim_start().starts_with('[') {
        let not_json = |error: serde_json::Error| {
            format!("{wanted}: it goes wrong at line {} column {}", error.line(), error.column())
        };
        objects = serde_json::from_str::<Vec<Members>>(text).map_err(not_json)?;
    } else {
        let mut rest = text.trim();
        while !rest.is_empty() || objects.is_empty() {
            let goes_wrong = || format!("{wanted}: it goes wrong in object {}", objects.len() + 1);
            let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Members>();
            let object = stream.next().and_then(Result::ok).ok_or_else(goes_wrong)?;
            let after = rest.get(stream.byte_offset()..).unwrap_or_default().trim_start();
            if !after.is_empty() && !after.starts_with(';') {
                return Err(goes_wrong());
            }
            rest = after.trim_start_matches(';').trim_start();
            objects.push(object);
        }
    }
    let table = |(at, Members(members)): (usize, Members)| {
        let place = Place { path: format!("[{at}]"), origin: origin.to_owned() };
        Table { place, members }
    };
    Ok(objects.into_iter().enumerate().map(table).collect())
}

/// A JSON object, member by member, those that come twice included.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Retry {
    schedule: Vec<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Encryption {
    jwk: Option<Value>,
    jwks_url: Option<String>,
}

/// A declaration that is being read: what was read of it is not among its members any more.
struct Reading {
    place: Place,
    members: Vec<(String, Value)>,
    faults: Vec<String>,
}

impl Faults for Reading {
    fn add(&mut self, pointer: impl Into<String>, detail: impl ToString) {
        self.faults.push(self.place.fault(&pointer.into(), &detail.to_string()));
    }
}

impl Reading {
    fn webhook(&mut self, plain_http: PlainHttp) -> Option<DeclaredWebhook> {
        let named = if self.has("callback") && !self.has("url") { "callback" } else { "url" };
        let url: Option<String> = self.required(named, "is a text", "is required: where deliveries go");
        let url = url.and_then(|text| self.take(format!("/{named}"), WebhookUrl::parse(&text, plain_http)));
        let why = "is required: name at least one event type, or \"*\" for all";
        let events: Option<Vec<String>> =
            self.required("events", "is a list of texts, such as [\"user.created\"]", why);
        let subscriptions = events.map(|names| members::subscriptions(&names, self));
        let tenant: Option<String> = self.text("tenant");
        let tenant_id = tenant.map(|text| self.take("/tenant", text.parse::<TenantId>()));
        let description = self.text("description").and_then(|text| members::description(text, self));
        let format = self.text("format").map(|text| members::format(&text, self));
        let token_type = self.text("typ").map(|text| members::token_type(&text, self));
        let audience = self.text("audience").and_then(|text| members::audience(text, self));
        let headers: Option<BTreeMap<String, String>> = self.read("headers", "is a table of texts by name");
        let headers = members::all_headers(headers.unwrap_or_default(), self);
        let format = format.flatten().unwrap_or(Format::Token);
        let secret = self.text("secret").map(Secret::new);
        if let Some(secret) = &secret {
            self.take("/secret", secret::suits(secret.reveal(), format));
        }
        let has_key_pair: Option<bool> = self.read("v1a", "is true or false");
        let encryption: Option<Encryption> =
            self.read("encryption", "is a table with a jwk, or with the jwks_url of several");
        let encryption = encryption.and_then(|Encryption { jwk, jwks_url }| {
            members::encryption((jwk.map(|jwk| jwk.to_string()), jwks_url), plain_http, self)
        });
        let retry: Option<Retry> =
            self.read("retry", "is a table with a schedule in whole seconds: { schedule = [5, 300] }");
        let timeout: Option<u64> = self.read("timeout_seconds", "is a whole number");
        let rate: Option<u32> = self.read("rate_limit", "is a whole number");
        let handling = Handling {
            retry_policy: retry.and_then(|retry| members::retry_policy(&retry.schedule, self)),
            timeout: timeout.and_then(|seconds| members::timeout(seconds, self)),
            rate: rate.and_then(|count| members::rate(count, self)),
        };
        let is_enabled: Option<bool> = self.read("enabled", "is true or false");
        self.refuse_the_rest();
        Some(DeclaredWebhook {
            place: self.place.clone(),
            // What could not be read stands among the faults, and nothing comes of it.
            tenant_id: tenant_id.flatten(),
            url: url?,
            subscriptions: subscriptions?,
            description: description.unwrap_or_default(),
            format,
            token_type: token_type.flatten().unwrap_or(TokenType::Jwt),
            audience,
            headers,
            secret,
            has_key_pair: has_key_pair.unwrap_or(false),
            encryption,
            handling,
            is_enabled: is_enabled.unwrap_or(true),
        })
    }

    fn has(&self, name: &str) -> bool {
        self.members.iter().any(|(present, _)| present == name)
    }

    fn required<T: DeserializeOwned>(&mut self, name: &str, wanted: &str, why: &str) -> Option<T> {
        let faults = self.faults.len();
        let value = self.read(name, wanted);
        if value.is_none() && self.faults.len() == faults {
            self.add(format!("/{name}"), why);
        }
        value
    }

    fn text(&mut self, name: &str) -> Option<String> {
        self.read(name, "is a text")
    }

    /// Takes a member out. As in a request, null says nothing.
    fn read<T: DeserializeOwned>(&mut self, name: &str, wanted: &str) -> Option<T> {
        let at = self.members.iter().position(|(present, _)| present == name)?;
        let (_, value) = self.members.swap_remove(at);
        match serde_path_to_error::deserialize::<_, Option<T>>(value) {
            Ok(value) => value,
            // The parser's words would repeat the value, which may be a secret.
            Err(error) => {
                let within = pointer(error.path());
                let other = if within.is_empty() { "" } else { "is of another type: " };
                self.add(format!("/{name}{within}"), format!("{other}`{name}` {wanted}"));
                None
            }
        }
    }

    fn refuse_the_rest(&mut self) {
        for (name, _) in std::mem::take(&mut self.members) {
            if name == "callback" {
                self.add("/callback", "says the same as `url`; write one of them");
            } else if MEMBERS.contains(&name.as_str()) {
                self.add("", format!("has `{name}` twice"));
            } else {
                self.add("", format!("has no member `{name}`; there are {}", MEMBERS.join(", ")));
            }
        }
    }
}

fn pointer(path: &Path) -> String {
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { .. } | Segment::Unknown => String::new(),
    };
    path.iter().map(step).collect()
}

#[cfg(test)]
#[path = "webhooks_tests.rs"]
mod tests;
