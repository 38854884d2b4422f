//! What a newcomer needs to see when the server starts.

use anstyle::{AnsiColor, Style};

/// A full disk behind the output must not keep a server from serving.
macro_rules! note_out {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(anstream::stdout(), $($text)*);
    }};
}

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
    pub warnings: Vec<Warning>,
    /// A callback URL that these settings accept.
    pub example_url: &'a str,
}

/// What will not work as somebody may expect.
pub enum Warning {
    /// The issuer is an address that no receiver can reach.
    Issuer,
    /// Margins are measured against the development profile.
    Margins,
    /// Receivers on this machine may not be reached.
    Loopback,
}

/// Prints the banner; without colours when nobody looks.
pub fn print(banner: &Banner<'_>) {
    let Banner { url, jwks_uri, database_url, .. } = banner;
    note_out!("{BOLD}Signet {} listens on {url}{BOLD:#}", env!("CARGO_PKG_VERSION"));
    note_out!("");
    note_out!("  JWKS        {jwks_uri}");
    note_out!("  database    {database_url}");
    if let Some(path) = &banner.made_master_key {
        note_out!("  master key  {path}, made now; back it up, without it the database's keys are lost");
    }
    let key = match (banner.made_api_key, banner.has_admin_key) {
        (Some(key), _) => {
            note_out!("  API key     {BOLD}{key}{BOLD:#}  (shown this once)");
            key
        }
        (None, true) => {
            note_out!("  API key     the one in SIGNET_ADMIN_KEY");
            "$SIGNET_ADMIN_KEY"
        }
        (None, false) => {
            note_out!("  API key     shown at the first start; `signet api-key new` makes another");
            "$SIGNET_API_KEY"
        }
    };
    note_out!("");
    note_out!("Register a webhook, then send it an event:");
    note_out!("");
    print_curl(url, "webhooks", key, &format!(r#"{{"url": "{}", "events": ["user"]}}"#, banner.example_url));
    print_curl(url, "events", key, r#"{"type": "user.created", "data": {"id": 42}}"#);
    for warning in &banner.warnings {
        let words = match warning {
            Warning::Issuer => format!(
                "Tokens name {url} as their issuer, which no receiver can reach: set SIGNET_PUBLIC_URL to the URL that receivers use."
            ),
            Warning::Margins => "Keys rotate with margins for development: receivers that keep a JWKS will meet keys they do not know. Unset SIGNET_KEY_PROFILE for receivers in earnest.".to_owned(),
            Warning::Loopback => "Receivers on this machine are not reached: set SIGNET_EGRESS_ALLOW=127.0.0.0/8 and SIGNET_ALLOW_HTTP=true for them.".to_owned(),
        };
        note_out!("{WARNING}{words}{WARNING:#}");
    }
}

fn print_curl(url: &str, route: &str, key: &str, json: &str) {
    note_out!("  curl {url}/v1/{route} \\");
    note_out!("    -H \"Authorization: Bearer {key}\" \\");
    note_out!("    -H 'Content-Type: application/json' \\");
    note_out!("    -d '{json}'");
    note_out!("");
}
