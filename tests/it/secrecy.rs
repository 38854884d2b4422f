//! Private keys stay where they belong: the real binary says everything that it can say, and what it said, wrote and
//! answered is searched for the private numbers of its keys in every form that they could have got out in.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use signet::domain::id::TenantId;
use signet::engine::clock::Clock;
use signet::signing::{MasterKeys, Purpose};
use signet::store::{Store, signing_keys, tenants};

use crate::support::database::{self, Hay};
use crate::support::installation::{Installation, Running};
#[cfg(target_os = "linux")]
use crate::support::memory;
use crate::support::search::{Search, Secrets};
use crate::support::{ADMIN_KEY, Answer, PATIENCE, Receiver, send, with_json, within};

const ALGORITHMS: [&str; 5] = ["ES256", "ES384", "RS256", "PS256", "EdDSA"];
/// The members of a JWK that nobody else may see.
const PRIVATE_MEMBERS: [&str; 6] = ["d", "p", "q", "dp", "dq", "qi"];
const DATABASE_PASSWORD: &str = "a-password-of-the-database";
/// What a webhook that is declared, and switched off, shares with its receiver.
const DECLARED_SECRET: &str = "whsec_c2VjcmV0LW9mLWEtZGVjbGFyZWQtd2ViaG9vaw==";
const DECLARED_HEADER: &str = "what-a-gateway-lets-us-in-for";
const TENANTS_MAX: u32 = 100;

/// An installation that says all that it can, a receiver, and what everybody was told so far.
struct Scene {
    installation: Installation,
    master_key: String,
    receiver: Receiver,
    told: Vec<Hay>,
}

/// A key as it lies in the database.
struct Sealed {
    kid: String,
    is_active: bool,
    jwe: String,
    /// Its private numbers by name.
    secrets: Vec<(String, Vec<u8>)>,
}

impl Sealed {
    fn has_signed(&self, receiver: &Receiver) -> bool {
        receiver.received().iter().any(|received| received.kid() == self.kid)
    }
}

