//! Keys that never leave a PKCS #11 token: they sign, they verify, nobody reads them, and they end when they should.

use std::collections::BTreeSet;
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeInfo, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use reqwest::Method;
use serde_json::json;
use signet::domain::id::TenantId;
use signet::signing::{Expected, verify};
use signet::store::sealed;

use crate::support::installation::Installation;
use crate::support::token::{LABEL, PIN, Token, module, settings, with_token};
use crate::support::{Received, Receiver, Service, database, send, until, with_json};

const ALGORITHMS: [&str; 5] = ["ES256", "ES384", "RS256", "PS256", "EdDSA"];
/// More than a node waits between two looks at the token.
const LOOK: Duration = Duration::from_secs(61);
/// The curve P-256 by its object identifier in DER.
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// Somebody else who knows the PIN.
struct Visitor {
    pkcs11: Pkcs11,
    session: Session,
}

impl Visitor {
    fn enter() -> Self {
        let pkcs11 = Pkcs11::new(module()).unwrap();
        // The server of this process may have been first.
        let _ = pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
        let slots = pkcs11.get_slots_with_initialized_token().unwrap();
        let slot = slots.into_iter().find(|slot| pkcs11.get_token_info(*slot).unwrap().label() == LABEL).unwrap();
        let session = pkcs11.open_rw_session(slot).unwrap();
        // Whoever is logged in is so in every session of this process.
        let _ = session.login(UserType::User, Some(&AuthPin::from(PIN.to_owned())));
        Self { pkcs11, session }
    }

    fn private_keys(&self) -> Vec<ObjectHandle> {
        self.session.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)]).unwrap()
    }

    fn public_keys(&self) -> Vec<ObjectHandle> {
        self.session.find_objects(&[Attribute::Class(ObjectClass::PUBLIC_KEY)]).unwrap()
    }

    /// The ids of all private keys.
    fn ids(&self) -> BTreeSet<Vec<u8>> {
        let id = |key: ObjectHandle| match self.session.get_attributes(key, &[AttributeType::Id]) {
            Ok(attributes) => match attributes.as_slice() {
                [Attribute::Id(id)] => Some(id.clone()),
                other => panic!("{other:?}"),
            },
            // Destroyed since it was found.
            Err(Error::Pkcs11(RvError::ObjectHandleInvalid, _)) => None,
            Err(error) => panic!("{error}"),
        };
        self.private_keys().into_iter().filter_map(id).collect()
    }

    /// Leaves a key pair behind.
    fn leave(&self, label: &str, id: u8) {
        let named = [Attribute::Token(true), Attribute::Id(vec![id; 16]), Attribute::Label(label.into())];
        let public = [&named[..], &[Attribute::EcParams(P256.to_vec())]].concat();
        let private = [&named[..], &[Attribute::Private(true), Attribute::Sign(true)]].concat();
        self.session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private).unwrap();
    }

    fn can(&self, algorithm: &str) -> bool {
        let slot = self.session.get_session_info().unwrap().slot_id();
        let mechanisms = self.pkcs11.get_mechanism_list(slot).unwrap();
        algorithm != "EdDSA" || mechanisms.contains(&MechanismType::EDDSA)
    }
}

async fn service() -> Service {
    Service::start_with(&settings()).await
}

/// A tenant with this algorithm, whose webhook is this receiver's. Answers its id.
async fn tenant(service: &Service, algorithm: &str, receiver: &Receiver) -> String {
    let made = service.post("/v1/admin/tenants", &json!({"name": algorithm, "algorithm": algorithm})).await;
    assert_eq!(made.status, 201, "{algorithm}: {}", made.text);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let wish = json!({"url": receiver.url(), "events": ["*"]}).to_string();
    let request = service.request(Method::POST, "/v1/webhooks").header("x-tenant-id", &id);
    assert_eq!(send(with_json(request, &wish)).await.status, 201);
    id
}

async fn publish(service: &Service, tenant: &str) {
    let request = service.request(Method::POST, "/v1/events").header("x-tenant-id", tenant);
    let event = json!({"type": "user.created", "data": {}}).to_string();
    assert_eq!(send(with_json(request, &event)).await.status, 202);
}

