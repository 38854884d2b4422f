//! One server under test: the real binary as a child, in a home that it may share with others. However the bench ends,
//! dropping the value ends the child.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::client::Api;
use crate::home::Home;

/// First start includes migrations and the first signing key.
const START_FOR_MAX: Duration = Duration::from_secs(30);
/// Short, because the time to the first healthy answer is itself a figure.
const POLL_EVERY: Duration = Duration::from_millis(2);
const LOG_LINES_SHOWN: usize = 12;
/// Guards nothing: the server it opens lives for one scenario, on loopback.
const ADMIN_KEY: &str = "load-bench-admin-key-0000000000000000000";

pub struct Server {
    child: Child,
    log: PathBuf,
    pub api: Api,
    /// From the start of the child to its first healthy answer.
    pub started_for: Duration,
}

impl Server {
    /// At one of the home's addresses, also when a server has been there before.
    pub async fn start(binary: &Path, home: &Home, address: SocketAddr) -> Result<Self, Failure> {
        let log = home.folder().join(format!("server-{}.log", address.port()));
        let mut command = command(binary, home, address);
        let output = File::options().create(true).append(true).open(&log)?;
        command.stdout(output.try_clone()?).stderr(output);
        let spawned_at = Instant::now();
        let child = command.spawn().map_err(|error| format!("start {}: {error}", binary.display()))?;
        let mut server =
            Self { child, log, api: Api { address, admin_key: ADMIN_KEY, tenant: None }, started_for: Duration::ZERO };
        server.wait_until_healthy(spawned_at).await?;
        server.started_for = spawned_at.elapsed();
        Ok(server)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// At once and without a word, as the kernel would. Returns when it has happened.
    pub fn kill(&mut self) -> io::Result<Instant> {
        self.child.kill()?;
        let killed_at = Instant::now();
        self.child.wait()?;
        Ok(killed_at)
    }

    /// The end of what the server printed, indented; empty when it printed nothing.
    pub fn log_end(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
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
fn command(binary: &Path, home: &Home, address: SocketAddr) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SIGNET_") {
            command.env_remove(name);
        }
    }
    if let Some(first) = home.addresses.first() {
        command.env("SIGNET_PUBLIC_URL", format!("http://{first}"));
    }
    command
        .current_dir(home.folder())
        .env("SIGNET_LISTEN", address.to_string())
        .env("SIGNET_DATABASE_URL", &home.database_url)
        .env("SIGNET_MASTER_KEY_FILE", home.folder().join("master.key"))
        .env("SIGNET_ADMIN_KEY", ADMIN_KEY)
        .env("SIGNET_EGRESS_ALLOW", "127.0.0.0/8")
        .env("SIGNET_ALLOW_HTTP", "true")
        .env("SIGNET_LOG", "warn")
        .stdin(Stdio::null());
    command
}

/// Free when asked. Another program may take one before the server does; the server then ends and says so.
pub fn free_addresses(count: usize) -> io::Result<Vec<SocketAddr>> {
    // All are bound before the first is let go, or the same one would be free again.
    let listeners: io::Result<Vec<TcpListener>> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect();
    listeners?.iter().map(TcpListener::local_addr).collect()
}
