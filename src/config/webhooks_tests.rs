//! Webhooks as they are declared in the file and in the environment, and all that may be wrong with them.

use std::time::Duration;

use crate::config::{Config, Faults, Flags, parse};
use crate::domain::webhook::Format;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const TENANT: &str = "tnt_01JZ0000000000000000000000";

fn with(environment: &[(&str, &str)], file: &str) -> Result<Config, Faults> {
    let variable = |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    parse(&Flags::new(), variable, "signet.toml", file)
}

fn in_environment(text: &str) -> Result<Config, Faults> {
    with(&[("SIGNET_WEBHOOKS", text)], "")
}

/// The URLs that are declared, in order.
fn urls(config: &Config) -> Vec<&str> {
    config.webhooks.iter().map(|webhook| webhook.url.as_str()).collect()
}

#[test]
fn a_table_says_all_that_a_request_may_say() {
    let file = format!(
        r#"
        [[webhooks]]
        url = "https://example.com/hooks"
        events = ["user", "session.created"]
        tenant = "{TENANT}"
        description = "the auditors"
        format = "standard"
        typ = "webhook+jwt"
        v1a = true
        audience = "auditors"
        headers = {{ "X-Gateway" = "let us in" }}
        secret = "{SECRET}"
        retry = {{ schedule = [5, 300] }}
        timeout_seconds = 10
        rate_limit = 50
        enabled = false

        [[webhooks]]
        callback = "https://example.net/"
        events = ["*"]
        "#
    );

    let config = with(&[], &file).unwrap();

    assert_eq!(urls(&config), ["https://example.com/hooks", "https://example.net/"]);
    let [full, short] = &config.webhooks[..] else { unreachable!("there are two") };
    assert_eq!(full.tenant_id.map(|id| id.to_string()).as_deref(), Some(TENANT));
    assert_eq!(full.subscriptions.iter().map(|it| it.as_str()).collect::<Vec<_>>(), ["user", "session.created"]);
    assert_eq!((full.format.as_str(), full.token_type.as_str(), full.has_key_pair), ("standard", "webhook+jwt", true));
    assert_eq!((short.format.as_str(), short.token_type.as_str(), short.has_key_pair), ("token", "JWT", false));
    assert_eq!((full.description.as_str(), full.audience.as_deref()), ("the auditors", Some("auditors")));
    assert_eq!(
        full.headers.iter().map(|(name, value)| (name.as_str(), value)).collect::<Vec<_>>(),
        [("x-gateway", "let us in")]
    );
    assert_eq!(full.secret.as_ref().map(|secret| secret.reveal().as_str()), Some(SECRET));
    assert_eq!(full.handling.timeout, Some(Duration::from_secs(10)));
    assert_eq!(full.handling.rate.map(|rate| rate.get()), Some(50));
    assert_eq!(full.handling.retry_policy.as_ref().map(|policy| policy.attempts_max()), Some(3));
    assert!(!full.is_enabled && short.is_enabled);
    assert!(short.tenant_id.is_none() && short.secret.is_none() && short.format == Format::Token);
}

