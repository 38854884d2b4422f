//! The nodes that work on this database, each with a count that it raises for as long as it lives.

use super::query::query;
use super::record::Record;
use super::{Conn, Result};
use crate::domain::id::NodeId;
use crate::domain::time::Timestamp;

/// A node as the others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    pub id: NodeId,
    pub beats: i64,
}

/// Counts a node's life on by one; the first time, enters it.
pub async fn beat(conn: &mut Conn, id: NodeId, started_at: Timestamp) -> Result<()> {
    query(
        "insert into nodes (id, beats, started_at)
         values ($1, 1, $2)
         on conflict (id) do update set beats = nodes.beats + 1",
    )
    .bind(id.as_bytes())
    .bind(started_at.as_micros())
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn list(conn: &mut Conn) -> Result<Vec<Node>> {
    let rows = query("select id, beats from nodes order by id").fetch_all(conn).await?;
    let nodes = rows.iter().map(|row| {
        let record = Record::new("nodes", row);
        Ok(Node { id: NodeId::from_bytes(record.id("id")?), beats: record.int("beats")? })
    });
    nodes.collect()
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
