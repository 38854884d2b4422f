//! The event types that tenants described.

use bytes::Bytes;

use super::query::{FIRST, query};
use super::record::{Record, Row};
use super::{Conn, Result};
use crate::domain::catalogue::{Described, Description, Preset};
use crate::domain::event_type::EventType;
use crate::domain::id::TenantId;

/// Event types with every column that makes one, as far as the rest of the statement says.
macro_rules! event_types {
    ($rest:literal) => {
        concat!(
            "select id, name, description, is_group, schema, sample, preset, version, created_at, updated_at
             from event_types ",
            $rest
        )
    };
}

/// What all event types of a tenant come to.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub types: i64,
    /// Of schemas and samples.
    pub bytes: i64,
}

/// What is checked when an event comes in.
#[derive(Debug, Clone)]
pub struct Outline {
    pub name: EventType,
    pub version: i64,
    pub schema: Option<Bytes>,
}

/// Says that a tenant's event types change in this transaction, and keeps them for it alone until it ends; answers the
/// version that they have then, or `None` when there is no such tenant.
pub async fn touch(conn: &mut Conn, tenant_id: TenantId) -> Result<Option<i64>> {
    let row = query(
        "update tenants
         set catalogue_version = catalogue_version + 1
         where id = $1
         returning catalogue_version",
    );
    let row = row.bind(tenant_id.as_bytes()).fetch_optional(conn).await?;
    row.map(|row| Record::new("tenants", &row).int("catalogue_version")).transpose()
}

/// Which version of its event types a tenant has; 0 when nothing was ever described.
pub async fn version(conn: &mut Conn, tenant_id: TenantId) -> Result<i64> {
    let row =
        query("select catalogue_version from tenants where id = $1").bind(tenant_id.as_bytes()).fetch_optional(conn);
    row.await?.map_or(Ok(0), |row| Record::new("tenants", &row).int("catalogue_version"))
}

pub async fn size(conn: &mut Conn, tenant_id: TenantId) -> Result<Size> {
    let row = query(
        "select count(*) as types,
             cast(coalesce(sum(coalesce(length(schema), 0) + coalesce(length(sample), 0)), 0) as bigint) as bytes
         from event_types
         where tenant_id = $1",
    );
    let row = row.bind(tenant_id.as_bytes()).fetch_optional(conn).await?;
    let Some(row) = row else { return Ok(Size { types: 0, bytes: 0 }) };
    let record = Record::new("event_types", &row);
    Ok(Size { types: record.int("types")?, bytes: record.int("bytes")? })
}

pub async fn get(conn: &mut Conn, tenant_id: TenantId, name: &EventType) -> Result<Option<Described>> {
    let row = query(event_types!("where tenant_id = $1 and name = $2"));
    let row = row.bind(tenant_id.as_bytes()).bind(name.as_str()).fetch_optional(conn).await?;
    row.as_ref().map(described).transpose()
}

/// A page of a tenant's event types in the order in which they were first described, after `after`.
pub async fn list(conn: &mut Conn, tenant_id: TenantId, after: Option<[u8; 16]>, limit: u32) -> Result<Vec<Described>> {
    let rows = query(event_types!("where tenant_id = $1 and id > $2 order by id limit $3"))
        .bind(tenant_id.as_bytes())
        .bind(after.as_ref().map_or(FIRST, |id| &id[..]))
        .bind(i64::from(limit))
        .fetch_all(conn)
        .await?;
    rows.iter().map(described).collect()
}

/// All that is checked of a tenant's event types.
pub async fn outlines(conn: &mut Conn, tenant_id: TenantId) -> Result<Vec<Outline>> {
    let rows = query("select name, version, schema from event_types where tenant_id = $1 order by name");
    let rows = rows.bind(tenant_id.as_bytes()).fetch_all(conn).await?;
    let outline = |row: &Row| {
        let record = Record::new("event_types", row);
        Ok(Outline { name: name(&record)?, version: record.int("version")?, schema: record.bytes_or_null("schema")? })
    };
    rows.iter().map(outline).collect()
}

/// Writes an event type, instead of the one of this name if there is one.
pub async fn put(conn: &mut Conn, tenant_id: TenantId, described: &Described) -> Result<()> {
    let Described { id, name, description, version, created_at, updated_at } = described;
    query(
        "insert into event_types
             (tenant_id, name, id, description, is_group, schema, sample, preset, version, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         on conflict (tenant_id, name) do update
         set description = excluded.description, is_group = excluded.is_group, schema = excluded.schema,
             sample = excluded.sample, preset = excluded.preset, version = excluded.version,
             updated_at = excluded.updated_at",
    )
    .bind(tenant_id.as_bytes())
    .bind(name.as_str())
    .bind(id)
    .bind(&description.text)
    .bind(i64::from(description.is_group))
    .bind(description.schema.as_deref())
    .bind(description.sample.as_deref())
    .bind(description.preset.map(Preset::as_str))
    .bind(*version)
    .bind(created_at.as_micros())
    .bind(updated_at.as_micros())
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes an event type; answers whether there was one.
pub async fn delete(conn: &mut Conn, tenant_id: TenantId, name: &EventType) -> Result<bool> {
    let deleted = query("delete from event_types where tenant_id = $1 and name = $2");
    Ok(deleted.bind(tenant_id.as_bytes()).bind(name.as_str()).execute(conn).await? == 1)
}

fn described(row: &Row) -> Result<Described> {
    let record = Record::new("event_types", row);
    let preset = match record.text_or_null("preset")? {
        None => None,
        Some(_) => Some(record.word("preset", Preset::parse)?),
    };
    Ok(Described {
        id: record.id("id")?,
        name: name(&record)?,
        description: Description {
            text: record.text("description")?,
            is_group: record.int("is_group")? == 1,
            schema: record.bytes_or_null("schema")?,
            sample: record.bytes_or_null("sample")?,
            preset,
        },
        version: record.int("version")?,
        created_at: record.instant("created_at")?,
        updated_at: record.instant("updated_at")?,
    })
}

fn name(record: &Record<'_>) -> Result<EventType> {
    record.word("name", |text| text.parse().ok())
}
