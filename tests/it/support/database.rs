//! Which database the tests run on: SQLite in a temporary folder, or PostgreSQL when `SIGNET_TEST_DATABASE` says so.
//! `tests/postgres.sh` starts the PostgreSQL that they then find at `SIGNET_TEST_POSTGRES`.

use std::path::Path;
use std::process::Command;

use signet::engine::clock::Clock;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqliteConnection};

/// Whether the tests run on PostgreSQL.
#[expect(clippy::disallowed_methods, reason = "what tests run on is no setting of the server")]
pub fn is_postgres() -> bool {
    match std::env::var("SIGNET_TEST_DATABASE").as_deref() {
        Ok("postgres") => true,
        Ok("sqlite") | Err(_) => false,
        Ok(other) => panic!("SIGNET_TEST_DATABASE is sqlite or postgres, not {other}"),
    }
}

/// The URL of a database that nobody else uses and that has no tables yet.
pub fn fresh(folder: &Path) -> String {
    if is_postgres() { fresh_postgres() } else { fresh_sqlite(folder) }
}

/// The same on SQLite, whatever the tests run on.
pub fn fresh_sqlite(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("signet.db").display())
}

/// The same on PostgreSQL, whatever the tests run on: a schema of its own, which takes a tenth of the time of a database
/// of its own.
pub fn fresh_postgres() -> String {
    let url = postgres();
    let id: [u8; 16] = Clock::system().id();
    let schema = format!("test_{:032x}", u128::from_be_bytes(id));
    let create = AssertSqlSafe(format!("create schema {schema}"));
    on_a_runtime_of_its_own(async {
        let mut conn = PgConnection::connect(&url).await.unwrap();
        conn.execute(sqlx::raw_sql(create)).await.unwrap();
    });
    format!("{url}?options=-c%20search_path%3D{schema}")
}

/// Changes a database behind its server's back, as somebody does who has its password or its file.
pub async fn tamper(url: &str, statements: &str) {
    let statements = sqlx::raw_sql(AssertSqlSafe(statements.to_owned()));
    if url.starts_with("sqlite://") {
        SqliteConnection::connect(url).await.unwrap().execute(statements).await.unwrap();
    } else {
        PgConnection::connect(url).await.unwrap().execute(statements).await.unwrap();
    }
}

/// Every byte that the tables of a database hold. On SQLite, what its files hold, and the write-ahead log with them.
pub async fn bytes(url: &str) -> Vec<u8> {
    if let Some(path) = url.strip_prefix("sqlite://") {
        return [std::fs::read(path).unwrap(), std::fs::read(format!("{path}-wal")).unwrap()].concat();
    }
    let mut conn = PgConnection::connect(url).await.unwrap();
    let tables = sqlx::query_scalar::<_, String>(
        "select table_name::text from information_schema.tables where table_schema = current_schema()",
    );
    let mut bytes = Vec::new();
    for table in tables.fetch_all(&mut conn).await.unwrap() {
        let rows = AssertSqlSafe(format!("select t::text from {table} t"));
        let rows = sqlx::query_scalar::<_, String>(rows).fetch_all(&mut conn).await.unwrap();
        bytes.extend(rows.concat().into_bytes());
    }
    bytes
}

/// A file in which something may be found.
pub struct Hay {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// The file that PostgreSQL writes its log of changes to now; `None` on SQLite.
pub async fn wal_file(url: &str) -> Option<String> {
    let mut conn = PgConnection::connect(url.starts_with("postgres").then_some(url)?).await.unwrap();
    let file = sqlx::query_scalar("select pg_walfile_name(pg_current_wal_lsn())").fetch_one(&mut conn).await;
    Some(file.unwrap())
}

/// Every file that a database was written to, and what a backup of it holds. Of PostgreSQL's log of changes, the files
/// from this one on.
pub async fn files(url: &str, wal_from: Option<&str>) -> Vec<Hay> {
    let read = |path: &Path| Hay { name: path.display().to_string(), bytes: std::fs::read(path).unwrap() };
    if let Some(path) = url.strip_prefix("sqlite://") {
        let files = ["", "-wal", "-shm", "-journal"].map(|suffix| format!("{path}{suffix}"));
        return files.iter().map(Path::new).filter(|path| path.exists()).map(read).collect();
    }
    let mut conn = PgConnection::connect(url).await.unwrap();
    conn.execute("checkpoint").await.unwrap();
    let folder: String = sqlx::query_scalar("show data_directory").fetch_one(&mut conn).await.unwrap();
    let schema: String = sqlx::query_scalar("select current_schema()::text").fetch_one(&mut conn).await.unwrap();
    let relations = sqlx::query_scalar::<_, String>(
        "select pg_relation_filepath(c.oid)
         from pg_class c
         where pg_relation_filepath(c.oid) is not null
           and (c.relnamespace = current_schema()::regnamespace
                or c.oid in (select reltoastrelid from pg_class where relnamespace = current_schema()::regnamespace))",
    );
    let mut paths = relations.fetch_all(&mut conn).await.unwrap();
    let wal =
        "select 'pg_wal/' || name from pg_ls_waldir() where name between $1 and pg_walfile_name(pg_current_wal_lsn())";
    paths.extend(sqlx::query_scalar::<_, String>(wal).bind(wal_from).fetch_all(&mut conn).await.unwrap());
    // What the server says, where `tests/postgres.sh` has it say so.
    paths.push("../log".to_owned());
    let mut files: Vec<Hay> = paths.iter().map(|path| read(&Path::new(&folder).join(path))).collect();
    for format in ["plain", "custom"] {
        let mut dump = Command::new("pg_dump");
        dump.arg(url).args(["--schema", &schema, "--compress", "0", "--format", format]);
        let output = dump.output().expect("tests/postgres.sh puts pg_dump where it is found");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        files.push(Hay { name: format!("pg_dump --format {format}"), bytes: output.stdout });
    }
    files
}

/// Runs a statement on a database; answers how many rows it changed.
pub async fn execute(url: &str, statement: &str) -> u64 {
    let statement = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()));
    if url.starts_with("sqlite://") {
        let mut conn = SqliteConnection::connect(url).await.unwrap();
        return conn.execute(statement).await.unwrap().rows_affected();
    }
    let mut conn = PgConnection::connect(url).await.unwrap();
    conn.execute(statement).await.unwrap().rows_affected()
}

#[expect(clippy::disallowed_methods, reason = "what tests run on is no setting of the server")]
fn postgres() -> String {
    std::env::var("SIGNET_TEST_POSTGRES").expect("run this as `tests/postgres.sh cargo …`, which starts a PostgreSQL")
}

/// Waits for something from whichever kind of test, one that has a runtime already or one that has none.
fn on_a_runtime_of_its_own(what: impl Future<Output = ()> + Send) {
    std::thread::scope(|scope| {
        scope.spawn(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(what));
    });
}
