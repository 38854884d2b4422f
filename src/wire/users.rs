//! What receivers are asked about users, and what they answer, as UserHub's receivers write it.
//!
//! A request is written anew from what was understood of it. An answer is looked at and passed on as it came, so that its
//! numbers keep their digits; what it has besides is nobody's business here.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::domain::call::{Code, Failure, User, UserAction, UserRequest};

/// Why a receiver refuses.
#[derive(Deserialize)]
struct Refusal<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListRequest<'a> {
    page_size: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    page_token: Option<&'a str>,
}

#[derive(Serialize)]
struct OneRequest<'a> {
    id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UserBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_verified: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number_verified: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled: Option<bool>,
}

/// The body that asks for this.
pub fn body(request: &UserRequest) -> Bytes {
    let written = match request {
        UserRequest::List { page_size, page_token } => {
            serde_json::to_vec(&ListRequest { page_size: *page_size, page_token: page_token.as_deref() })
        }
        UserRequest::Get { id } | UserRequest::Delete { id } => serde_json::to_vec(&OneRequest { id }),
        UserRequest::Create(user) | UserRequest::Update(user) => serde_json::to_vec(&written(user)),
    };
    // Texts, truths and a number: there is nothing that could not be written.
    written.unwrap_or_default().into()
}

fn written(user: &User) -> UserBody<'_> {
    UserBody {
        id: user.id.as_deref(),
        display_name: user.display_name.as_deref(),
        email: user.email.as_deref(),
        email_verified: user.email_verified,
        phone_number: user.phone_number.as_deref(),
        phone_number_verified: user.phone_number_verified,
        image_url: user.image_url.as_deref(),
        disabled: user.disabled,
    }
}

/// What a receiver answered, if it is an answer to what it was asked; else why not.
pub fn read(action: UserAction, status: u16, body: Bytes, retry_after: Option<Duration>) -> Result<Bytes, Failure> {
    let text = std::str::from_utf8(&body);
    if !(200..300).contains(&status) {
        return Err(refusal(status, text.unwrap_or_default(), retry_after));
    }
    let text = text.map_err(|_| Failure::malformed("its body is not UTF-8"))?;
    let checked = match action {
        UserAction::List => page(text),
        UserAction::Get | UserAction::Create | UserAction::Update => user(text, ""),
        UserAction::Delete => nothing(text),
    };
    match checked {
        Ok(()) => Ok(body),
        Err(Fault { pointer, detail }) if pointer.is_empty() => Err(Failure::malformed(format!("its body {detail}"))),
        Err(Fault { pointer, detail }) => Err(Failure::malformed(format!("{pointer} {detail}"))),
    }
}

/// The code counts, whatever the status: receivers know more codes than HTTP has statuses.
fn refusal(status: u16, text: &str, retry_after: Option<Duration>) -> Failure {
    if let Ok(Refusal { code, message }) = serde_json::from_str(text)
        && let Some(code) = Code::parse(&code)
    {
        return Failure::said(code, &message, retry_after);
    }
    match Code::of_bare_status(status) {
        Some(code) => Failure::said(code, &format!("status {status}"), retry_after),
        None => Failure::malformed(format!(
            "it answered {status} without {{\"message\", \"code\"}}, in which receivers say why they refuse"
        )),
    }
}

/// What is wrong with an answer, and where (RFC 6901).
struct Fault {
    pointer: String,
    detail: String,
}

fn fault(pointer: impl Into<String>, detail: impl Into<String>) -> Fault {
    Fault { pointer: pointer.into(), detail: detail.into() }
}

/// What a member may be. A null says as much as its absence.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Truth,
}

/// The members of a user; the first is the one that each has.
const USER: [(&str, Kind); 8] = [
    ("id", Kind::Text),
    ("displayName", Kind::Text),
    ("email", Kind::Text),
    ("emailVerified", Kind::Truth),
    ("phoneNumber", Kind::Text),
    ("phoneNumberVerified", Kind::Truth),
    ("imageUrl", Kind::Text),
    ("disabled", Kind::Truth),
];

fn page(text: &str) -> Result<(), Fault> {
    let [users, next] = known(text, ["users", "nextPageToken"], "")?;
    let users = users.ok_or_else(|| fault("/users", "is missing"))?;
    // UserHub's SDK for Go writes no users as null.
    let users: Option<Vec<&RawValue>> =
        serde_json::from_str(users.get()).map_err(|_| fault("/users", "is not a list of users"))?;
    for (at, one) in users.into_iter().flatten().enumerate() {
        user(one.get(), &format!("/users/{at}"))?;
    }
    check(next, Kind::Text, "/nextPageToken")
}

