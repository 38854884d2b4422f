//! Format `action`: what is asked stands in the URL's query and in a header, and several signatures may stand in another one.
//! UserHub's receivers verify it.
//!
//! A signature covers the timestamp and the body. It does not cover the action, because those receivers would not verify it
//! then: whoever has seen a delivery or a call can relabel it for five minutes. What an event is about stands in the body too.

use std::borrow::Cow;
use std::io;

use bytes::Bytes;
use url::Url;

use super::{Draft, Envelope, JSON, Letter, Occasion, Style, standard, with_data};
use crate::domain::call::UserAction;
use crate::domain::event::Event;
use crate::domain::event_type::{CHALLENGE, EventType};
use crate::domain::id::RequestId;
use crate::domain::time::Timestamp;

pub(super) const STYLE: Style = Style { content_type: JSON, carries_token: false, encrypted: None, draft, dress };

/// The name of the action in the query.
const ACTION: &str = "action";
/// The action of an event, and the one of a challenge.
const EVENT: &str = "events.handle";
const CHALLENGED: &str = "challenge";
/// Members that the body of an event has besides its data.
const MEMBERS: [&str; 3] = ["id", "time", "type"];

fn draft<'a>(event: &'a Event, _: &'a Envelope<'a>, _: Timestamp) -> io::Result<Draft<'a>> {
    if event.event_type.as_str() == CHALLENGE {
        return Ok(Draft::Whole(event.payload.to_vec()));
    }
    // None of these holds a character that JSON escapes.
    let member = member(&event.event_type);
    let (id, time, event_type) = (event.id, event.occurred_at, &event.event_type);
    with_data(format_args!(r#"{{"id":"{id}","time":"{time}","type":"{event_type}","{member}":"#), event)
}

fn dress(event: &Event, envelope: &Envelope<'_>, occasion: Occasion, letter: &mut Letter) {
    let action = if event.event_type.as_str() == CHALLENGE { CHALLENGED } else { EVENT };
    name(action, envelope, occasion.now, letter);
}

/// A call: an action that its receiver carries out and answers, signed like a delivery.
pub fn call(
    (action, request_id): (UserAction, RequestId),
    body: Bytes,
    envelope: &Envelope<'_>,
    now: Timestamp,
) -> Letter {
    let [id, timestamp, signature] =
        standard::headers(request_id.to_string(), now, &body, (&envelope.secrets, &envelope.key_pairs));
    let mut letter = Letter {
        url: None,
        content_type: JSON,
        headers: [id, timestamp, signature, ("webhook-attempt", "1".to_owned())],
        own_headers: Vec::new(),
        body,
        kid: None,
    };
    name(action.as_str(), envelope, now, &mut letter);
    letter
}

/// Says in the URL and in a header what is asked, and signs it.
fn name(action: &str, envelope: &Envelope<'_>, now: Timestamp, letter: &mut Letter) {
    let prefix = &envelope.dialect.prefix;
    let timestamp = now.as_seconds().to_string();
    let signed = [timestamp.as_bytes(), b".", &letter.body];
    let signatures: Vec<String> = envelope.secrets.iter().map(|secret| secret.authenticate_by_text(&signed)).collect();
    letter.url = Some(with_action(envelope.url, action));
    letter.own_headers = vec![
        (prefix.header("Action"), action.to_owned()),
        (prefix.header("Signature"), signatures.join(",")),
        (prefix.header("Timestamp"), timestamp),
    ];
}

/// The URL with an action in its query, beside what else is there, and in the place of an action that is there.
fn with_action(url: &Url, action: &str) -> Url {
    let mut with_action = url.clone();
    if url.query_pairs().any(|(name, _)| name == ACTION) {
        let others = url.query_pairs().filter(|(name, _)| name != ACTION);
        with_action.query_pairs_mut().clear().extend_pairs(others);
    }
    with_action.query_pairs_mut().append_pair(ACTION, action);
    with_action
}

/// The name under which the data of an event stands: `users.changed` is `usersChanged`.
fn member(event_type: &EventType) -> Cow<'_, str> {
    let mut words = event_type.as_str().split(['.', '_']).filter(|word| !word.is_empty());
    let first = words.next().unwrap_or("event");
    let mut name = Cow::Borrowed(first);
    for word in words {
        let (initial, rest) = word.split_at(1);
        let name = name.to_mut();
        name.extend([&initial.to_ascii_uppercase(), rest]);
    }
    if MEMBERS.contains(&name.as_ref()) {
        name.to_mut().push_str("Event");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_stands_under_the_event_s_type_in_camel_case_and_under_no_other_member_s_name() {
        for (event_type, expected) in [
            ("users.changed", "usersChanged"),
            ("user.update.email_address", "userUpdateEmailAddress"),
            ("users", "users"),
            ("v2.users_.x", "v2UsersX"),
            ("id", "idEvent"),
            ("__", "event"),
        ] {
            assert_eq!(member(&event_type.parse().unwrap()), expected, "{event_type}");
        }
    }

    #[test]
    fn an_action_joins_the_query_that_is_there() {
        for (url, expected) in [
            ("https://example.com/hooks", "https://example.com/hooks?action=users.get"),
            ("https://example.com/?a=%20b&c", "https://example.com/?a=%20b&c&action=users.get"),
            ("https://example.com/?action=challenge&a=1", "https://example.com/?a=1&action=users.get"),
            ("https://example.com/?action=challenge", "https://example.com/?action=users.get"),
        ] {
            assert_eq!(with_action(&Url::parse(url).unwrap(), "users.get").as_str(), expected);
        }
    }
}
