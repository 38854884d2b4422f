//! One server under test: the real binary as a child, on a database and a key of its own in a folder that goes with it.
//! However the bench ends, dropping the value ends the child.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Failure;
use crate::client::Api;

/// First start includes migrations and the first signing key.
const START_FOR_MAX: Duration = Duration::from_secs(30);
/// Short, because the time to the first healthy answer is itself a figure.
const POLL_EVERY: Duration = Duration::from_millis(2);
const LOG_LINES_SHOWN: usize = 12;
/// Guards nothing: the server it opens lives for one scenario, on loopback.
const ADMIN_KEY: &str = "load-bench-admin-key-0000000000000000000";

pub struct Server {
    child: Child,
    folder: TempDir,
    pub api: Api,
    /// From the start of the child to its first healthy answer.
    pub started_for: Duration,
}

impl Server {
    pub async fn start(binary: &Path) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("signet-load-").tempdir()?;
        let address = free_address()?;
        let mut command = command(binary, folder.path(), address)?;
        let spawned_at = Instant::now();
        let child = command.spawn().map_err(|error| format!("start {}: {error}", binary.display()))?;
        let mut server =
            Self { child, folder, api: Api { address, admin_key: ADMIN_KEY }, started_for: Duration::ZERO };
        server.wait_until_healthy(spawned_at).await?;
        server.started_for = spawned_at.elapsed();
        Ok(server)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The end of what the server printed, indented; empty when it printed nothing.
    pub fn log_end(&self) -> String {
        let log = fs::read_to_string(log_path(self.folder.path())).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let skipped = lines.len().saturating_sub(LOG_LINES_SHOWN);
        lines.iter().skip(skipped).flat_map(|line| ["\n    ", line]).collect()
    }

    async fn wait_until_healthy(&mut self, spawned_at: Instant) -> Result<(), Failure> {
        while spawned_at.elapsed() < START_FOR_MAX {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the server ended with {status}{}", self.log_end()).into());
            }
            let healthy = tokio::time::timeout(START_FOR_MAX, self.api.is_healthy()).await;
            if healthy.is_ok_and(|healthy| healthy) {
                return Ok(());
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        let seconds = START_FOR_MAX.as_secs();
        Err(format!("the server was not healthy in {seconds} s{}", self.log_end()).into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Neither can fail in a way that leaves something to do: a child that has already ended is what was wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary with nothing set but what the bench sets: no `SIGNET_` variable and no settings file leaks in.
fn command(binary: &Path, folder: &Path, address: SocketAddr) -> Result<Command, Failure> {
    let log = File::create(log_path(folder))?;
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SIGNET_") {
            command.env_remove(name);
        }
    }
    let database = folder.join("signet.db");
    command
        .current_dir(folder)
        .env("SIGNET_LISTEN", address.to_string())
        .env("SIGNET_DATABASE_URL", format!("sqlite://{}", database.display()))
        .env("SIGNET_MASTER_KEY_FILE", folder.join("master.key"))
        .env("SIGNET_ADMIN_KEY", ADMIN_KEY)
        .env("SIGNET_EGRESS_ALLOW", "127.0.0.0/8")
        .env("SIGNET_ALLOW_HTTP", "true")
        .env("SIGNET_LOG", "warn")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    Ok(command)
}

/// Free when asked. Another program may take it before the server does; the server then ends and says so.
fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn log_path(folder: &Path) -> std::path::PathBuf {
    folder.join("server.log")
}
