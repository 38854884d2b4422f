//! The real binary on a database of its own, and a receiver that allows everything at once, on a thread of its own.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use reqwest::{Client, RequestBuilder};
use serde_json::json;
use tempfile::TempDir;

use crate::Failure;

const STARTS_WITHIN: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(10);
/// Guards nothing: the server it opens lives for one run, on loopback.
const ADMIN_KEY: &str = "hooks-bench-admin-key-000000000000000000";

/// However the bench ends, dropping it ends the server.
pub struct House {
    signet: Child,
    signet_url: String,
    receiver_url: String,
    _folder: TempDir,
}

impl House {
    pub async fn open() -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("signet-hooks-").tempdir()?;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_signet"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SIGNET_")) {
            command.env_remove(name);
        }
        let signet = command
            .current_dir(folder.path())
            .env("SIGNET_LISTEN", address.to_string())
            .env("SIGNET_ADMIN_KEY", ADMIN_KEY)
            .env("SIGNET_EGRESS_ALLOW", "127.0.0.0/8")
            .env("SIGNET_ALLOW_HTTP", "true")
            .env("SIGNET_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let receiver_url = receiver()?;
        let house = Self { signet, signet_url: format!("http://{address}"), receiver_url, _folder: folder };
        house.configure().await?;
        Ok(house)
    }

    /// Asks the receiver itself.
    pub fn direct(&self, client: &Client) -> RequestBuilder {
        client.post(&self.receiver_url)
    }

    /// Asks Signet to ask it.
    pub fn through(&self, client: &Client) -> RequestBuilder {
        client.post(format!("{}/v1/hooks/pre_sign_in", self.signet_url)).bearer_auth(ADMIN_KEY)
    }

    async fn configure(&self) -> Result<(), Failure> {
        let client = Client::builder().no_proxy().build()?;
        let healthy = async {
            while client.get(format!("{}/readyz", self.signet_url)).send().await.is_err() {
                tokio::time::sleep(POLL_EVERY).await;
            }
        };
        tokio::time::timeout(STARTS_WITHIN, healthy).await?;
        let wish = json!({"hooks": {"pre_sign_in": {"url": self.receiver_url, "on_failure": "block"}}});
        let request = client.patch(format!("{}/v1/admin/config", self.signet_url)).bearer_auth(ADMIN_KEY);
        let request = request.header("content-type", "application/json").body(wish.to_string());
        let answer = request.send().await?;
        if answer.status() == 200 { Ok(()) } else { Err(answer.text().await?.into()) }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // Neither can fail in a way that leaves something to do: a child that has already ended is what was wanted.
        let _ = self.signet.kill();
        let _ = self.signet.wait();
    }
}

/// Starts the receiver; answers where it is asked.
fn receiver() -> Result<String, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let url = format!("http://{}/hooks", listener.local_addr()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::spawn(move || {
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            axum::serve(listener, Router::new().route("/hooks", post(|| async { r#"{"allow":true}"# }))).await
        })
    });
    Ok(url)
}
