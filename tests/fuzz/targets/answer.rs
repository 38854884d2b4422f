//! Whatever a receiver answers, it is an answer or a failure, within its bounds.
#![no_main]

use std::cell::RefCell;
use std::time::Duration;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use signet::domain::time::Timestamp;
use signet::domain::webhook::CustomHeaders;
use signet::egress::{AddressPolicy, EXCERPT_BYTES_MAX, Egress, Parcel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use url::Url;

struct Stage {
    runtime: Runtime,
    listener: TcpListener,
    egress: Egress,
    url: Url,
}

fn stage() -> Stage {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let policy = AddressPolicy::allowing(vec!["127.0.0.0/8".parse().unwrap()]);
    let egress = runtime.block_on(async { Egress::new(policy) }).unwrap();
    Stage { runtime, listener, egress, url }
}

thread_local! {
    static STAGE: RefCell<Stage> = RefCell::new(stage());
}

fuzz_target!(|answer: &[u8]| {
    STAGE.with_borrow(|stage| {
        let custom = CustomHeaders::default();
        let parcel = Parcel {
            url: &stage.url,
            content_type: "application/json",
            headers: &[],
            own_headers: &[],
            custom: &custom,
            body: Bytes::from_static(b"{}"),
            timeout: Some(Duration::from_secs(5)),
        };
        let serving = async {
            // A connection that was kept is closed by the end of the one before.
            let (mut stream, _) = stage.listener.accept().await.unwrap();
            let mut request = [0; 4_096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer).await;
        };
        let egress = stage.egress.with_own_connections().unwrap();
        let posting = egress.post(parcel, Timestamp::from_micros(0));
        let (reply, ()) = stage.runtime.block_on(async { tokio::join!(posting, serving) });
        if let Ok(reply) = reply {
            assert!(reply.excerpt.len() <= EXCERPT_BYTES_MAX);
            assert!(!reply.excerpt.contains('\0'));
        }
    });
});
