//! Counts of questions, for whoever may ask whether the server is healthy.

use reqwest::Method;

use super::hooked;
use crate::support::send;

#[tokio::test]
async fn questions_are_counted_by_kind_and_outcome_and_nobody_is_named() {
    let (service, receiver) = hooked("pre_sign_up").await;
    let before = service.get("/metrics").await.text;
    receiver.saying(r#"{"allow": true}"#);
    service.asked("pre_sign_up").await;
    receiver.saying(r#"{"allow": false, "reason": "a reason of theirs"}"#);
    service.asked("pre_sign_up").await;
    service.asked("pre_sign_up").await;
    service.asked("jwt").await;

    let counts = send(service.anonymous(Method::GET, "/metrics")).await;

    assert_eq!(counts.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(!before.contains("outcome=") && before.ends_with("# EOF\n"), "{before}");
    for line in [
        r#"signet_hook_executions_total{hook="pre_sign_up",outcome="allowed"} 1"#,
        r#"signet_hook_executions_total{hook="pre_sign_up",outcome="blocked"} 2"#,
        r#"signet_hook_executions_total{hook="jwt",outcome="not_configured"} 1"#,
        r#"signet_hook_duration_seconds_count{hook="pre_sign_up"} 3"#,
        r#"signet_hook_duration_seconds_bucket{le="+Inf",hook="pre_sign_up"} 3"#,
    ] {
        assert!(counts.text.lines().any(|counted| counted == line), "{line} is missing:\n{}", counts.text);
    }
    for named in ["tnt_", "hk_", "127.0.0.1", "theirs", "whsec_"] {
        assert!(!counts.text.contains(named), "{named}:\n{}", counts.text);
    }
}