async fn jwks(service: &Service, tenant: &str) -> (u16, String) {
    let answer = send(service.anonymous(Method::GET, &format!("/{tenant}/.well-known/jwks.json"))).await;
    (answer.status, answer.text)
}

fn check(service: &Service, received: &Received, jwks: &str) {
    let expected = Expected { issuer: None, audience: None, now: service.now() };
    verify(&received.token(), jwks.as_bytes(), &expected).unwrap();
}

/// What the rows of all keys have for their private halves.
async fn halves(service: &Service) -> Vec<String> {
    let mut reader = service.server().engine().store.read().await.unwrap();
    let halves = sealed::private_halves(reader.conn(), None, 1_000).await.unwrap();
    halves.into_iter().map(|half| half.text).collect()
}

#[tokio::test]
async fn tokens_that_were_signed_in_a_token_verify_through_the_jwks() {
    with_token("pkcs11::tokens_that_were_signed_in_a_token_verify_through_the_jwks", async |_| {
        let service = service().await;
        let visitor = Visitor::enter();
        for algorithm in ALGORITHMS.into_iter().filter(|algorithm| visitor.can(algorithm)) {
            let receiver = Receiver::start().await;

            let tenant = tenant(&service, algorithm, &receiver).await;
            publish(&service, &tenant).await;
            let received = receiver.received_when(1).await.pop().unwrap();

            check(&service, &received, &jwks(&service, &tenant).await.1);
            println!("{algorithm} verifies");
        }
        let halves = halves(&service).await;
        assert!(halves.len() >= 10 && halves.iter().all(|half| half.starts_with("pkcs11:")), "{halves:?}");
    })
    .await;
}

#[tokio::test]
async fn nobody_can_read_a_private_half_from_its_token() {
    with_token("pkcs11::nobody_can_read_a_private_half_from_its_token", async |_| {
        let service = service().await;
        let receiver = Receiver::start().await;
        tenant(&service, "RS256", &receiver).await;
        let visitor = Visitor::enter();

        let keys = visitor.private_keys();

        assert_eq!(keys.len(), 4);
        let of = |key, kind| visitor.session.get_attribute_info(key, &[kind]).unwrap().pop().unwrap();
        let mut sensitive = 0;
        for key in keys {
            for kind in [AttributeType::Value, AttributeType::PrivateExponent, AttributeType::Prime1] {
                let said = of(key, kind);
                assert!(!matches!(said, AttributeInfo::Available(_)), "{kind:?} of a key can be read");
                sensitive += usize::from(matches!(said, AttributeInfo::Sensitive));
            }
            let told = visitor.session.get_attributes(key, &[AttributeType::Extractable, AttributeType::Sensitive]);
            assert_eq!(told.unwrap(), [Attribute::Extractable(false), Attribute::Sensitive(true)]);
        }
        // The private value of each of two EC keys, and two private members of each of two RSA keys.
        assert_eq!(sensitive, 6, "CKR_ATTRIBUTE_SENSITIVE");
    })
    .await;
}

#[tokio::test]
async fn a_key_that_was_rotated_out_or_revoked_is_destroyed_in_the_token() {
    with_token("pkcs11::a_key_that_was_rotated_out_or_revoked_is_destroyed_in_the_token", async |_| {
        let service = service().await;
        let visitor = Visitor::enter();
        let first = visitor.ids();
        assert_eq!(first.len(), 2);

        assert_eq!(service.post("/v1/admin/keys/rotate", &json!({})).await.status, 200);
        let second = until(async || {
            service.after(Duration::from_secs(6));
            Some(visitor.ids()).filter(|ids| ids.len() == 2 && *ids != first)
        })
        .await;
        let active = service.get("/v1/admin/keys").await.json();
        let active = active["data"].as_array().unwrap().iter().find(|key| key["state"] == "active").unwrap().clone();
        let path = format!("/v1/admin/keys/{}/revoke", active["kid"].as_str().unwrap());
        assert_eq!(service.post(&path, &json!({"reason": "a test"})).await.status, 200);
        let third = until(async || {
            service.after(Duration::from_secs(6));
            Some(visitor.ids()).filter(|ids| ids.len() == 2 && *ids != second)
        })
        .await;

        assert_eq!(first.intersection(&second).count(), 1, "the standby stayed");
        assert_eq!(first.intersection(&third).count(), 0);
        // Public halves end with theirs: the next moment, as an object of their own.
        until(async || (visitor.public_keys().len() == 2).then_some(())).await;
    })
    .await;
}

