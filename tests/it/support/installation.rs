//! The real binary as a child process, on a database, a master key and a port of its own. However a test ends, its
//! children end with it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use signet::config::SETTINGS;
use signet::engine::clock::Clock;
use tempfile::TempDir;

use super::{ADMIN_KEY, Answer, database, send, until, with_json};

/// A folder in which the binary is started again and again, and the address at which it then listens.
pub struct Installation {
    folder: TempDir,
    database_url: String,
    master_key_file: PathBuf,
    /// What the binary is told besides.
    environment: Vec<(String, String)>,
    port: u16,
    client: Client,
}

/// A running child.
pub struct Running {
    child: Child,
    log: PathBuf,
}

/// How a child ended.
#[derive(Debug)]
pub struct Ended {
    /// `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it said on both outputs.
    pub said: String,
}

impl Installation {
    pub fn new() -> Self {
        Self::on(database::fresh)
    }

    /// The same on SQLite, whatever the tests run on.
    pub fn on_sqlite() -> Self {
        Self::on(database::fresh_sqlite)
    }

    /// The same on PostgreSQL, whatever the tests run on.
    pub fn on_postgres() -> Self {
        Self::on(|_| database::fresh_postgres())
    }

    /// The same, told more.
    pub fn with(mut self, environment: &[(&str, &str)]) -> Self {
        let told = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.environment.extend(told);
        self
    }

    fn on(fresh: impl FnOnce(&Path) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database_url = fresh(folder.path());
        let master_key_file = folder.path().join("master.key");
        let client = Client::builder().no_proxy().build().unwrap();
        let (environment, port) = (Vec::new(), port_for_children());
        Self { folder, database_url, master_key_file, environment, port, client }
    }

    /// Another node, which is told to use the database and the master key of this one.
    pub fn beside(&self) -> Self {
        let master_key_file = self.master_key_file.clone();
        let environment = self.environment.clone();
        Self { master_key_file, environment, ..Self::on(|_| self.database_url.clone()) }
    }

    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    pub fn master_key_file(&self) -> &Path {
        &self.master_key_file
    }

    /// Changes the database behind the server's back.
    pub async fn tamper(&self, statements: &str) {
        database::tamper(&self.database_url, statements).await;
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Starts the server and does not wait for it.
    pub fn spawn(&self) -> Running {
        self.start(&["serve"], "server.log")
    }

    /// Starts another command beside the server, and does not wait for it.
    pub fn begin(&self, words: &[&str]) -> Running {
        self.start(words, "command.log")
    }

    /// Has another command done beside the server; answers what it said, if it went well.
    pub async fn done(&self, words: &[&str]) -> String {
        let ended = self.begin(words).ended().await;
        assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.said);
        ended.said
    }

    fn start(&self, words: &[&str], log: &str) -> Running {
        let log = self.folder.path().join(log);
        let output = File::create(&log).unwrap();
        let mut command = self.command(words);
        command.stdout(output.try_clone().unwrap()).stderr(output);
        Running { child: command.spawn().unwrap(), log }
    }

    /// Runs a command to its end, beside a server that may be running.
    pub fn run(&self, words: &[&str]) -> Ended {
        let output = self.command(words).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        Ended { code: output.status.code(), said: String::from_utf8_lossy(&said).into_owned() }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_signet"));
        for setting in SETTINGS {
            command.env_remove(setting.variable);
        }
        command
            .args(words)
            .current_dir(self.folder.path())
            .env("SIGNET_LISTEN", format!("127.0.0.1:{}", self.port))
            .env("SIGNET_DATABASE_URL", &self.database_url)
            .env("SIGNET_MASTER_KEY_FILE", &self.master_key_file)
            .env("SIGNET_ADMIN_KEY", ADMIN_KEY)
            .env("SIGNET_EGRESS_ALLOW", "127.0.0.0/8")
            .env("SIGNET_ALLOW_HTTP", "true")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// Starts the server and waits until it is ready.
    pub async fn serve(&self) -> Running {
        let mut running = self.spawn();
        until(async || {
            assert!(running.child.try_wait().unwrap().is_none(), "the server ended: {}", running.said());
            let ready = self.client.get(format!("{}/readyz", self.url())).send().await.ok()?;
            ready.status().is_success().then_some(())
        })
        .await;
        running
    }

    /// A request as the operator.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url())).bearer_auth(ADMIN_KEY)
    }

    /// A request as nobody.
    pub fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url()))
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    /// Posts what must be accepted, and answers the id of what was made.
    pub async fn make(&self, path: &str, body: &Value) -> String {
        let answer = send(with_json(self.request(Method::POST, path), &body.to_string())).await;
        assert!((200..300).contains(&answer.status), "{}", answer.text);
        answer.json()["id"].as_str().unwrap().to_owned()
    }
}

impl Running {
    /// Ends it with SIGKILL: it is not asked, and nothing of it runs any more.
    pub fn kill(mut self) {
        self.end();
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, as a service manager does.
    pub fn terminate(&self) {
        let asked = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.child.id())]).status().unwrap();
        assert!(asked.success());
    }

    /// Waits until it ends by itself.
    pub async fn ended(mut self) -> Ended {
        let status = until(async || self.child.try_wait().unwrap()).await;
        Ended { code: status.code(), said: self.said() }
    }

    /// What it has said so far, on both outputs.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn end(&mut self) {
        // Neither can fail in a way that leaves something to do: a child that has ended is what was wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// Puts a copy of one file in the place of another, as an operator does who mixes up two installations.
pub fn replace(path: &Path, with: &Path) {
    fs::remove_file(path).unwrap();
    fs::copy(with, path).unwrap();
}

/// A port that no outgoing connection is given. Otherwise, while a killed server is away, a client that knocks at its
/// port could be given that very port, reach itself, and keep the next server from it.
fn port_for_children() -> u16 {
    let clock = Clock::system();
    let drawn = std::iter::repeat_with(|| 10_000 + u16::from_be_bytes(clock.secret_bytes().unwrap()) % 20_000);
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    drawn.take(1_000).find(is_free).expect("one of a thousand ports is free")
}

/// Waits for an instant that nobody foresees, at most this far away.
pub async fn an_unforeseen_instant(within: Duration) {
    let dice: [u8; 2] = Clock::system().secret_bytes().unwrap();
    let share = f64::from(u16::from_be_bytes(dice)) / f64::from(u16::MAX);
    tokio::time::sleep(within.mul_f64(share)).await;
}
