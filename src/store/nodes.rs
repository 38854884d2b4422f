//! The nodes that work on this database, each with a count that it raises for as long as it lives.

use super::query::query;
use super::record::{Record, Row};
use super::{Conn, Result};
use crate::domain::id::NodeId;
use crate::domain::time::Timestamp;

/// A node as the others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    pub id: NodeId,
    pub beats: i64,
    /// The version of the keys that it serves.
    pub jwks_version: i64,
}

/// What a node says of itself with every beat.
#[derive(Debug, Clone)]
pub struct Beat {
    pub id: NodeId,
    pub started_at: Timestamp,
    /// The version of the keys that it serves.
    pub jwks_version: i64,
    /// The ids of the master keys that it holds, joined by spaces.
    pub master_key_ids: String,
}

/// Counts a node's life on by one; the first time, enters it.
pub async fn beat(conn: &mut Conn, beat: &Beat) -> Result<()> {
    query(
        "insert into nodes (id, beats, started_at, jwks_version, master_key_ids)
         values ($1, 1, $2, $3, $4)
         on conflict (id) do update
         set beats = nodes.beats + 1, jwks_version = excluded.jwks_version, master_key_ids = excluded.master_key_ids",
    )
    .bind(beat.id.as_bytes())
    .bind(beat.started_at.as_micros())
    .bind(beat.jwks_version)
    .bind(&beat.master_key_ids)
    .execute(conn)
    .await?;
    Ok(())
}

/// Says which version of the keys a node serves, if it is entered.
pub async fn report(conn: &mut Conn, id: NodeId, jwks_version: i64) -> Result<()> {
    query("update nodes set jwks_version = $2 where id = $1")
        .bind(id.as_bytes())
        .bind(jwks_version)
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether the others count on a node: when it falls silent, they will notice.
pub async fn is_entered(conn: &mut Conn, id: NodeId) -> Result<bool> {
    Ok(query("select 1 from nodes where id = $1").bind(id.as_bytes()).fetch_optional(conn).await?.is_some())
}

/// Every node that does not say that it holds this master key.
pub async fn lacking_master_key(conn: &mut Conn, master_key_id: &str) -> Result<Vec<Node>> {
    let rows = query("select id, beats, jwks_version, master_key_ids from nodes order by id").fetch_all(conn).await?;
    let mut lacking = Vec::new();
    for row in &rows {
        let held = Record::new("nodes", row).text("master_key_ids")?;
        if held.split(' ').all(|id| id != master_key_id) {
            lacking.push(node(row)?);
        }
    }
    Ok(lacking)
}

pub async fn list(conn: &mut Conn) -> Result<Vec<Node>> {
    let rows = query("select id, beats, jwks_version from nodes order by id").fetch_all(conn).await?;
    rows.iter().map(node).collect()
}

fn node(row: &Row) -> Result<Node> {
    let record = Record::new("nodes", row);
    Ok(Node {
        id: NodeId::from_bytes(record.id("id")?),
        beats: record.int("beats")?,
        jwks_version: record.int("jwks_version")?,
    })
}

/// The newest version of the keys that every node serves; `None` when there is no node.
pub async fn served_version(conn: &mut Conn) -> Result<Option<i64>> {
    let row = query("select min(jwks_version) as jwks_version from nodes").fetch_optional(conn).await?;
    row.as_ref().map_or(Ok(None), |row| Record::new("nodes", row).int_or_null("jwks_version"))
}

/// What the clock of the machine says that keeps the database; `None` when that is this machine. Nothing goes by it: it
/// only shows that a node's own clock is wrong.
pub async fn clock(conn: &mut Conn) -> Result<Option<Timestamp>> {
    if conn.is_sqlite() {
        return Ok(None);
    }
    let asked = "select cast(extract(epoch from clock_timestamp()) * 1000000 as bigint) as said_at";
    let row = query(asked).fetch_optional(conn).await?;
    row.as_ref().map(|row| Record::new("nodes", row).instant("said_at")).transpose()
}

/// Strikes a node off, if its count still stands there; answers whether it was struck off.
pub async fn remove(conn: &mut Conn, node: Node) -> Result<bool> {
    let removed = query("delete from nodes where id = $1 and beats = $2")
        .bind(node.id.as_bytes())
        .bind(node.beats)
        .execute(conn)
        .await?;
    Ok(removed == 1)
}

/// Strikes a node off that ends in good order.
pub async fn leave(conn: &mut Conn, id: NodeId) -> Result<()> {
    query("delete from nodes where id = $1").bind(id.as_bytes()).execute(conn).await?;
    Ok(())
}