#[tokio::test]
async fn what_a_crash_left_in_the_token_is_destroyed_and_what_is_somebody_elses_is_not() {
    with_token("pkcs11::what_a_crash_left_in_the_token_is_destroyed_and_what_is_somebody_elses_is_not", async |_| {
        let service = service().await;
        let visitor = Visitor::enter();
        let ours = service.server().engine().default_keys().unwrap().tenant.id;
        visitor.leave(&format!("signet {ours}"), 1);
        visitor.leave(&format!("signet {}", TenantId::from_bytes([9; 16])), 2);
        visitor.leave("a bank's", 3);
        let (leftover, strangers) = (vec![1; 16], [vec![2; 16], vec![3; 16]]);

        service.after(LOOK);
        // A look has happened when a rotation's key is gone.
        let before = visitor.ids();
        service.post("/v1/admin/keys/rotate", &json!({})).await;
        until(async || {
            service.after(Duration::from_secs(6));
            before.difference(&visitor.ids()).next().map(drop)
        })
        .await;
        assert!(visitor.ids().contains(&leftover), "it may be about to get its row");
        until(async || {
            service.after(LOOK);
            (!visitor.ids().contains(&leftover)).then_some(())
        })
        .await;

        assert!(strangers.iter().all(|id| visitor.ids().contains(id)));
        assert_eq!(visitor.ids().len(), 4, "the active key and the standby stayed too");
    })
    .await;
}

#[tokio::test]
async fn a_row_that_points_at_another_key_of_the_token_signs_nothing() {
    with_token("pkcs11::a_row_that_points_at_another_key_of_the_token_signs_nothing", async |_| {
        // PostgreSQL's statements see what was there before them, so that one of them can swap.
        let database = database::fresh_postgres();
        let settings = [&settings()[..], &[("SIGNET_DATABASE_URL", &database)]].concat();
        let service = Service::start_with(&settings).await;
        let receiver = Receiver::start().await;
        let tenants = [tenant(&service, "ES256", &receiver).await, tenant(&service, "ES256", &receiver).await];
        let webhook = service.webhook(&receiver, &["*"]).await;
        let swap = |theirs: &str| {
            format!(
                "update signing_keys set private_half =
                     (select o.private_half from signing_keys o where o.kid <> signing_keys.kid and o.kid in ({theirs}))
                 where kid in ({theirs})"
            )
        };
        // Two tenants exchange their active keys, and the default tenant has its standby's sign.
        let default = "(select id from tenants where is_default = 1)";
        let of_two = format!("select kid from signing_keys where state = 'active' and tenant_id <> {default}");
        let of_one = format!("select kid from signing_keys where tenant_id = {default}");
        assert_eq!((service.tamper_rows(&swap(&of_two)).await, service.tamper_rows(&swap(&of_one)).await), (2, 2));

        let service = service.restarted_with(&[]).await;

        for tenant in &tenants {
            let (status, text) = jwks(&service, tenant).await;
            assert!(status >= 400 && !text.contains("kty"), "{status} {text}");
        }
        let event = service.event("user.created").await;
        let delivery = service.delivery_when(&webhook, &event, "failed").await;
        assert_eq!(delivery["attempts"], 1, "{delivery}");
        assert_eq!(receiver.received().len(), 0);
    })
    .await;
}

