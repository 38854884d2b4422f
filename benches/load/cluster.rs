//! A PostgreSQL cluster of the bench's own: made when the bench starts, durable like one in earnest, reachable from this
//! machine alone, gone when the bench ends. It never touches a cluster that is already there.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Failure;
use crate::server::free_addresses;

/// Where Debian keeps one folder for each major version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// PostgreSQL refuses to serve as root, so root lends it this user, which its packages make.
const USER: &str = "postgres";
const PROGRAMS: [&str; 6] = ["initdb", "postgres", "pg_ctl", "pg_isready", "createdb", "dropdb"];
const START_FOR_MAX: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(20);
/// Durability is the default, and stated because the figures mean nothing without it. The sizes are those of a small
/// machine in earnest rather than of a fresh install.
const SETTINGS: [&str; 8] = [
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "autovacuum=on",
    "shared_buffers=256MB",
    "max_wal_size=2GB",
    "max_connections=200",
    "listen_addresses=127.0.0.1",
];

pub struct Cluster {
    postmaster: Child,
    programs: Programs,
    address: SocketAddr,
    pub version: String,
}

/// PostgreSQL's programs and as whom they run.
struct Programs {
    folder: PathBuf,
    owner: Option<(u32, u32)>,
    /// The cluster lives in here; its programs' working directory.
    home: TempDir,
}

impl Cluster {
    pub fn start() -> Result<Self, Failure> {
        let home = tempfile::Builder::new().prefix("signet-load-postgres-").tempdir()?;
        let owner = owner()?;
        if let Some((user, group)) = owner {
            chown(home.path(), Some(user), Some(group))?;
        }
        let programs = Programs { folder: programs_folder()?, owner, home };
        let version = String::from_utf8(programs.command("postgres").arg("--version").output()?.stdout)?;
        let options = ["-D", "cluster", "-U", USER, "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"];
        run(programs.command("initdb").args(options))?;
        let address = *free_addresses(1)?.first().ok_or("no free port")?;
        let log = File::create(programs.home.path().join("log"))?;
        let mut command = programs.command("postgres");
        command.args(["-D", "cluster", "-k", "."]).arg("-p").arg(address.port().to_string());
        command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        // A group of its own: an interrupt at the terminal is answered by dropping the cluster, after its clients.
        let postmaster = command.stdout(log.try_clone()?).stderr(log).process_group(0).spawn()?;
        let mut cluster = Self { postmaster, programs, address, version: version.trim().to_owned() };
        cluster.wait_until_ready()?;
        Ok(cluster)
    }

    pub fn pid(&self) -> u32 {
        self.postmaster.id()
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@{}/{database}", self.address)
    }

    pub fn create(&self, database: &str) -> Result<(), Failure> {
        run(self.client("createdb").arg(database))
    }

    /// Whoever is connected to it is cut off. Includes a checkpoint, so that no database pays for another's writes.
    pub fn remove(&self, database: &str) -> Result<(), Failure> {
        run(self.client("dropdb").arg("--force").arg(database))
    }

    fn client(&self, program: &str) -> Command {
        let mut command = self.programs.command(program);
        command.args(["-h", "127.0.0.1", "-U", USER, "-p"]).arg(self.address.port().to_string());
        command
    }

    fn wait_until_ready(&mut self) -> Result<(), Failure> {
        let started_at = Instant::now();
        while started_at.elapsed() < START_FOR_MAX {
            if let Some(status) = self.postmaster.try_wait()? {
                let log = fs::read_to_string(self.programs.home.path().join("log")).unwrap_or_default();
                return Err(format!("PostgreSQL ended with {status}\n{log}").into());
            }
            if self.client("pg_isready").stdout(Stdio::null()).status()?.success() {
                return Ok(());
            }
            std::thread::sleep(POLL_EVERY);
        }
        Err("PostgreSQL did not become ready".into())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let stopped = run(self.programs.command("pg_ctl").args(["stop", "-D", "cluster", "-m", "immediate"]));
        if stopped.is_err() {
            // One that has already ended is what was wanted.
            let _ = self.postmaster.kill();
        }
        let _ = self.postmaster.wait();
    }
}

impl Programs {
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.folder.join(program));
        command.current_dir(self.home.path()).stdin(Stdio::null());
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        command
    }
}

/// Fails with what the program said.
fn run(command: &mut Command) -> Result<(), Failure> {
    let program = command.get_program().to_owned();
    // Not through pipes: what it leaves running would hold them open.
    let said = tempfile::tempfile()?;
    let status = command.stdout(said.try_clone()?).stderr(said.try_clone()?).status();
    let status = status.map_err(|error| format!("start {}: {error}", program.display()))?;
    if status.success() {
        return Ok(());
    }
    let mut said = said;
    std::io::Seek::rewind(&mut said)?;
    let said = std::io::read_to_string(said)?;
    Err(format!("{} ended with {status}: {}", program.display(), said.trim()).into())
}

/// The first in PATH that has all it takes, else the latest that Debian put beside it.
fn programs_folder() -> Result<PathBuf, Failure> {
    let has_all = |folder: &PathBuf| PROGRAMS.iter().all(|program| folder.join(program).is_file());
    let path = std::env::var_os("PATH").unwrap_or_default();
    if let Some(folder) = std::env::split_paths(&path).find(has_all) {
        return Ok(folder);
    }
    let versions = fs::read_dir(DEBIAN).into_iter().flatten().filter_map(|entry| {
        let version: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let folder = Path::new(DEBIAN).join(version.to_string()).join("bin");
        has_all(&folder).then_some((version, folder))
    });
    let latest = versions.max_by_key(|(version, _)| *version);
    latest.map(|(_, folder)| folder).ok_or_else(|| "no PostgreSQL: install the package `postgresql`".into())
}

/// User and group to run as; nothing when whoever started the bench will do.
fn owner() -> Result<Option<(u32, u32)>, Failure> {
    if fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let line = users.lines().find_map(|line| line.strip_prefix(USER)?.strip_prefix(':'));
    let mut ids = line.ok_or("root needs a user `postgres` to run PostgreSQL as")?.split(':').skip(1);
    let mut id = || -> Result<u32, Failure> { Ok(ids.next().ok_or("short line in /etc/passwd")?.parse()?) };
    Ok(Some((id()?, id()?)))
}
