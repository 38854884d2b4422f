//! What the whole installation agrees on.

use super::query::query;
use super::record::Record;
use super::{Conn, Result, StoreError};

/// A value sealed under the current master key, which it names by that. A wrong master key is recognised by it before it
/// does harm.
pub const MASTER_KEY_CHECK: &str = "master_key_check";

/// When the current master key became that, in microseconds.
pub const MASTER_KEY_SINCE: &str = "master_key_since";

/// Written again and again, to see whether writing works.
pub const READINESS: &str = "readiness";

/// How often a tenant's keys were changed, of whichever tenant.
pub(super) const KEYS_VERSION: &str = "keys_version";

/// Time that nodes have measured, in microseconds.
pub(super) const SERVICE_TIME: &str = "service_time";

/// When a node was last lost, in service time.
pub(super) const NODE_LOST: &str = "node_lost";

/// Changed by whoever makes what a first start lacks, so that of several nodes one makes it and the others find it.
const FIRST_START: &str = "first_start";

/// Changed by whoever writes into the installation's audit log, so that its entries are written one after the other.
pub(super) const AUDIT: &str = "audit";

/// Changed by whoever sweeps, so that one node does it at a time.
pub(super) const SWEEP: &str = "sweep";

/// Changed by whoever makes webhooks what the configuration declares, so that of several nodes one does it at a time.
const DECLARED: &str = "declared";

/// Keeps every other transaction that makes webhooks what the configuration declares waiting until this one ends.
pub async fn hold_declared(conn: &mut Conn) -> Result<()> {
    put(conn, DECLARED, "").await
}

/// Keeps every other transaction that makes what a first start lacks waiting until this one ends.
pub async fn hold_first_start(conn: &mut Conn) -> Result<()> {
    put(conn, FIRST_START, "").await
}

/// The version of the installation's keys.
pub async fn keys_version(conn: &mut Conn) -> Result<i64> {
    let corrupt = StoreError::Corrupt { table: "settings", column: "value", why: "not a number" };
    let version = get(conn, KEYS_VERSION).await?;
    version.map_or(Ok(0), |version| version.parse().map_err(|_| corrupt))
}

pub async fn get(conn: &mut Conn, name: &str) -> Result<Option<String>> {
    let row = query("select value from settings where name = $1").bind(name).fetch_optional(conn).await?;
    row.as_ref().map(|row| Record::new("settings", row).text("value")).transpose()
}

/// The same, and until this transaction ends nobody puts another value there.
pub async fn get_held(conn: &mut Conn, name: &str) -> Result<Option<String>> {
    // On SQLite every transaction that writes is alone already.
    let text = match conn.is_sqlite() {
        true => "select value from settings where name = $1",
        false => "select value from settings where name = $1 for share",
    };
    let row = query(text).bind(name).fetch_optional(conn).await?;
    row.as_ref().map(|row| Record::new("settings", row).text("value")).transpose()
}

pub async fn put(conn: &mut Conn, name: &str, value: &str) -> Result<()> {
    query("insert into settings (name, value) values ($1, $2) on conflict (name) do update set value = excluded.value")
        .bind(name)
        .bind(value)
        .execute(conn)
        .await?;
    Ok(())
}