#[test]
fn the_environment_takes_a_list_and_objects_with_semicolons_between_them_instead_of_the_file_s() {
    let file = "[[webhooks]]\nurl = \"https://example.com/file\"\nevents = [\"*\"]";
    let urls_of = |text: &str| {
        let config = with(&[("SIGNET_WEBHOOKS", text)], file).unwrap();
        urls(&config).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let a = r#"{"callback": "https://example.com/a;b?c=\"};{", "events": ["user.create"]}"#;
    let b = r#"{"url": "https://example.com/b", "events": ["*"], "description": null}"#;

    assert_eq!(urls_of(""), ["https://example.com/file"], "an empty variable says nothing");
    assert!(urls_of("[]").is_empty());
    let both = ["https://example.com/a;b?c=%22};{", "https://example.com/b"];
    assert_eq!(urls_of(&format!("{a};{b}")), both);
    assert_eq!(urls_of(&format!(" {a} ;\n{b}; ")), both);
    assert_eq!(urls_of(&format!("[{a}, {b}]")), both);
    assert_eq!(urls_of(a), both[..1]);
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_place_and_without_what_may_be_secret() {
    let file = format!(
        r#"
        lisen = "x"

        [[webhooks]]
        url = "http://example.com/"
        events = ["user", "*.*", "User"]
        headers = {{ Host = "hunter2", "x-a" = "***" }}
        secret = "hunter2"
        evnets = 1

        [[webhooks]]
        timeout_seconds = 31
        rate_limit = -1
        retry = {{ schedule = [0] }}
        tenant = "acme"
        format = "pigeon"
        enabled = "hunter2"

        [[webhooks]]
        url = "https://example.com/a"
        callback = "https://example.com/b"
        events = ["user", 7]
        secret = ["{SECRET}"]

        [[webhooks]]
        url = "https://example.com/twice"
        events = []

        [[webhooks]]
        url = "https://example.com/twice"
        events = ["*"]
        "#
    );

    let Faults(faults) = with(&[("SIGNET_LISTEN", "8080")], &file).unwrap_err();

    let wanted = [
        "signet.toml: `lisen` is not a setting",
        "SIGNET_LISTEN: \"8080\" is not an address",
        "`webhooks[0].url` in signet.toml: must use https",
        "`webhooks[0].events[1]` in signet.toml: contains '*' beside other characters",
        "`webhooks[0].events[2]` in signet.toml: contains 'U'",
        "`webhooks[0].headers.Host` in signet.toml: is a header that Signet or HTTP sets itself",
        "`webhooks[0].headers.x-a` in signet.toml: is the mask that is shown",
        "`webhooks[0].secret` in signet.toml: is whsec_ and base64 of 24 to 64 bytes",
        "`webhooks[0]` in signet.toml: has no member `evnets`; there are url, callback, events",
        "`webhooks[1].url` in signet.toml: is required",
        "`webhooks[1].events` in signet.toml: is required",
        "`webhooks[1].tenant` in signet.toml: ",
        "`webhooks[1].format` in signet.toml: is one of: token",
        "`webhooks[1].rate_limit` in signet.toml: `rate_limit` is a whole number",
        "`webhooks[1].retry.schedule` in signet.toml: is a wait in whole seconds",
        "`webhooks[1].timeout_seconds` in signet.toml: is a number of seconds from 1 to 30",
        "`webhooks[1].enabled` in signet.toml: `enabled` is true or false",
        "`webhooks[2].events[1]` in signet.toml: is of another type: `events` is a list of texts",
        "`webhooks[2].secret` in signet.toml: `secret` is a text",
        "`webhooks[2].callback` in signet.toml: says the same as `url`",
        "`webhooks[3].events` in signet.toml: is empty",
        "`webhooks[4].url` in signet.toml: is that of `webhooks[3]` too",
    ];
    for wanted in wanted {
        assert!(faults.iter().any(|fault| fault.starts_with(wanted)), "{wanted} is not among {faults:#?}");
    }
    assert_eq!(faults.len(), wanted.len(), "{faults:#?}");
    let told = format!("{faults:?}");
    assert!(!told.contains("hunter2") && !told.contains(SECRET), "{told}");
}

#[test]
fn what_is_no_list_of_webhooks_is_refused_without_being_repeated() {
    let secret = r#"{"url": "https://example.com/", "events": ["*"], "secret": "hunter2""#;
    for (text, wanted) in [
        ("hunter2".to_owned(), "it goes wrong in object 1"),
        (" ".to_owned(), "it goes wrong in object 1"),
        (secret.to_owned(), "it goes wrong in object 1"),
        (format!("{secret}}},{secret}}}"), "it goes wrong in object 1"),
        (format!("{secret}}};hunter2"), "it goes wrong in object 2"),
        (format!("[{secret}]"), "it goes wrong at line 1 column"),
        ("[\"hunter2\"]".to_owned(), "it goes wrong at line 1 column"),
    ] {
        let Faults(faults) = in_environment(&text).unwrap_err();

        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with("SIGNET_WEBHOOKS: is not JSON of the form"), "{faults:?}");
        assert!(faults[0].contains(wanted), "{faults:?}");
        assert!(!faults[0].contains("hunter2"), "{faults:?}");
    }
    for file in ["webhooks = 1", "webhooks = [1]", "webhooks = \"[]\"", "[webhooks]\nurl = \"https://example.com/\""] {
        let Faults(faults) = with(&[], file).unwrap_err();

        assert_eq!(faults, ["signet.toml: `webhooks` must be tables, each below a line [[webhooks]]"], "{file}");
    }
    let Faults(faults) = with(&[], "[[webhooks]]\nsecret = hunter2").unwrap_err();
    assert!(faults[0].starts_with("signet.toml is not TOML: ") && !faults[0].contains("hunter2"), "{faults:?}");
    let Faults(faults) =
        in_environment(r#"{"url": "https://example.com/", "url": "https://example.net/", "events": ["*"]}"#)
            .unwrap_err();
    assert_eq!(faults, ["`[0]` in SIGNET_WEBHOOKS: has `url` twice"]);
}

#[test]
fn more_than_are_compared_at_a_start_are_refused() {
    let list = |count: usize| {
        let one = |at| format!(r#"{{"url": "https://example.com/{at}", "events": ["*"]}}"#);
        (0..count).map(one).collect::<Vec<_>>().join(";")
    };

    assert_eq!(in_environment(&list(1_000)).unwrap().webhooks.len(), 1_000);
    assert!(in_environment(&list(1_001)).unwrap_err().0[0].contains("more than 1000"));
}

#[test]
fn plain_http_is_judged_by_its_setting_and_not_at_all_while_that_cannot_be_read() {
    let file = "[[webhooks]]\nurl = \"http://example.com/\"\nevents = [\"*\"]";

    assert!(with(&[], file).is_err());
    assert!(with(&[("SIGNET_ALLOW_HTTP", "true")], file).is_ok());
    let Faults(faults) = with(&[("SIGNET_ALLOW_HTTP", "maybe")], file).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
}

#[test]
fn what_is_declared_prints_nothing_that_may_be_secret() {
    let text = format!(
        r#"{{"url": "https://example.com/?key=hunter2", "events": ["*"], "secret": "{SECRET}", "headers": {{"x-a": "hunter2"}}}}"#
    );

    let config = in_environment(&text).unwrap();

    let told = format!("{config:?} {config:#?}");
    assert!(!told.contains("hunter2") && !told.contains(SECRET), "{told}");
}
