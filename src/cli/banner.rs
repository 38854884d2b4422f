//! What a newcomer needs to see when the server starts.

use anstyle::{AnsiColor, Style};

const BOLD: Style = Style::new().bold();
const WARNING: Style = AnsiColor::Yellow.on_default();

/// What the start has to tell.
pub struct Banner<'a> {
    pub url: &'a str,
    pub jwks_uri: &'a str,
    pub database_url: &'a str,
    /// Set when the master key was made just now.
    pub made_master_key: Option<String>,
    /// Set when the first API key was made just now.
    pub made_api_key: Option<&'a str>,
    pub has_admin_key: bool,
    pub warns_of_loopback: bool,
    /// A callback URL that these settings accept.
    pub example_url: &'a str,
}

/// Prints the banner; without colours when nobody looks.
pub fn print(banner: &Banner<'_>) {
    let Banner { url, jwks_uri, database_url, .. } = banner;
    anstream::println!("{BOLD}Signet {} listens on {url}{BOLD:#}", env!("CARGO_PKG_VERSION"));
    anstream::println!();
    anstream::println!("  JWKS        {jwks_uri}");
    anstream::println!("  database    {database_url}");
    if let Some(path) = &banner.made_master_key {
        anstream::println!("  master key  {path}, made now; back it up, without it the database's keys are lost");
    }
    let key = match (banner.made_api_key, banner.has_admin_key) {
        (Some(key), _) => {
            anstream::println!("  API key     {BOLD}{key}{BOLD:#}  (shown this once)");
            key
        }
        (None, true) => {
            anstream::println!("  API key     the one in SIGNET_ADMIN_KEY");
            "$SIGNET_ADMIN_KEY"
        }
        (None, false) => {
            anstream::println!("  API key     shown at the first start; `signet api-key new` makes another");
            "$SIGNET_API_KEY"
        }
    };
    anstream::println!();
    anstream::println!("Register a webhook, then send it an event:");
    anstream::println!();
    print_curl(url, "webhooks", key, &format!(r#"{{"url": "{}", "events": ["user"]}}"#, banner.example_url));
    print_curl(url, "events", key, r#"{"type": "user.created", "data": {"id": 42}}"#);
    if banner.warns_of_loopback {
        anstream::println!(
            "{WARNING}Receivers on this machine are not reached: set SIGNET_EGRESS_ALLOW=127.0.0.0/8 and SIGNET_ALLOW_HTTP=true for them.{WARNING:#}"
        );
    }
}

fn print_curl(url: &str, route: &str, key: &str, json: &str) {
    anstream::println!("  curl {url}/v1/{route} \\");
    anstream::println!("    -H \"Authorization: Bearer {key}\" \\");
    anstream::println!("    -H 'Content-Type: application/json' \\");
    anstream::println!("    -d '{json}'");
    anstream::println!();
}
