//! Everything that can be configured, as a table. The README's is printed from it.

/// One thing that can be configured.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The name in `signet.toml`; with dashes for underscores, the flag.
    pub name: &'static str,
    /// The name in the environment.
    pub variable: &'static str,
    pub default: &'static str,
    pub help: &'static str,
    /// Whether it may be given as a flag. Secrets may not: command lines are seen by everybody.
    pub is_flag: bool,
}

const fn setting(name: &'static str, variable: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { name, variable, default, help, is_flag: true }
}

const fn secret(name: &'static str, variable: &'static str, help: &'static str) -> Setting {
    Setting { name, variable, default: "", help, is_flag: false }
}

/// Every setting, in the order of the README.
pub const SETTINGS: [Setting; 28] = [
    setting("listen", "SIGNET_LISTEN", "127.0.0.1:8080", "Address and port to listen on"),
    setting(
        "database_url",
        "SIGNET_DATABASE_URL",
        "sqlite://data/signet.db",
        "The database: sqlite:// and a path, relative to the working directory or absolute (sqlite:///var/lib/signet.db), or postgres://user:password@host/database",
    ),
    setting(
        "public_url",
        "SIGNET_PUBLIC_URL",
        "",
        "The URL under which receivers reach this server; it is the issuer of tokens. Without it, http:// and the listen address",
    ),
    setting(
        "master_key_file",
        "SIGNET_MASTER_KEY_FILE",
        "keys/master.key",
        "The file with the key, or the set of keys, that seals all others; made at the first start. Back it up: without it, the database's keys are lost",
    ),
    secret(
        "master_key",
        "SIGNET_MASTER_KEY",
        "The master key itself (the JWK, or the JWK Set of several, that the file would hold), instead of a file",
    ),
    setting(
        "key_provider",
        "SIGNET_KEY_PROVIDER",
        "local",
        "Where signing keys are made from now on: local, sealed in the database, or pkcs11, in a token that they never leave",
    ),
    setting("pkcs11_module", "SIGNET_PKCS11_MODULE", "", "The PKCS #11 module of the token, a shared library"),
    setting(
        "pkcs11_token",
        "SIGNET_PKCS11_TOKEN",
        "",
        "The label of the token; one that this installation has for itself",
    ),
    secret("pkcs11_pin", "SIGNET_PKCS11_PIN", "The token's user PIN"),
    secret(
        "admin_key",
        "SIGNET_ADMIN_KEY",
        "An API key of your choice with every right, at least 32 characters; for automation",
    ),
    setting(
        "egress_allow",
        "SIGNET_EGRESS_ALLOW",
        "",
        "Networks that webhooks may reach besides public addresses, such as 127.0.0.0/8,10.1.0.0/16",
    ),
    setting(
        "egress_deny",
        "SIGNET_EGRESS_DENY",
        "",
        "Networks that webhooks may not reach whatever else is allowed, such as your own public ones",
    ),
    setting(
        "egress_ca_file",
        "SIGNET_EGRESS_CA_FILE",
        "",
        "A file with certificates (PEM) of authorities that are trusted besides the platform's when receivers show theirs",
    ),
    secret(
        "egress_proxy",
        "SIGNET_EGRESS_PROXY",
        "A proxy through which all webhooks go, such as http://user:password@proxy.example:4750. It is asked for tunnels (CONNECT), resolves the receivers' names, and must refuse addresses that it should not reach",
    ),
    setting(
        "dns_servers",
        "SIGNET_DNS_SERVERS",
        "",
        "Name servers to ask for the receivers' addresses, such as 10.0.0.53,10.0.1.53:5353. Without it, those of the system",
    ),
    setting("allow_http", "SIGNET_ALLOW_HTTP", "false", "Whether webhooks may use plain http"),
    setting(
        "contact",
        "SIGNET_CONTACT",
        "",
        "Where receivers find whoever runs this, such as https://example.com/webhooks: it is added to the User-Agent",
    ),
    setting(
        "keep_answers",
        "SIGNET_KEEP_ANSWERS",
        "true",
        "Whether the log of deliveries holds the beginning of what receivers answered (4 KiB)",
    ),
    setting(
        "api_rate_limit",
        "SIGNET_API_RATE_LIMIT",
        "0",
        "How many requests a second each API key may make of each node, before it is answered 429; 0 is as many as it likes",
    ),
    setting(
        "api_rate_burst",
        "SIGNET_API_RATE_BURST",
        "",
        "How many of them at once. Without it, as many as in a second",
    ),
    secret(
        "webhooks",
        "SIGNET_WEBHOOKS",
        "Webhooks that the API does not change, as JSON: a list of them, or {…};{…}; in signet.toml, tables [[webhooks]]",
    ),
    setting("log", "SIGNET_LOG", "info", "What is logged: a tracing filter, such as warn or signet=debug"),
    setting(
        "retention",
        "SIGNET_RETENTION",
        "30d",
        "How long events and the log of their deliveries are kept (at least 4d); whole days are forgotten together",
    ),
    setting(
        "revocations_file",
        "SIGNET_REVOCATIONS_FILE",
        "",
        "The file in which revoked keys are written down apart from the database, so that a restored backup does not bring them back. Without it, revoked-keys beside the master key",
    ),
    setting(
        "key_profile",
        "SIGNET_KEY_PROFILE",
        "standard",
        "What the following margins are measured against: standard, or development, which allows seconds and is not for receivers in earnest",
    ),
    setting("key_period", "SIGNET_KEY_PERIOD", "90d", "How long a key signs before the next one does (7d to 365d)"),
    setting(
        "key_publish_ahead",
        "SIGNET_KEY_PUBLISH_AHEAD",
        "7d",
        "How long a key is published before it signs (at least 25h)",
    ),
    setting(
        "key_grace",
        "SIGNET_KEY_GRACE",
        "7d",
        "How long a key stays published after its last signature (at least 24h)",
    ),
];
