//! What each format writes, to the byte.

use super::*;
use crate::domain::dialect::{HeaderPrefix, SignatureScheme};
use crate::domain::id::{EventId, TenantId};

/// A webhook's side of a delivery, to be changed before it is written.
struct Scene {
    format: Format,
    url: Url,
    dialect: Dialect,
    secrets: Vec<WebhookSecret>,
    key_pairs: Vec<WebhookKeyPair>,
}

impl Scene {
    fn of(format: Format) -> Self {
        let dialect = Dialect { prefix: HeaderPrefix::parse("HelloJohn").unwrap(), ..Dialect::standard() };
        let url = Url::parse("https://example.com/hooks?key=1").unwrap();
        let secrets = vec![WebhookSecret::parse(&text(1)).unwrap()];
        Self { format, url, dialect, secrets, key_pairs: Vec::new() }
    }

    fn envelope(&self) -> Envelope<'_> {
        Envelope {
            webhook_id: WebhookId::from_bytes([3; 16]),
            format: self.format,
            url: &self.url,
            issuer: "https://issuer.example",
            subject: "signet webhooks",
            audience: "https://example.com/hooks",
            ttl: TokenTtl::STANDARD,
            token_type: TokenType::Jwt,
            dialect: &self.dialect,
            signer: None,
            secrets: self.secrets.iter().collect(),
            key_pairs: self.key_pairs.iter().collect(),
        }
    }

    fn letter(&self, event: &Event, attempt: u32) -> Letter {
        let (envelope, now) = (self.envelope(), Timestamp::from_micros(1_700_000_000_000_000));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let body = runtime.block_on(body(event, &envelope, now)).unwrap();
        seal(event, body, &envelope, Occasion { attempt, now })
    }
}

fn text(number: u8) -> String {
    WebhookSecret::text(&[number; 32])
}

fn event(name: &str, payload: &str) -> Event {
    let at = Timestamp::parse_rfc3339("2023-11-14T20:00:00Z").unwrap();
    Event {
        id: EventId::from_bytes([1; 16]),
        tenant_id: TenantId::from_bytes([2; 16]),
        event_type: name.parse().unwrap(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        occurred_at: at,
        accepted_at: at,
        deliveries: 1,
    }
}

/// A header of the format's own.
fn own<'a>(letter: &'a Letter, name: &str) -> &'a str {
    letter.own_headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

/// HMAC-SHA256 under a secret's text, in hex.
fn code(number: u8, parts: &[&[u8]]) -> String {
    WebhookSecret::parse(&text(number)).unwrap().authenticate_by_text(parts)
}