fn user(text: &str, pointer: &str) -> Result<(), Fault> {
    let members = known(text, USER.map(|(name, _)| name), pointer)?;
    let id = members.first().copied().flatten().map(|id| serde_json::from_str::<Cow<'_, str>>(id.get()));
    match id {
        Some(Ok(id)) if !id.is_empty() => {}
        None => return Err(fault(format!("{pointer}/id"), "is missing")),
        Some(_) => return Err(fault(format!("{pointer}/id"), "is not a text that names the user")),
    }
    for ((name, kind), value) in USER.into_iter().zip(members) {
        check(value, kind, &format!("{pointer}/{name}"))?;
    }
    Ok(())
}

fn nothing(text: &str) -> Result<(), Fault> {
    let members: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_str(text);
    match members.map(|members| members.into_iter().next()) {
        Ok(None) => Ok(()),
        Ok(Some((name, _))) => {
            Err(fault(format!("/{}", name.replace('~', "~0").replace('/', "~1")), "is in an answer that is to be {}"))
        }
        Err(_) => Err(fault("", "is not {}")),
    }
}

fn check(value: Option<&RawValue>, kind: Kind, pointer: &str) -> Result<(), Fault> {
    let Some(text) = value.map(RawValue::get).filter(|text| *text != "null") else { return Ok(()) };
    let (is_so, wanted) = match kind {
        Kind::Text => (serde_json::from_str::<Cow<'_, str>>(text).is_ok(), "is not a text"),
        Kind::Truth => (serde_json::from_str::<bool>(text).is_ok(), "is neither true nor false"),
    };
    if is_so { Ok(()) } else { Err(fault(pointer, wanted)) }
}

/// The values of an object's members that have these names, of which none stands there twice.
fn known<'t, const N: usize>(
    text: &'t str,
    names: [&'static str; N],
    pointer: &str,
) -> Result<[Option<&'t RawValue>; N], Fault> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let members = Members(names).deserialize(&mut reader);
    match members.and_then(|members| reader.end().map(|()| members)) {
        Ok(members) => Ok(members),
        Err(error) if error.to_string().starts_with(TWICE) => {
            let words = error.to_string();
            let name = words.split(' ').nth(1).unwrap_or_default().to_owned();
            Err(fault(format!("{pointer}/{name}"), "is there twice"))
        }
        Err(error) if error.classify() == serde_json::error::Category::Data => Err(fault(pointer, "is not an object")),
        Err(_) => Err(fault(pointer, "is not JSON")),
    }
}

/// With which word the name is said of a member that is there twice.
const TWICE: &str = "twice";

struct Members<const N: usize>([&'static str; N]);

impl<'de, const N: usize> DeserializeSeed<'de> for Members<N> {
    type Value = [Option<&'de RawValue>; N];

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Members<N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(name) = members.next_key::<Cow<'de, str>>()? {
            let value = members.next_value::<&'de RawValue>()?;
            let places = self.0.iter().zip(&mut found);
            let Some((name, place)) = places.into_iter().find(|(known, _)| **known == name) else { continue };
            if place.replace(value).is_some() {
                return Err(A::Error::custom(format_args!("{TWICE} {name} ")));
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(action: UserAction, body: &str) -> Result<Bytes, Failure> {
        read(action, 200, Bytes::copy_from_slice(body.as_bytes()), None)
    }

    fn malformed(detail: &str) -> Result<Bytes, Failure> {
        Err(Failure::malformed(detail))
    }

    #[test]
    fn a_request_is_written_as_receivers_read_it() {
        let user = |id: Option<&str>| User {
            id: id.map(str::to_owned),
            display_name: Some("Ada \"\u{1f600}".to_owned()),
            email: None,
            email_verified: Some(false),
            phone_number: Some("+12125550123".to_owned()),
            phone_number_verified: None,
            image_url: Some(String::new()),
            disabled: Some(true),
        };
        let rest = r#""displayName":"Ada \"😀","emailVerified":false,"phoneNumber":"+12125550123","imageUrl":"","disabled":true}"#;
        for (request, expected) in [
            (UserRequest::List { page_size: 10, page_token: None }, r#"{"pageSize":10}"#),
            (
                UserRequest::List { page_size: 1, page_token: Some("\n".to_owned()) },
                r#"{"pageSize":1,"pageToken":"\n"}"#,
            ),
            (UserRequest::Get { id: "usr_1".to_owned() }, r#"{"id":"usr_1"}"#),
            (UserRequest::Delete { id: "a/b".to_owned() }, r#"{"id":"a/b"}"#),
            (UserRequest::Create(user(None)), &format!("{{{rest}")),
            (UserRequest::Update(user(Some("usr_1"))), &format!(r#"{{"id":"usr_1",{rest}"#)),
        ] {
            assert_eq!(body(&request), expected, "{}", request.action().as_str());
        }
    }

    #[test]
    fn an_answer_of_the_right_shape_is_passed_on_byte_for_byte() {
        use UserAction::{Create, Delete, Get, List, Update};
        let full = r#" {"id":"1","displayName":"A","email":null,"emailVerified":true,"phoneNumber":"x",
            "phoneNumberVerified":false,"imageUrl":"","disabled":false,"balance":12345678901234567890.10e400} "#;
        for (action, body) in [
            (Get, full.to_owned()),
            (Create, r#"{"id":"1"}"#.to_owned()),
            (Update, r#"{"\u0069d":"\ud83d\ude00"}"#.to_owned()),
            (Delete, " { } ".to_owned()),
            (List, r#"{"users":[]}"#.to_owned()),
            (List, r#"{"users":null,"nextPageToken":""}"#.to_owned()),
            (List, format!(r#"{{"users":[{full},{full}],"nextPageToken":"2","total":1e999}}"#)),
        ] {
            assert_eq!(answered(action, &body), Ok(Bytes::from(body.clone())), "{body}");
        }
    }

    #[test]
    fn an_answer_of_another_shape_is_refused_with_the_member_that_is_wrong() {
        use UserAction::{Delete, Get, List};
        for (action, body, detail) in [
            (Get, "", "its body is not JSON"),
            (Get, "{\"id\":\"1\"} x", "its body is not JSON"),
            (Get, "[]", "its body is not an object"),
            (Get, "null", "its body is not an object"),
            (Get, "{}", "/id is missing"),
            (Get, r#"{"id":""}"#, "/id is not a text that names the user"),
            (Get, r#"{"id":1}"#, "/id is not a text that names the user"),
            (Get, r#"{"id":null}"#, "/id is not a text that names the user"),
            (Get, r#"{"id":"1","id":"2"}"#, "/id is there twice"),
            (Get, r#"{"id":"1","\u0069d":"2"}"#, "/id is there twice"),
            (Get, r#"{"id":"1","email":[]}"#, "/email is not a text"),
            (Get, r#"{"id":"1","disabled":"false"}"#, "/disabled is neither true nor false"),
            (Get, r#"{"id":"1","displayName":"\ud800"}"#, "/displayName is not a text"),
            (List, "{}", "/users is missing"),
            (List, r#"{"users":{}}"#, "/users is not a list of users"),
            (List, r#"{"users":[null]}"#, "/users/0 is not an object"),
            (List, r#"{"users":[{"id":"1"},{"id":"2","email":1}]}"#, "/users/1/email is not a text"),
            (List, r#"{"users":[{"id":"1"},"2"]}"#, "/users/1 is not an object"),
            (List, r#"{"users":[],"nextPageToken":2}"#, "/nextPageToken is not a text"),
            (Delete, "[]", "its body is not {}"),
            (Delete, "", "its body is not {}"),
            (Delete, r#"{"a/b":1}"#, "/a~1b is in an answer that is to be {}"),
        ] {
            assert_eq!(answered(action, body), malformed(detail), "{body}");
        }
        let not_text = read(Get, 200, Bytes::from_static(b"{\"id\":\"1\",\"x\":\"\xff\"}"), None);
        assert_eq!(not_text, malformed("its body is not UTF-8"));
    }

    #[test]
    fn a_refusal_is_read_from_its_code_and_a_bare_status_speaks_for_no_user() {
        let second = Some(Duration::from_secs(1));
        let refused = |status: u16, body: &'static str| match read(UserAction::Get, status, body.into(), second) {
            Err(failure) => failure,
            Ok(_) => unreachable!("{status} is no answer"),
        };
        let said = |code, message: &str| Failure::said(code, message, second);

        let not_found = r#"{"message":"User not found","code":"NOT_FOUND","reason":{"a":[1e400]}}"#;
        assert_eq!(refused(404, not_found), said(Code::NotFound, "User not found"));
        assert_eq!(refused(500, not_found), said(Code::NotFound, "User not found"));
        assert_eq!(refused(400, r#"{"code":"ALREADY_EXISTS"}"#), said(Code::AlreadyExists, ""));
        assert_eq!(refused(429, "<html>"), said(Code::ResourceExhausted, "status 429"));
        for (status, body) in [
            (404, "<html>"),
            (404, r#"{"message":"no such route"}"#),
            (400, r#"{"message":"x","code":"OK"}"#),
            (500, r#"{"message":"x","code":5}"#),
            (302, ""),
            (410, "[]"),
        ] {
            let Failure::Malformed { detail } = refused(status, body) else { unreachable!("{status} {body}") };
            assert!(detail.starts_with(&format!("it answered {status} without")), "{detail}");
        }
    }
}
