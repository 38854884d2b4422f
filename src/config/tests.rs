//! Where values come from, and how all that is wrong with them is said at once.

use super::*;

fn with(environment: &[(&str, &str)], file: &str) -> Result<Config, Faults> {
    let variable = |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    parse(&Flags::new(), variable, "signet.toml", file)
}

#[test]
fn nothing_given_is_a_whole_configuration() {
    let config = with(&[], "").unwrap();

    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.plain_http, PlainHttp::Refused);
    assert_eq!(config.key_policy, KeyPolicy::standard());
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = "listen = \"127.0.0.1:1\"\nlog = \"debug\"\negress_allow = [\"10.0.0.0/8\", \"::1\"]";
    let flags = Flags::from([("listen", "127.0.0.1:3".to_owned())]);
    let environment = |name: &str| (name == "SIGNET_LISTEN").then(|| "127.0.0.1:2".to_owned());

    let both = parse(&flags, environment, "signet.toml", file).unwrap();
    let without_flags = parse(&Flags::new(), environment, "signet.toml", file).unwrap();

    assert_eq!(both.listen.port(), 3);
    assert_eq!(without_flags.listen.port(), 2);
    assert_eq!(both.log, "debug");
    assert_eq!(both.egress_allow.len(), 2);
}

#[test]
fn every_fault_is_reported_at_once_with_its_origin() {
    let environment = [("SIGNET_LISTEN", "8080"), ("SIGNET_ADMIN_KEY", "short"), ("SIGNET_KEY_PUBLISH_AHEAD", "1h")];

    let Faults(faults) = with(&environment, "lisen = \"x\"\nallow_http = \"maybe\"").unwrap_err();

    assert_eq!(faults.len(), 5);
    assert_eq!(faults[0], "signet.toml: `lisen` is not a setting");
    assert!(faults[1].starts_with("SIGNET_LISTEN: \"8080\" is not an address and a port"));
    assert!(faults[2].starts_with("SIGNET_ADMIN_KEY: has fewer than 32 characters"));
    assert!(faults[3].starts_with("`allow_http` in signet.toml: \"maybe\" is neither"));
    assert!(faults[4].contains("at least 25 h"));
}

#[test]
fn a_margin_is_named_by_its_setting_and_judged_beside_one_that_cannot_be_read() {
    let environment = [("SIGNET_KEY_PERIOD", "1d"), ("SIGNET_KEY_GRACE", "soon")];

    let Faults(faults) = with(&environment, "").unwrap_err();

    assert!(faults[0].starts_with("SIGNET_KEY_GRACE: \"soon\" is not a span"), "{faults:?}");
    assert!(faults.iter().any(|fault| fault.starts_with("SIGNET_KEY_PERIOD: a key would sign for 24 h")), "{faults:?}");
}

#[test]
fn a_database_is_shown_without_its_password() {
    let of = |url: &str| with(&[("SIGNET_DATABASE_URL", url)], "");

    let config = of("postgres://scott:tiger@db.example.com/signet?password=tiger").unwrap();
    let Faults(faults) = of("oracle://scott:tiger@db.example.com/signet").unwrap_err();

    assert_eq!(config.shown_database(), "postgres://…@db.example.com/signet");
    assert!(faults[0].starts_with("SIGNET_DATABASE_URL: is not a database that Signet knows"), "{faults:?}");
    assert!(!faults[0].contains("tiger"));
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let secret = "0123456789abcdef0123456789abcdef";
    let url = format!("postgres://scott:{secret}@db.example.com/signet");
    let environment =
        [("SIGNET_ADMIN_KEY", secret), ("SIGNET_MASTER_KEY", secret), ("SIGNET_DATABASE_URL", url.as_str())];

    let config = with(&environment, "").unwrap();

    assert!(!format!("{config:?} {config:#?}").contains(secret));
}

#[test]
fn a_token_needs_its_module_its_label_and_its_pin() {
    let Faults(faults) = with(&[("SIGNET_KEY_PROVIDER", "pkcs11"), ("SIGNET_PKCS11_TOKEN", "a")], "").unwrap_err();
    assert_eq!(
        faults,
        ["SIGNET_PKCS11_MODULE, SIGNET_PKCS11_PIN: is missing; a token needs all three of its settings"]
    );

    let whole = [("SIGNET_PKCS11_MODULE", "m.so"), ("SIGNET_PKCS11_TOKEN", "a"), ("SIGNET_PKCS11_PIN", "1234")];
    let config = with(&whole, "").unwrap();

    assert_eq!(config.key_provider, KeyProvider::Local, "keys of before may stand in it");
    assert!(config.pkcs11.is_some() && !format!("{config:?}").contains("1234"));
}

#[test]
fn requests_are_not_counted_unless_somebody_says_so() {
    let quota = |environment: &[(&str, &str)]| with(environment, "").map(|config| config.quota);
    let of =
        |per_second, burst| Some(Quota::new(NonZeroU32::new(per_second).unwrap(), NonZeroU32::new(burst).unwrap()));

    assert_eq!(quota(&[]), Ok(None));
    assert_eq!(quota(&[("SIGNET_API_RATE_LIMIT", "0"), ("SIGNET_API_RATE_BURST", "9")]), Ok(None));
    assert_eq!(quota(&[("SIGNET_API_RATE_LIMIT", "50")]), Ok(of(50, 50)));
    assert_eq!(quota(&[("SIGNET_API_RATE_LIMIT", "50"), ("SIGNET_API_RATE_BURST", "200")]), Ok(of(50, 200)));
    for wrong in ["-1", "1.5", "many", "1000001"] {
        let Faults(faults) = quota(&[("SIGNET_API_RATE_LIMIT", wrong)]).unwrap_err();
        assert!(faults[0].starts_with("SIGNET_API_RATE_LIMIT: ") && faults.len() == 1, "{faults:?}");
    }
}

#[test]
fn a_contact_is_what_a_comment_may_hold() {
    let contact = |text: &str| with(&[("SIGNET_CONTACT", text)], "").map(|config| config.contact);

    assert_eq!(contact(""), Ok(None));
    for fit in ["https://example.com/webhooks?a=1", "mailto:webhooks@example.com"] {
        assert_eq!(contact(fit), Ok(Some(fit.to_owned())));
    }
    for wrong in ["https://example.com/(webhooks)", "two words", "a\\b", "a\r\nx-evil: 1", "é", &"a".repeat(201)] {
        let Faults(faults) = contact(wrong).unwrap_err();
        assert!(faults[0].starts_with("SIGNET_CONTACT: ") && faults.len() == 1, "{faults:?}");
    }
}