impl Scene {
    async fn on(installation: Installation) -> Self {
        let secret: [u8; 32] = Clock::system().secret_bytes().unwrap();
        let master_key = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(secret)}).to_string();
        // A database that asks for no password takes any.
        let url = installation.database_url().replacen("postgres@", &format!("postgres:{DATABASE_PASSWORD}@"), 1);
        let url = url.replacen("search_path", "log_statement%3Dall%20-c%20search_path", 1);
        let declared = json!([{
            "url": "https://example.com/",
            "events": ["*"],
            "secret": DECLARED_SECRET,
            "headers": {"x-gateway": DECLARED_HEADER},
            "enabled": false,
        }])
        .to_string();
        let told = [
            ("SIGNET_WEBHOOKS", declared.as_str()),
            ("SIGNET_MASTER_KEY", master_key.as_str()),
            ("SIGNET_DATABASE_URL", &url),
            ("SIGNET_LOG", "trace"),
            ("RUST_BACKTRACE", "full"),
        ];
        let installation = installation.with(&told);
        Self { installation, master_key, receiver: Receiver::start().await, told: Vec::new() }
    }

    /// Asks for something as a tenant, or as nobody in particular, and keeps the answer.
    async fn ask(&mut self, tenant: Option<&str>, route: &str, body: &str) -> Answer {
        let (method, path) = route.split_once(' ').unwrap();
        let mut request = with_json(self.installation.request(method.parse().unwrap(), path), body);
        if let Some(tenant) = tenant {
            request = request.header("x-tenant-id", tenant);
        }
        let answer = send(request).await;
        let bytes = format!("{} {:?}\n{}", answer.status, answer.headers, answer.text).into_bytes();
        self.told.push(Hay { name: format!("the answer to {route}"), bytes });
        answer
    }

    /// A tenant for each algorithm, each with a webhook.
    async fn furnish(&mut self) -> Vec<String> {
        let mut ids = Vec::new();
        for algorithm in ALGORITHMS {
            let wish = json!({"name": algorithm, "algorithm": algorithm}).to_string();
            let made = self.ask(None, "POST /v1/admin/tenants", &wish).await.json();
            ids.push(made["id"].as_str().unwrap().to_owned());
        }
        for id in &ids {
            let webhook = json!({"url": self.receiver.url(), "events": ["*"]}).to_string();
            assert_eq!(self.ask(Some(id), "POST /v1/webhooks", &webhook).await.status, 201);
        }
        ids
    }

    /// An event of every tenant, until it is delivered: every active key signs.
    async fn deliver(&mut self, tenants: &[String]) {
        let count = self.receiver.received().len() + tenants.len();
        for tenant in tenants {
            let event = json!({"type": "user.created", "data": {"id": 42}}).to_string();
            assert_eq!(self.ask(Some(tenant), "POST /v1/events", &event).await.status, 202);
        }
        self.receiver.received_when(count).await;
    }

    /// Every key whose private half is kept, opened with the master key.
    async fn keys(&self) -> Vec<Sealed> {
        let store = Store::open(self.installation.database_url()).await.unwrap();
        let master_key = MasterKeys::parse(&self.master_key).unwrap();
        let mut reader = store.read().await.unwrap();
        let mut keys = Vec::new();
        for tenant in tenants::list(reader.conn(), None, TENANTS_MAX).await.unwrap() {
            for stored in signing_keys::of_tenant(reader.conn(), tenant.id).await.unwrap() {
                let Some(jwe) = stored.private_half else { continue };
                let kid = stored.key.kid;
                let jwk = opened(&master_key, tenant.id, &kid, &jwe);
                let name = |member: &str| format!("{member} of an {} key", stored.key.algorithm.as_str());
                let secret = |member: &&str| {
                    let text = jwk[*member].as_str()?;
                    Some((name(member), URL_SAFE_NO_PAD.decode(text).unwrap()))
                };
                let secrets = PRIVATE_MEMBERS.iter().filter_map(secret).collect();
                let is_active = stored.key.state.as_str() == "active";
                keys.push(Sealed { kid: kid.to_string(), is_active, jwe, secrets });
            }
        }
        drop(reader);
        store.close().await;
        keys
    }

    /// What is looked for: these keys, the master key, and the passwords.
    fn search_for(&self, keys: &[Sealed]) -> Search {
        let mut secrets = Secrets::default();
        for (name, secret) in keys.iter().flat_map(|key| &key.secrets) {
            secrets.add(name, secret);
        }
        let jwk: Value = serde_json::from_str(&self.master_key).unwrap();
        secrets.add("the master key", &URL_SAFE_NO_PAD.decode(jwk["k"].as_str().unwrap()).unwrap());
        secrets.add_text("the password of the database", DATABASE_PASSWORD);
        secrets.add_text("the operator's key", ADMIN_KEY);
        secrets.add_text("the secret of a declared webhook", DECLARED_SECRET.trim_start_matches("whsec_"));
        secrets.add_text("a header of a declared webhook", DECLARED_HEADER);
        secrets.search()
    }

    /// Does what goes well and what does not, with every route that knows of keys.
    async fn exercise(&mut self, tenants: &[String]) {
        let routes = [
            ("GET /healthz", ""),
            ("GET /readyz", ""),
            ("GET /metrics", ""),
            ("GET /v1/admin/keys", ""),
            ("GET /v1/admin/keys/plan", ""),
            ("POST /v1/admin/keys/rotate", "{"),
            ("POST /v1/admin/keys/rotate", r#"{"force": 7}"#),
            ("POST /v1/admin/keys/rotate", "{}"),
            ("POST /v1/admin/keys/rotate", "{}"),
            ("POST /v1/admin/keys/rotate", r#"{"force": true}"#),
            ("POST /v1/admin/keys/nonsense/revoke", "{}"),
            ("GET /v1/admin/keys", ""),
            ("GET /v1/events", ""),
            ("GET /v1/webhooks", ""),
            ("POST /v1/events", r#"{"type": "no spaces", "data": }"#),
            ("POST /v1/events/batch", "[]"),
            ("DELETE /v1/admin/keys", ""),
            ("GET /.well-known/jwks.json", ""),
            ("GET /.well-known/openid-configuration", ""),
            ("GET /nowhere", ""),
        ];
        for tenant in tenants.iter().map(Some).chain([None]) {
            for (route, body) in routes {
                self.ask(tenant.map(String::as_str), route, body).await;
            }
            let set = tenant.map_or_else(String::new, |tenant| format!("/{tenant}"));
            let set = self.ask(None, &format!("GET {set}/.well-known/jwks.json"), "").await.json();
            let kid = set["keys"][0]["kid"].as_str().unwrap().to_owned();
            let revoke = format!("POST /v1/admin/keys/{kid}/revoke");
            let tenant = tenant.map(String::as_str);
            assert_eq!(self.ask(tenant, &revoke, r#"{"reason": "leaked"}"#).await.status, 200);
            assert_eq!(self.ask(tenant, &revoke, r#"{"reason": "leaked"}"#).await.status, 409);
        }
        let stranger = self.installation.request(Method::GET, "/v1/admin/keys").bearer_auth("somebody");
        self.told.push(Hay { name: "the answer to a stranger".to_owned(), bytes: send(stranger).await.text.into() });
    }

    /// Runs commands that know of keys, and servers that cannot start.
    fn command(&mut self, tenant: &str) {
        let token = self.receiver.received().pop().unwrap().token();
        let jwks = format!("{}/.well-known/jwks.json", self.installation.url());
        let commands: [&[&str]; 7] = [
            &["keys", "list"],
            &["keys", "plan", "--tenant", tenant],
            &["keys", "rotate", "--tenant", tenant],
            &["keys", "rotate", "--force", "--tenant", tenant],
            &["keys", "revoke", "nonsense"],
            &["verify", &token, "--jwks", &jwks],
            &["tenant", "list"],
        ];
        for words in commands {
            self.told.push(said(words, self.installation.run(words).said));
        }
        let garbled = self.master_key.replacen(r#""k""#, r#""key""#, 1);
        let another = self.master_key.chars().rev().collect::<String>();
        for master_key in [garbled, another, format!("{} ", &self.master_key[..self.master_key.len() - 3])] {
            let mistaken = self.installation.beside().with(&[("SIGNET_MASTER_KEY", &master_key)]);
            let ended = mistaken.run(&["keys", "list"]);
            assert_eq!(ended.code, Some(1), "{}", ended.said);
            self.told.push(said(&["with another master key"], ended.said));
        }
    }

    /// What receivers got, with the parts of their tokens as they are written and as they are meant.
    fn delivered(&self) -> Vec<Hay> {
        let received = self.receiver.received();
        let texts = received.iter().flat_map(|received| {
            let body = String::from_utf8(received.body.to_vec()).unwrap();
            let headers = format!("{:?}", received.headers);
            [headers, body, received.claims_text()]
        });
        texts.map(|text| Hay { name: "a delivery".to_owned(), bytes: text.into_bytes() }).collect()
    }
}

fn said(words: &[&str], said: String) -> Hay {
    Hay { name: format!("what was said to {words:?}"), bytes: said.into_bytes() }
}

fn opened(master_key: &MasterKeys, tenant_id: TenantId, kid: &signet::domain::key_ring::Kid, jwe: &str) -> Value {
    let plain = master_key.open(&Purpose::SigningKey { tenant_id, kid }, jwe).unwrap();
    serde_json::from_slice(&plain).unwrap()
}

/// Searches everything, and says where what was found.
fn assert_nothing_in(search: &Search, hays: &[Hay]) {
    let found = hays.iter().flat_map(|hay| search.found_in(&hay.bytes).into_iter().map(|found| (&hay.name, found)));
    let found: Vec<_> = found.map(|(name, found)| format!("{found}: in {name}")).collect();
    assert!(found.is_empty(), "{found:#?}");
}

async fn check_on(installation: Installation) {
    let mut scene = Scene::on(installation).await;
    let url = scene.installation.database_url().to_owned();
    let wal_from = database::wal_file(&url).await;
    let running = scene.installation.serve().await;
    let tenants = scene.furnish().await;
    scene.deliver(&tenants).await;
    let mut keys = scene.keys().await;
    assert!(keys.len() > ALGORITHMS.len() * 2, "each tenant has a key that signs and one that will");
    let at_first = database::files(&url, wal_from.as_deref()).await;
    assert_eq!(kept_in(&at_first, &keys).len(), keys.len(), "what is searched is where keys are kept");

    scene.exercise(&tenants).await;
    scene.deliver(&tenants).await;
    scene.command(&tenants[0]);
    let destroyed = keys.len();
    keys.extend(scene.keys().await);
    assert!(keys[destroyed..].iter().all(|now| keys[..destroyed].iter().all(|key| key.kid != now.kid)));
    let mut hays = database::files(&url, wal_from.as_deref()).await;
    running.terminate();
    let ended = running.ended().await;
    assert!(ended.said.contains("TRACE"), "the log tells all");
    assert!(keys.iter().any(|key| ended.said.contains(&key.kid)), "the log tells of keys");
    let at_last = database::files(&url, wal_from.as_deref()).await;
    // PostgreSQL keeps what was until it is vacuumed and its log of changes is written over; a backup does not hold it.
    let is_backup = |hay: &&Hay| url.starts_with("sqlite") || hay.name.starts_with("pg_dump");
    let backups = at_last.iter().filter(is_backup);
    assert_eq!(
        kept_in(backups.clone(), &keys[..destroyed]),
        BTreeSet::new(),
        "a destroyed half is gone, sealed as it was"
    );
    assert_ne!(kept_in(backups, &keys[destroyed..]), BTreeSet::new(), "and the others are there");

    hays.extend(at_last);
    hays.push(said(&["serve"], ended.said));
    hays.extend(scene.delivered());
    hays.append(&mut scene.told);
    let searched: usize = hays.iter().map(|hay| hay.bytes.len()).sum();
    println!("secrecy: {} keys, {} texts and files of {searched} bytes in all", keys.len(), hays.len());
    assert_nothing_in(&scene.search_for(&keys), &hays);
}

/// The keys whose sealed halves are in there, or the end of what was sealed.
fn kept_in<'h>(hays: impl IntoIterator<Item = &'h Hay>, keys: &[Sealed]) -> BTreeSet<String> {
    let mut secrets = Secrets::default();
    for key in keys {
        // The last parts of a JWE are what was sealed and its tag.
        let sealed = key.jwe.rsplit('.').nth(1).unwrap();
        secrets.add_text(&key.kid, &sealed[sealed.len() / 2..]);
    }
    let search = secrets.search();
    hays.into_iter().flat_map(|hay| search.found_in(&hay.bytes)).map(str::to_owned).collect::<BTreeSet<_>>()
}

#[tokio::test]
async fn no_private_number_is_in_what_a_server_on_sqlite_writes_says_or_answers() {
    check_on(Installation::on_sqlite()).await;
}

#[tokio::test]
async fn no_private_number_is_in_what_a_server_on_postgresql_writes_says_or_answers() {
    check_on(Installation::on_postgres()).await;
}

/// A key is only opened to sign, and wiped when it signs no more.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_key_that_does_not_sign_is_not_in_the_memory_of_the_server() {
    let mut scene = Scene::on(Installation::on_sqlite()).await;
    let running = scene.installation.serve().await;
    let tenants = scene.furnish().await;
    scene.deliver(&tenants).await;
    let keys = scene.keys().await;
    let (signing, waiting): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| key.is_active);
    let signing: Vec<_> = signing.into_iter().filter(|key| key.has_signed(&scene.receiver)).collect();

    let limits = std::fs::read_to_string(format!("/proc/{}/limits", running.id())).unwrap();
    let of_signing = in_memory(&running, &signing);
    let of_waiting = in_memory(&running, &waiting);
    for tenant in &tenants {
        let rotated = scene.ask(Some(tenant), "POST /v1/admin/keys/rotate", r#"{"force": true}"#).await;
        assert_eq!(rotated.status, 200);
    }
    scene.deliver(&tenants).await;
    // Whoever was signing at that moment lets go a moment later.
    let mut of_retired = Vec::new();
    let mut look = async || {
        of_retired = in_memory(&running, &signing);
        of_retired.is_empty().then_some(())
    };
    within(PATIENCE, &mut look).await;

    let dumps = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(dumps.split_whitespace().nth(4), Some("0"), "{dumps}");
    for (name, _) in signing.iter().flat_map(|key| &key.secrets) {
        let is_seen = of_signing.iter().any(|found| found.contains(name));
        assert!(is_seen, "who signs has {name} in memory, and searching finds it: {of_signing:#?}");
    }
    assert_eq!((of_waiting, of_retired), (Vec::new(), Vec::new()));
}

/// Which private numbers a server has in its memory, and where.
#[cfg(target_os = "linux")]
fn in_memory(running: &Running, keys: &[Sealed]) -> Vec<String> {
    let mut secrets = Secrets::default();
    for (name, secret) in keys.iter().flat_map(|key| &key.secrets) {
        secrets.add(name, secret);
    }
    let search = secrets.search();
    let hays = memory::of_process(running.id());
    let found = hays.iter().flat_map(|hay| search.found_in(&hay.bytes).into_iter().map(|found| (&hay.name, found)));
    found.map(|(name, found)| format!("{found}: {name}")).collect()
}
