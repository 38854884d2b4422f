//! Opening the rings in their order: database, master key, keys, engine.

use std::fs::File;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};

use crate::config::{Config, KeyProvider};
use crate::domain::access::ApiKeySecret;
use crate::domain::retry::RetryPolicy;
use crate::domain::webhook::PlainHttp;
use crate::egress::{AddressPolicy, Egress, Proxy, Ways};
use crate::engine::clock::Clock;
use crate::engine::{Engine, Inboxes, Parts, Terms};
use crate::signing::{Making, MasterKeyError, MasterKeys, Providers, SigningError, TokenSettings, digest};
use crate::store::revocations::Revocations;
use crate::store::{self, Store, settings, signing_keys};

/// More would not be busy: whoever writes down what they send has one core.
const SENDER_THREADS_MAX: NonZeroUsize = NonZeroUsize::new(16).expect("sixteen is not zero");

/// An engine on an open database.
pub(super) struct Opened {
    pub(super) engine: Arc<Engine>,
    pub(super) inboxes: Inboxes,
    /// Set when the master key was made just now.
    pub(super) made_master_key: Option<PathBuf>,
}

/// Opens everything for one command, beside a server that may be running.
pub(super) async fn for_command(config: &Config, clock: Clock) -> Result<Opened> {
    let public_url = config.public_url.clone().unwrap_or_else(|| format!("http://{}", config.listen));
    let opened = open(config, clock, public_url, None).await?;
    opened.engine.refresh_keys().await?;
    Ok(opened)
}

/// Opens everything. Jobs do not run yet. A server that listens says where, so that no webhook leads to itself.
pub(super) async fn open(config: &Config, clock: Clock, public_url: String, own: Option<SocketAddr>) -> Result<Opened> {
    let store = Store::open(config.database_url.reveal())
        .await
        .with_context(|| format!("the database {} cannot be used", config.shown_database()))?;
    let (master_keys, made_master_key) = master_keys(config, &store).await?;
    let terms = Terms {
        public_url,
        plain_http: config.plain_http,
        key_policy: config.key_policy,
        retry_policy: RetryPolicy::standard(),
        retention: config.retention,
        quota: config.quota,
        admin_key_digest: config.admin_key.as_ref().map(|key| digest::sha256(key.reveal().as_bytes())),
    };
    let master_keys = Arc::new(master_keys);
    let providers = providers(config, master_keys.clone());
    let egress = egress(config, own)?;
    let revocations = Revocations::open(&config.revocations_file)?;
    let sender_threads = sender_threads();
    let parts = Parts { store, clock, master_keys, providers, revocations, egress, sender_threads, terms };
    let (engine, inboxes) = Engine::new(parts)?;
    engine.begin_audit_log().await?;
    Ok(Opened { engine, inboxes, made_master_key })
}

/// The way out, as the operator wants it.
fn egress(config: &Config, own: Option<SocketAddr>) -> Result<Egress> {
    let mut policy = AddressPolicy::allowing(config.egress_allow.clone()).denying(config.egress_deny.clone());
    if let Some(own) = own {
        policy = policy.listening_at(own);
    }
    if config.plain_http == PlainHttp::Refused {
        policy = policy.refusing_plain_http();
    }
    let roots_pem = match &config.egress_ca_file {
        Some(path) => Some(std::fs::read(path).with_context(|| {
            format!("{} cannot be read; SIGNET_EGRESS_CA_FILE names a file with certificates", path.display())
        })?),
        None => None,
    };
    let proxy = config.egress_proxy.as_ref().map(|text| Proxy::parse(text.reveal()).context("SIGNET_EGRESS_PROXY"));
    let ways = Ways {
        name_servers: config.dns_servers.clone(),
        roots_pem,
        proxy: proxy.transpose()?,
        contact: config.contact.clone(),
        forgets_answers: !config.keeps_answers,
    };
    Ok(Egress::by(policy, ways)?)
}

/// Who keeps private halves. Nobody speaks to a token yet.
fn providers(config: &Config, master_keys: Arc<MasterKeys>) -> Providers {
    let token = config.pkcs11.as_ref().map(|pkcs11| TokenSettings {
        module: pkcs11.module.clone(),
        token: pkcs11.token.clone(),
        pin: pkcs11.pin.clone(),
    });
    let making = match config.key_provider {
        KeyProvider::Local => Making::Local,
        KeyProvider::Pkcs11 => Making::Token,
    };
    Providers::new(master_keys, token, making)
}