#[test]
fn a_signed_delivery_is_the_envelope_that_its_vendor_documents_with_the_data_s_own_bytes() {
    let event = event("user.created", r#"{"user":{"id": 1,"balance":1.10}}"#);

    let letter = Scene::of(Format::Signed).letter(&event, 1);

    let expected = format!(
        r#"{{"id":"{}","type":"user.created","created_at":"2023-11-14T20:00:00Z","tenant_id":"{}","data":{{"user":{{"id": 1,"balance":1.10}}}}}}"#,
        event.id, event.tenant_id
    );
    assert_eq!(letter.body, expected);
    assert_eq!((letter.content_type, letter.kid), ("application/json", None));
}

#[test]
fn a_signed_delivery_is_signed_in_the_scheme_of_its_tenant() {
    let event = event("user.created", "{}");
    let header = |scheme, prefix: &str| {
        let prefix = HeaderPrefix::parse(prefix).unwrap();
        let scene = Scene { dialect: Dialect { prefix, scheme, ..Dialect::standard() }, ..Scene::of(Format::Signed) };
        let letter = scene.letter(&event, 1);
        let names: Vec<&str> = letter.own_headers.iter().map(|(name, _)| name.as_str()).collect();
        (names.join(" "), letter.own_headers[0].1.clone(), letter.own_headers[3].1.clone(), letter.body)
    };
    let (names, of_body, happened_at, body) = header(SignatureScheme::Body, "HelloJohn");
    let (prefixed, stamped, sent_at, _) = header(SignatureScheme::Stamped, "X-HelloJohn");
    let (_, inline, _, _) = header(SignatureScheme::Inline, "HelloJohn");
    let of_both = code(1, &[b"1700000000.", &body]);

    let expected = "hellojohn-signature hellojohn-event hellojohn-delivery-id hellojohn-timestamp";
    assert_eq!((names.as_str(), prefixed), (expected, expected.replace("hello", "x-hello")));
    assert_eq!((of_body, happened_at.as_str()), (format!("sha256={}", code(1, &[&body])), "1699992000"));
    assert_eq!((stamped, sent_at.as_str()), (format!("v1={of_both}"), "1700000000"));
    assert_eq!(inline, format!("t=1700000000,v1={of_both}"));
}

#[test]
fn secrets_that_overlap_take_turns_where_there_is_room_for_one_signature() {
    let event = event("user.created", "{}");
    let scene = |scheme| Scene {
        dialect: Dialect { scheme, ..Scene::of(Format::Signed).dialect },
        secrets: [2, 1].map(|number| WebhookSecret::parse(&text(number)).unwrap()).into(),
        ..Scene::of(Format::Signed)
    };
    let signature = |scheme, attempt| own(&scene(scheme).letter(&event, attempt), "hellojohn-signature").to_owned();
    let body = scene(SignatureScheme::Body).letter(&event, 1).body;
    let [one, two] = [1, 2].map(|number| code(number, &[b"1700000000.", &body]));

    let turns = [1, 2, 3].map(|attempt| signature(SignatureScheme::Body, attempt));
    assert_eq!(turns, [2, 1, 2].map(|number| format!("sha256={}", code(number, &[&body]))));
    assert_eq!(signature(SignatureScheme::Stamped, 2), format!("v1={one}"));
    assert_eq!(signature(SignatureScheme::Inline, 1), format!("t=1700000000,v1={two},v1={one}"));
    assert_eq!(signature(SignatureScheme::Inline, 2), format!("t=1700000000,v1={one},v1={two}"));
}

#[test]
fn a_delivery_has_one_id_at_one_webhook() {
    let event = event("user.created", "{}");
    let id = |webhook: u8, attempt| {
        let scene = Scene::of(Format::Signed);
        let envelope = Envelope { webhook_id: WebhookId::from_bytes([webhook; 16]), ..scene.envelope() };
        let occasion = Occasion { attempt, now: Timestamp::from_micros(0) };
        own(&seal(&event, Bytes::new(), &envelope, occasion), "hellojohn-delivery-id").to_owned()
    };

    assert_eq!(id(3, 1), id(3, 2));
    assert_ne!(id(3, 1), id(4, 1));
    assert!(id(3, 1).starts_with("del_"), "{}", id(3, 1));
}

#[test]
fn a_standard_delivery_is_the_payload_that_the_specification_recommends() {
    let letter = Scene::of(Format::Standard).letter(&event("user.created", r#"{"balance":1.10}"#), 1);

    let expected = r#"{"type":"user.created","timestamp":"2023-11-14T20:00:00Z","data":{"balance":1.10}}"#;
    assert_eq!((letter.body, letter.own_headers), (Bytes::from(expected), Vec::new()));
}

#[test]
fn key_pairs_sign_beside_secrets_whatever_the_format() {
    let event = event("user.created", "{}");
    let pair = |number| WebhookKeyPair::parse(WebhookKeyPair::text(&[number; 32]).reveal()).unwrap();
    for format in [Format::Standard, Format::Signed] {
        let scene = Scene { key_pairs: vec![pair(2), pair(1)], ..Scene::of(format) };

        let letter = scene.letter(&event, 1);

        let message = [format!("{}.1700000000.", event.id).as_bytes(), &letter.body].concat();
        let [one, two] = [1, 2].map(|number| pair(number).sign(&message).unwrap());
        let v1 = scene.secrets[0].authenticate(&[&message]);
        assert_eq!(letter.headers[2].1, format!("v1,{v1} v1a,{two} v1a,{one}"));
    }
}

#[test]
fn an_action_is_in_query_header_and_body_as_its_vendor_documents() {
    let event = event("users.changed", r#"{"user":{"id":"usr_1","balance":1.10}}"#);
    let secrets: Vec<_> = [2, 1].map(|number| WebhookSecret::parse(&text(number)).unwrap()).into();

    let letter = Scene { secrets, ..Scene::of(Format::Action) }.letter(&event, 2);

    let expected = format!(
        r#"{{"id":"{}","time":"2023-11-14T20:00:00Z","type":"users.changed","usersChanged":{{"user":{{"id":"usr_1","balance":1.10}}}}}}"#,
        event.id
    );
    assert_eq!(letter.body, expected);
    assert_eq!(letter.url.as_ref().unwrap().as_str(), "https://example.com/hooks?key=1&action=events.handle");
    assert_eq!(own(&letter, "hellojohn-action"), "events.handle");
    assert_eq!(own(&letter, "hellojohn-timestamp"), "1700000000");
    let [one, two] = [1, 2].map(|number| code(number, &[b"1700000000.", &letter.body]));
    assert_eq!(own(&letter, "hellojohn-signature"), format!("{two},{one}"));
}

#[test]
fn a_challenge_is_an_action_of_its_own() {
    let event = event("signet.challenge", r#"{"challenge":"some-value"}"#);

    let letter = Scene::of(Format::Action).letter(&event, 1);

    assert_eq!((own(&letter, "hellojohn-action"), &letter.body[..]), ("challenge", &event.payload[..]));
    assert_eq!(letter.url.unwrap().query(), Some("key=1&action=challenge"));
}

/// The claims of a SET, before anybody signs them, as they are written.
fn claims(name: &str, payload: impl AsRef<[u8]>) -> String {
    let payload = std::str::from_utf8(payload.as_ref()).unwrap();
    let (scene, event) = (Scene::of(Format::Set), event(name, payload));
    let envelope = scene.envelope();
    let draft = (style(Format::Set).draft)(&event, &envelope, Timestamp::from_micros(1_700_000_000_000_000)).unwrap();
    let Draft::Token { before, token_type, claims, after } = draft else { unreachable!("a SET is a token") };
    assert_eq!((before, token_type, after), (["", "", ""], TokenType::SecurityEvent, ""));
    String::from_utf8(claims).unwrap()
}

#[test]
fn a_set_has_the_claims_of_rfc_8417_and_neither_exp_nor_sub() {
    let (event, payload) = (event("user.created", "{}").id, r#"{"user": {"id":7.0},"balance":1.10,"txn":"a\"b"}"#);

    let expected = format!(
        r#"{{"iss":"https://issuer.example","iat":1699999995,"jti":"{event}","aud":["https://example.com/hooks"],"txn":"a\"b","toe":1699992000,"sub_id":{{"format":"opaque","id":"7.0"}},"events":{{"https://issuer.example/events/user.created":{payload}}}}}"#
    );
    assert_eq!(claims("user.created", payload), expected);
}

#[test]
fn a_set_says_whom_it_concerns_as_its_data_does() {
    let tenant = TenantId::from_bytes([2; 16]).to_string();
    let opaque = |id: &str| format!(r#"{{"format":"opaque","id":"{id}"}}"#);
    for (payload, expected) in [
        (r#"{"sub_id":{"format":"email","email":"a@b.c"},"id":1}"#, r#"{"format":"email","email":"a@b.c"}"#.to_owned()),
        (r#"{"sub_id":{"email":"a@b.c"},"id":1}"#, opaque("1")),
        (r#"{"sub_id":["email"],"id":"a"}"#, opaque("a")),
        (r#"{"user_id":"u","id":"session","user":{"id":"v"}}"#, opaque("u")),
        (r#"{"user":{"id":"v"},"id":"session"}"#, opaque("v")),
        (r#"{"user":{"name":"v"},"id":"session"}"#, opaque("session")),
        (r#"{"id":{}}"#, opaque(&tenant)),
        (r#"{"id":""}"#, opaque(&tenant)),
        (r#"{"id":1,"id":2}"#, opaque(&tenant)),
        (r#"["a","b"]"#, opaque(&tenant)),
        ("{}", opaque(&tenant)),
    ] {
        let claims = claims("user.created", payload);
        assert!(claims.contains(&format!(r#","sub_id":{expected},"events":"#)), "{payload}: {claims}");
    }
}

#[test]
fn what_is_no_object_is_put_into_one_for_a_set() {
    for payload in ["null", "1e400", r#""a""#, "[1,2]"] {
        let claims = claims("user.created", payload);
        let expected = format!(r#""events":{{"https://issuer.example/events/user.created":{{"data":{payload}}}}}}}"#);
        assert!(claims.ends_with(&expected), "{claims}");
    }
}

#[test]
fn encrypted_data_is_a_text_in_the_place_of_the_data_s_own() {
    let jwe = "eyJhbGciOiJFQ0RILUVTIn0..iv.text.tag";
    let sealed = |format| {
        let payload = in_place_of_data(format, jwe).unwrap();
        let whole = Scene::of(format).letter(&Event { payload, ..event("user.created", "{}") }, 1).body;
        serde_json::from_slice::<serde_json::Value>(&whole).unwrap()["data"].clone()
    };

    assert_eq!((sealed(Format::Signed), sealed(Format::Standard)), (jwe.into(), jwe.into()));
    assert_eq!(in_place_of_data(Format::Token, jwe).unwrap(), format!("\"{jwe}\""));
    assert_eq!(Format::ALL.map(carries_jwe), [true, true, true, false, true]);
    assert_eq!(in_place_of_data(Format::Action, jwe), None);
}

#[test]
fn an_encrypted_set_says_of_nobody_whom_it_concerns() {
    let (tenant, jwe) = (TenantId::from_bytes([2; 16]), "eyJhbGciOiJFQ0RILUVTIn0..iv.text.tag");

    let claims = claims("user.created", in_place_of_data(Format::Set, jwe).unwrap());

    let claims: serde_json::Value = serde_json::from_str(&claims).unwrap();
    assert_eq!(claims["sub_id"], serde_json::json!({"format": "opaque", "id": tenant.to_string()}));
    assert_eq!(claims["events"]["https://issuer.example/events/user.created"], serde_json::json!({"jwe": jwe}));
    assert!(claims.get("txn").is_none());
}
