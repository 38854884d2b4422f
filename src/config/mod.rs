//! What is configured: flags, environment and file become values that are already proven sane.
//!
//! Flags win over the environment, the environment over `signet.toml`, the file over the defaults. Everything that is
//! wrong is said at once.

mod egress;
mod key_provider;
mod settings;
mod webhooks;

use std::collections::BTreeMap;
use std::env::VarError;
use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

pub use settings::{SETTINGS, Setting};

use crate::domain::key_ring::{KeyPolicy, Margin, Margins, Profile};
use crate::domain::quota::Quota;
use crate::domain::secret::Secret;
use crate::domain::webhook::{DeclaredWebhook, PlainHttp};

pub use key_provider::{KeyProvider, Pkcs11};

/// The file that is read when there is one and no other is named.
pub const FILE_STANDARD: &str = "signet.toml";
/// The shortest retention: a delivery is retried for 91 h at most, and its event must be there until then.
const RETENTION_MIN: Duration = Duration::from_hours(4 * 24);
/// More requests a second than any node answers.
const COUNT_MAX: u32 = 1_000_000;
/// The shortest operator's key.
const ADMIN_KEY_CHARS_MIN: usize = 32;

/// Settings that were given as flags, by name.
pub type Flags = BTreeMap<&'static str, String>;

/// Values that are proven sane.
#[derive(Debug, Clone)]
pub struct Config {
    pub listen: SocketAddr,
    /// It may hold a password.
    pub database_url: Secret<String>,
    /// Without a trailing slash. `None` means the address that is listened on.
    pub public_url: Option<String>,
    pub master_key_file: PathBuf,
    pub master_key: Option<Secret<String>>,
    /// Where keys are made from now on.
    pub key_provider: KeyProvider,
    /// The token that keys are made in, or that holds some from before.
    pub pkcs11: Option<Pkcs11>,
    pub admin_key: Option<Secret<String>>,
    pub egress_allow: Vec<IpNet>,
    /// Beats what is allowed.
    pub egress_deny: Vec<IpNet>,
    /// Certificates that are trusted besides the platform's.
    pub egress_ca_file: Option<PathBuf>,
    /// It may hold a password.
    pub egress_proxy: Option<Secret<String>>,
    pub dns_servers: Vec<SocketAddr>,
    pub plain_http: PlainHttp,
    /// Where receivers find whoever runs this.
    pub contact: Option<String>,
    /// Whether the log of deliveries holds the beginning of what receivers answered.
    pub keeps_answers: bool,
    pub log: String,
    pub retention: Duration,
    pub revocations_file: PathBuf,
    pub key_policy: KeyPolicy,
    /// How often each API key may ask, if that is limited.
    pub quota: Option<Quota>,
    /// Webhooks that nobody but the configuration changes.
    pub webhooks: Vec<DeclaredWebhook>,
}

impl Config {
    /// The database's URL for people to read: without what may be a password.
    pub fn shown_database(&self) -> String {
        // Parameters may hold a password too.
        let url = self.database_url.reveal().split('?').next().unwrap_or_default();
        match (url.split_once("://"), url.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
            _ => url.to_owned(),
        }
    }
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is not usable:")?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for Faults {}

/// Reads the configuration of this process.
#[expect(clippy::disallowed_methods, reason = "this is the one home of the environment")]
pub fn load(flags: &Flags, file: Option<&Path>) -> Result<Config, Faults> {
    let text = match file {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Faults(vec![format!("{} cannot be read: {error}", path.display())]))?,
        None => match std::fs::read_to_string(FILE_STANDARD) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Faults(vec![format!("{FILE_STANDARD} cannot be read: {error}")])),
        },
    };
    let is_garbled = |setting: &&Setting| matches!(std::env::var(setting.variable), Err(VarError::NotUnicode(_)));
    if let Some(setting) = SETTINGS.iter().find(is_garbled) {
        return Err(Faults(vec![format!("{} is not UTF-8", setting.variable)]));
    }
    let name = file.unwrap_or(Path::new(FILE_STANDARD));
    parse(flags, |variable| std::env::var(variable).ok(), &name.display().to_string(), &text)
}

