//! What the whole installation agrees on.

use super::{Conn, Result};

/// A value sealed under the master key, by which a wrong master key is recognised before it does harm.
pub const MASTER_KEY_CHECK: &str = "master_key_check";

/// Written again and again, to see whether writing works.
pub const READINESS: &str = "readiness";

pub async fn get(conn: &mut Conn, name: &str) -> Result<Option<String>> {
    Ok(sqlx::query_scalar("select value from settings where name = $1").bind(name).fetch_optional(conn).await?)
}

pub async fn put(conn: &mut Conn, name: &str, value: &str) -> Result<()> {
    sqlx::query(
        "insert into settings (name, value) values ($1, $2) on conflict (name) do update set value = excluded.value",
    )
    .bind(name)
    .bind(value)
    .execute(conn)
    .await?;
    Ok(())
}