#[tokio::test]
async fn an_installation_moves_to_a_token_by_rotating() {
    with_token("pkcs11::an_installation_moves_to_a_token_by_rotating", async |_| {
        let receiver = Receiver::start().await;
        let service = Service::start().await;
        let webhook = service.webhook(&receiver, &["*"]).await;
        assert!(halves(&service).await.iter().all(|half| !half.starts_with("pkcs11:")));

        let service = service.restarted_with(&settings()).await;
        for rotations in 0..3 {
            if rotations > 0 {
                let rotated = service.post("/v1/admin/keys/rotate", &json!({"force": true})).await;
                assert_eq!(rotated.status, 200, "{}", rotated.text);
            }
            let event = service.event("user.created").await;
            service.delivery_when(&webhook, &event, "delivered").await;
        }

        let set = send(service.anonymous(Method::GET, "/.well-known/jwks.json")).await.text;
        let received = receiver.received();
        assert_eq!(received.iter().map(Received::kid).collect::<BTreeSet<_>>().len(), 3);
        received.iter().for_each(|received| check(&service, received, &set));
        assert!(halves(&service).await.iter().all(|half| half.starts_with("pkcs11:")));
    })
    .await;
}

#[tokio::test]
async fn a_token_that_was_away_signs_again() {
    with_token("pkcs11::a_token_that_was_away_signs_again", async |token| {
        let service = service().await;
        let receiver = Receiver::start().await;
        let webhook = service.webhook(&receiver, &["*"]).await;
        let event = service.event("user.created").await;
        service.delivery_when(&webhook, &event, "delivered").await;

        // Whoever logs out does so for all sessions of the process.
        Visitor::enter().session.logout().unwrap();
        let event = service.event("user.created").await;
        service.delivery_when(&webhook, &event, "delivered").await;
        let away = token.tokens().with_extension("away");
        std::fs::rename(token.tokens(), &away).unwrap();
        let lost = service.event("user.created").await;
        service.delivery_when(&webhook, &lost, "failed").await;
        std::fs::rename(&away, token.tokens()).unwrap();
        let event = service.event("user.created").await;

        service.delivery_when(&webhook, &event, "delivered").await;
        until(async || {
            service.after(Duration::from_secs(6));
            let path = format!("/v1/webhooks/{webhook}/deliveries/{lost}");
            (service.get(&path).await.json()["status"] == "delivered").then_some(())
        })
        .await;
    })
    .await;
}

fn installation(token: &Token) -> Installation {
    let configuration = token.configuration().display().to_string();
    let installation = Installation::new().with(&[("SOFTHSM2_CONF", &configuration)]);
    settings().iter().fold(installation, |installation, (name, value)| installation.with(&[(name, value)]))
}

#[tokio::test]
async fn the_real_server_signs_in_a_token() {
    let token = Token::make();
    let installation = installation(&token);
    let receiver = Receiver::start().await;
    let _running = installation.serve().await;
    installation.make("/v1/webhooks", &json!({"url": receiver.url(), "events": ["*"]})).await;

    installation.make("/v1/events", &json!({"type": "user.created", "data": {}})).await;
    let received = receiver.received_when(1).await.pop().unwrap();

    let set = installation.get("/.well-known/jwks.json").await.text;
    let now = signet::engine::clock::Clock::system().now();
    verify(&received.token(), set.as_bytes(), &Expected { issuer: None, audience: None, now }).unwrap();
    let rotated = installation.done(&["keys", "rotate"]).await;
    assert!(rotated.contains("signs from now on"), "{rotated}");
}

/// A server that is told this about its token says this and ends.
async fn check_refused(name: &str, value: &str, says: &str) {
    let token = Token::make();

    let ended = installation(&token).with(&[(name, value)]).spawn().ended().await;

    assert_eq!(ended.code, Some(1), "{}", ended.said);
    assert!(ended.said.contains(says) && ended.said.contains(name), "{}", ended.said);
    assert!(!ended.said.contains(PIN), "{}", ended.said);
}

#[tokio::test]
async fn a_server_that_cannot_use_its_token_says_why_and_ends() {
    check_refused("SIGNET_PKCS11_PIN", "0000", "refuses the PIN").await;
    check_refused("SIGNET_PKCS11_TOKEN", "another", "there is no token \"another\"").await;
    check_refused("SIGNET_PKCS11_MODULE", "/nowhere/module.so", "/nowhere/module.so").await;
}