/// Makes a configuration of what was given.
pub fn parse(
    flags: &Flags,
    environment: impl Fn(&str) -> Option<String>,
    file_name: &str,
    file: &str,
) -> Result<Config, Faults> {
    let mut given = Given { values: BTreeMap::new(), tables: Vec::new(), faults: Vec::new() };
    given.add_file(file_name, file);
    for setting in SETTINGS {
        if let Some(value) = environment(setting.variable).filter(|value| !value.is_empty()) {
            given.values.insert(setting.name, (value, setting.variable.to_owned()));
        }
        if let Some(value) = flags.get(setting.name) {
            let flag = format!("--{}", setting.name.replace('_', "-"));
            given.values.insert(setting.name, (value.clone(), flag));
        }
    }
    given.into_config()
}

/// Values as text, each with where it came from.
struct Given {
    values: BTreeMap<&'static str, (String, String)>,
    /// The webhooks of the file.
    tables: Vec<webhooks::Table>,
    faults: Vec<String>,
}

impl Given {
    fn add_file(&mut self, file_name: &str, text: &str) {
        let table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            Err(error) => {
                self.faults.push(format!("{file_name} is not TOML: {}", error.message()));
                return;
            }
        };
        for (name, value) in table {
            let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) else {
                self.faults.push(format!("{file_name}: `{name}` is not a setting"));
                continue;
            };
            if setting.name == webhooks::NAME {
                self.add_tables(file_name, &value);
                continue;
            }
            match text_of(&value) {
                Some(text) => {
                    self.values.insert(setting.name, (text, format!("`{name}` in {file_name}")));
                }
                None => {
                    self.faults.push(format!("{file_name}: `{name}` must be a text, a truth value or a list of texts"));
                }
            }
        }
    }

    /// Reads a setting's value, or notes what is wrong with it and where it came from.
    fn read<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let default = SETTINGS.iter().find(|setting| setting.name == name)?.default;
        let (text, origin) = match self.values.get(name) {
            Some((text, origin)) => (text.as_str(), origin.as_str()),
            None => (default, "its default"),
        };
        match parse(text) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.faults.push(format!("{origin}: {fault}"));
                None
            }
        }
    }

    fn into_config(mut self) -> Result<Config, Faults> {
        let listen = self.read("listen", |text| {
            text.parse::<SocketAddr>()
                .map_err(|_| format!("{text:?} is not an address and a port, such as 127.0.0.1:8080"))
        });
        let database_url = self.read("database_url", database_url);
        let public_url = self.read("public_url", public_url);
        let master_key_file = self.read("master_key_file", |text| Ok(PathBuf::from(text)));
        let master_key = self.read("master_key", |text| Ok(some(text).map(|text| Secret::new(text.to_owned()))));
        let key_provider = self.read("key_provider", KeyProvider::parse);
        let pkcs11 = self.pkcs11(key_provider);
        let admin_key = self.read("admin_key", admin_key);
        let egress_allow = self.read("egress_allow", egress::networks);
        let egress_deny = self.read("egress_deny", egress::networks);
        let egress_ca_file = self.read("egress_ca_file", |text| Ok(some(text).map(PathBuf::from)));
        let egress_proxy = self.read("egress_proxy", egress::proxy);
        let dns_servers = self.read("dns_servers", egress::name_servers);
        let plain_http = self.read("allow_http", egress::plain_http);
        let contact = self.read("contact", egress::contact);
        let keeps_answers = self.read("keep_answers", truth);
        let log = self.read("log", |text| Ok(text.to_owned()));
        let retention = self.read("retention", retention);
        let revocations_file = self.read("revocations_file", |text| Ok(some(text).map(PathBuf::from)));
        let key_policy = self.key_policy();
        let quota = self.quota();
        let webhooks = self.declared(plain_http);
        let beside_master_key = master_key_file.clone().unwrap_or_default();
        let config = (|| {
            Some(Config {
                listen: listen?,
                database_url: database_url?,
                public_url: public_url?,
                master_key_file: master_key_file?,
                master_key: master_key?,
                key_provider: key_provider?,
                pkcs11: pkcs11?,
                admin_key: admin_key?,
                egress_allow: egress_allow?,
                egress_deny: egress_deny?,
                egress_ca_file: egress_ca_file?,
                egress_proxy: egress_proxy?,
                dns_servers: dns_servers?,
                plain_http: plain_http?,
                contact: contact?,
                keeps_answers: keeps_answers?,
                log: log?,
                retention: retention?,
                revocations_file: revocations_file?.unwrap_or_else(|| beside_master_key.with_file_name("revoked-keys")),
                key_policy: key_policy?,
                quota,
                webhooks,
            })
        })();
        match config {
            Some(config) if self.faults.is_empty() => Ok(config),
            _ => Err(Faults(self.faults)),
        }
    }

    /// None also when it cannot be read, which is noted as any fault is.
    fn quota(&mut self) -> Option<Quota> {
        let per_second = self.read("api_rate_limit", count).flatten();
        let burst = self.read("api_rate_burst", |text| some(text).map_or(Ok(None), count)).flatten();
        per_second.map(|per_second| Quota::new(per_second, burst.unwrap_or(per_second)))
    }

    fn key_policy(&mut self) -> Option<KeyPolicy> {
        let profile = self.read("key_profile", profile);
        let period = self.read("key_period", span);
        let publish_ahead = self.read("key_publish_ahead", span);
        let grace = self.read("key_grace", span);
        // What could not be read is taken as usual, so that the others are judged all the same.
        let usual = Margins::STANDARD;
        let margins = Margins {
            period: period.unwrap_or(usual.period),
            publish_ahead: publish_ahead.unwrap_or(usual.publish_ahead),
            grace: grace.unwrap_or(usual.grace),
        };
        match KeyPolicy::new(profile.unwrap_or(Profile::Standard), margins) {
            Ok(policy) => Some(policy),
            Err(faults) => {
                let said = faults.into_iter().map(|fault| format!("{}: {fault}", variable_of(fault.margin())));
                self.faults.extend(said);
                None
            }
        }
    }
}

