//! An event's data leaves as it came, byte for byte, or is not taken at all.

use serde_json::json;

use crate::support::{Receiver, Service};

const PAYLOAD_BYTES_MAX: usize = 262_144;

fn event(payload: &str) -> String {
    format!(r#"{{"type":"user.created","data":{payload}}}"#)
}

#[tokio::test]
async fn data_comes_out_of_the_token_byte_for_byte() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    service.webhook(&receiver, &["*"]).await;
    let nested = format!("{}1.10{}", "[".repeat(64), "]".repeat(64));

    for (at, payload) in [
        "12345678901234567890",
        "1.10",
        "1e400",
        "-0.0",
        "-0",
        "1E-500",
        "0.1000000000000000055511151231257827",
        "null",
        "false",
        r#""""#,
        r#""\u00e9\ud83d\ude00\/\n""#,
        "\"\u{e9}\u{1f600}\u{2028}\"",
        r#"{"z":1.0,"a":{"b":[1,2.50,{"c":-0.0,"":null}]},"n":123456789012345678901234567890}"#,
        "{ \"spaced\" :\n\t[ 1 , 2 ] }",
        r#"{"$serde_json::private::Number":"1"}"#,
        nested.as_str(),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = service.post_text("/v1/events", &event(payload)).await;

        assert_eq!(answer.status, 202, "{payload}: {}", answer.text);
        let claims = receiver.received_when(at + 1).await[at].claims_text();
        assert!(claims.contains(&format!(r#""data":{payload},"evt_at""#)), "{payload}: {claims}");
        let shown = service.get(&format!("/v1/events/{}", answer.json()["id"].as_str().unwrap())).await.text;
        assert!(shown.contains(&format!(r#""data":{payload},"#)), "{payload}: {shown}");
    }
}

#[tokio::test]
async fn data_has_at_most_256_kib() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    service.webhook(&receiver, &["*"]).await;
    let of = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));

    let taken = service.post_text("/v1/events", &event(&of(PAYLOAD_BYTES_MAX))).await;
    let refused = service.post_text("/v1/events", &event(&of(PAYLOAD_BYTES_MAX + 1))).await;
    let hopeless = service.post_text("/v1/events", &event(&of(4 * PAYLOAD_BYTES_MAX))).await;

    assert_eq!(taken.status, 202, "{}", taken.text);
    assert_eq!((refused.status, &refused.problem()["code"]), (413, &json!("too_large")));
    assert_eq!((hopeless.status, &hopeless.problem()["code"]), (413, &json!("too_large")));
    assert!(receiver.received_when(1).await[0].claims_text().contains(&of(PAYLOAD_BYTES_MAX)));
    assert_eq!(service.get("/v1/events").await.json()["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn data_that_receivers_would_read_differently_is_refused() {
    let service = Service::start().await;
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));

    for payload in [
        r#"{"a":1,"a":2}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"[{"b":{"x":1,"y":2,"x":1}}]"#,
        r#""\ud800""#,
        r#""\ude00\ud83d""#,
        r#"{"\ud800":1}"#,
        r#"{"$serde_json::private::Number":[[]],"$serde_json::private::Number":1}"#,
        &deep(65),
        &deep(100_000),
        &format!("{}1.10{}", r#"{"a":"#.repeat(65), "}".repeat(65)),
    ] {
        let answer = service.post_text("/v1/events", &event(payload)).await;

        let begin = payload.get(..60).unwrap_or(payload);
        assert_eq!(answer.status, 422, "{begin}: {}", answer.text);
        assert_eq!(answer.pointers(), ["/data"], "{begin}");
    }
    assert_eq!(service.post_text("/v1/events", &event(&deep(64))).await.status, 202);
    assert_eq!(service.get("/v1/events").await.json()["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_member_of_the_event_itself_may_not_come_twice() {
    let service = Service::start().await;

    for body in
        [r#"{"type":"user.created","data":1,"data":2}"#, r#"{"type":"user.created","type":"user.deleted","data":1}"#]
    {
        let answer = service.post_text("/v1/events", body).await;

        assert_eq!((answer.status, answer.pointers().len()), (422, 1), "{body}: {}", answer.text);
    }
}