/// One for each core that this process may use.
fn sender_threads() -> NonZeroUsize {
    std::thread::available_parallelism().map_or(NonZeroUsize::MIN, |cores| cores.min(SENDER_THREADS_MAX))
}

/// The master keys of this database: from the environment, from their file, or made for a database that has none.
async fn master_keys(config: &Config, store: &Store) -> Result<(MasterKeys, Option<PathBuf>)> {
    let mut tx = store.write().await?;
    settings::hold_first_start(tx.conn()).await?;
    let check = settings::get(tx.conn(), settings::MASTER_KEY_CHECK).await?;
    let is_new = check.is_none() && !signing_keys::any_private(tx.conn()).await?;
    let path = &config.master_key_file;
    let (keys, made) = match &config.master_key {
        Some(text) => (MasterKeys::parse(text.reveal()).context("SIGNET_MASTER_KEY")?, None),
        None => match MasterKeys::load(path) {
            Ok(keys) => (keys, None),
            Err(MasterKeyError::Missing(_)) if is_new => (MasterKeys::create(path)?, Some(path.clone())),
            Err(MasterKeyError::Missing(_)) => bail!(
                "the master key {} is missing, and the database {} holds keys that only it opens. Put it back from \
                 your backup or copy it from another node, or name its place with SIGNET_MASTER_KEY_FILE; a new one would open nothing, so none is made",
                path.display(),
                config.shown_database()
            ),
            Err(error) => {
                let advice = "put it back from your backup, or name its place with SIGNET_MASTER_KEY_FILE";
                return Err(error)
                    .with_context(|| format!("the master key {} cannot be used; {advice}", path.display()));
            }
        },
    };
    let origin = match &config.master_key {
        Some(_) => "SIGNET_MASTER_KEY".to_owned(),
        None => path.display().to_string(),
    };
    match check.map(|check| keys.adopt(&check).and_then(|_| keys.confirm(&check))) {
        Some(Ok(())) => {}
        Some(Err(SigningError::MasterKeyMissing(id))) => bail!(
            "the master key in {origin} is not the one that sealed the keys in {}: that one is {id}. Put the right one in \
             its place (several may stand there together), or name the database that belongs to this key with \
             SIGNET_DATABASE_URL",
            config.shown_database()
        ),
        Some(Err(error)) => {
            return Err(error).with_context(|| format!("the master key in {origin} cannot be tried"));
        }
        None => {
            let check = keys.check(&keys.current_id())?;
            settings::put(tx.conn(), settings::MASTER_KEY_CHECK, &check).await?;
        }
    }
    tx.commit().await?;
    Ok((keys, made))
}

/// Makes sure that no other server works on this SQLite file: being alone is what lets it take over at once what an
/// earlier one had in hand. Held until dropped. On PostgreSQL there is nothing to lock.
pub(super) fn lock_database(config: &Config) -> Result<Option<File>> {
    if !config.database_url.reveal().starts_with("sqlite://") {
        return Ok(None);
    }
    let path = store::sqlite_path(config.database_url.reveal())?.with_added_extension("lock");
    store::create_folder_of(&path)?;
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path).with_context(|| format!("{} cannot be made", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => bail!(
            "another server works on {}. Stop it first, or give this one a database of its own with SIGNET_DATABASE_URL",
            config.shown_database()
        ),
        Err(std::fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("{} cannot be locked", path.display()))
        }
    }
}

/// An admin key for a server that nobody else will use.
pub(super) fn random_admin_key(clock: &Clock) -> Result<String> {
    Ok(ApiKeySecret::from_random(&clock.secret_bytes()?).reveal().to_owned())
}

/// A callback URL that these settings accept, for the examples of the banner.
pub(super) fn example_url(config: &Config) -> &'static str {
    let reaches_loopback = AddressPolicy::allowing(config.egress_allow.clone()).allows([127, 0, 0, 1].into());
    match (config.plain_http, reaches_loopback) {
        (PlainHttp::Accepted, true) => "http://127.0.0.1:3000/webhook",
        _ => "https://example.com/webhook",
    }
}