fn count(text: &str) -> Result<Option<NonZeroU32>, String> {
    let wanted = || format!("{text:?} is not a number from 0 to {COUNT_MAX}");
    let count = text.trim().parse::<u32>().ok().filter(|count| *count <= COUNT_MAX).ok_or_else(wanted)?;
    Ok(NonZeroU32::new(count))
}

fn variable_of(margin: Margin) -> &'static str {
    match margin {
        Margin::Period => "SIGNET_KEY_PERIOD",
        Margin::PublishAhead => "SIGNET_KEY_PUBLISH_AHEAD",
        Margin::Grace => "SIGNET_KEY_GRACE",
    }
}

fn profile(text: &str) -> Result<Profile, String> {
    Profile::parse(text).ok_or_else(|| format!("{text:?} is neither standard nor development"))
}

fn database_url(text: &str) -> Result<Secret<String>, String> {
    match text.split_once("://") {
        Some(("sqlite" | "postgres" | "postgresql", rest)) if !rest.is_empty() => Ok(Secret::new(text.to_owned())),
        _ => Err("is not a database that Signet knows; write sqlite:// and a path, such as sqlite://data/signet.db or sqlite:///var/lib/signet/signet.db, or postgres://user:password@host/database".to_owned()),
    }
}

fn text_of(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            Some(texts?.join(","))
        }
        _ => None,
    }
}

fn some(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

fn span(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| format!("{text:?} is not a span, such as 90d, 36h or 300s"))
}

fn retention(text: &str) -> Result<Duration, String> {
    let retention = span(text)?;
    if retention < RETENTION_MIN {
        let (least, given) = (humantime::format_duration(RETENTION_MIN), humantime::format_duration(retention));
        return Err(format!(
            "{given} is shorter than {least}, for which a delivery may be retried; write {least} or more"
        ));
    }
    Ok(retention)
}

fn public_url(text: &str) -> Result<Option<String>, String> {
    let Some(text) = some(text) else { return Ok(None) };
    let usable = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    });
    match usable {
        Some(_) => Ok(Some(text.trim_end_matches('/').to_owned())),
        None => Err(format!(
            "{text:?} is not an http or https URL without user, query and fragment, such as https://hooks.example.com"
        )),
    }
}

fn admin_key(text: &str) -> Result<Option<Secret<String>>, String> {
    let Some(text) = some(text) else { return Ok(None) };
    if text.chars().count() < ADMIN_KEY_CHARS_MIN {
        return Err(format!("has fewer than {ADMIN_KEY_CHARS_MIN} characters; make one with: openssl rand -hex 32"));
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control() || !c.is_ascii()) {
        return Err("must be visible ASCII characters, because it travels in a header".to_owned());
    }
    Ok(Some(Secret::new(text.to_owned())))
}

fn truth(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

#[cfg(test)]
mod tests;
