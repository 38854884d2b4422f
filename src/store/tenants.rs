//! Tenants.

use std::time::Duration;

use super::query::{FIRST, Query, query};
use super::record::{Record, Row};
use super::{Conn, Result, settings};
use crate::domain::catalogue::Rules;
use crate::domain::dialect::{Dialect, EventBase, HeaderPrefix, SignatureScheme};
use crate::domain::id::TenantId;
use crate::domain::key_ring::{CutOver, KeyPolicy, Margins, Profile, ServiceTime};
use crate::domain::tenant::Tenant;
use crate::domain::token::{Algorithm, TokenTtl};

/// Tenants with every column that makes one, as far as the rest of the statement says.
macro_rules! tenants {
    ($rest:literal) => {
        concat!(
            "select id, name, is_default, algorithm, token_subject, token_ttl_seconds, keys_version, created_at,
                    key_profile, key_period_seconds, key_publish_ahead_seconds, key_grace_seconds, next_algorithm,
                    cut_over_at, catalogue_is_closed, catalogue_enforces_schema, header_prefix, signature_scheme,
                    event_base
             from tenants ",
            $rest
        )
    };
}

pub async fn insert(conn: &mut Conn, tenant: &Tenant) -> Result<()> {
    query(
        "insert into tenants
             (id, keys_version, is_default, created_at, name, token_subject, token_ttl_seconds, algorithm,
              next_algorithm, cut_over_at, key_profile, key_period_seconds, key_publish_ahead_seconds,
              key_grace_seconds, catalogue_is_closed, catalogue_enforces_schema, header_prefix, signature_scheme,
              event_base)
         values ($1, 0, $17, $18, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    )
    .of_tenant(tenant)
    .bind(i64::from(tenant.is_default))
    .bind(tenant.created_at.as_micros())
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes what can be changed of a tenant.
pub async fn update(conn: &mut Conn, tenant: &Tenant) -> Result<()> {
    query(
        "update tenants
         set name = $2, token_subject = $3, token_ttl_seconds = $4, algorithm = $5, next_algorithm = $6,
             cut_over_at = $7, key_profile = $8, key_period_seconds = $9, key_publish_ahead_seconds = $10,
             key_grace_seconds = $11, catalogue_is_closed = $12, catalogue_enforces_schema = $13,
             header_prefix = $14, signature_scheme = $15, event_base = $16
         where id = $1",
    )
    .of_tenant(tenant)
    .execute(conn)
    .await?;
    Ok(())
}

impl<'q> Query<'q> {
    /// Who it is, and what can be changed.
    fn of_tenant(self, tenant: &'q Tenant) -> Self {
        let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        let margins = tenant.key_policy.map(|policy| policy.margins());
        self.bind(tenant.id.as_bytes())
            .bind(&tenant.name)
            .bind(&tenant.token_subject)
            .bind(i64::from(tenant.token_ttl.as_seconds()))
            .bind(tenant.algorithm.as_str())
            .bind(tenant.cut_over.map(|cut_over| cut_over.algorithm.as_str()))
            .bind(tenant.cut_over.map(|cut_over| cut_over.at.as_micros()))
            .bind(tenant.key_policy.map(|policy| policy.profile().as_str()))
            .bind(margins.map(|margins| seconds(margins.period)))
            .bind(margins.map(|margins| seconds(margins.publish_ahead)))
            .bind(margins.map(|margins| seconds(margins.grace)))
            .bind(i64::from(tenant.catalogue.is_closed))
            .bind(i64::from(tenant.catalogue.enforces_schema))
            .bind(tenant.dialect.prefix.as_str())
            .bind(tenant.dialect.scheme.as_str())
            .bind(tenant.dialect.event_base.as_ref().map(EventBase::as_str))
    }
}

pub async fn default(conn: &mut Conn) -> Result<Option<Tenant>> {
    let row = query(tenants!("where is_default = 1")).fetch_optional(conn).await?;
    row.as_ref().map(tenant).transpose()
}

/// A page of tenants by id, after `after`.
pub async fn list(conn: &mut Conn, after: Option<TenantId>, limit: u32) -> Result<Vec<Tenant>> {
    let rows = query(tenants!("where id > $1 order by id limit $2"))
        .bind(after.as_ref().map_or(FIRST, |id| &id.as_bytes()[..]))
        .bind(i64::from(limit))
        .fetch_all(conn)
        .await?;
    rows.iter().map(tenant).collect()
}

/// Says that a tenant or its keys changed, so that every node loads them again; answers the version in which they do.
///
/// The number comes from one row that is changed first, so of two transactions the one with the smaller number is
/// committed first: whoever has seen a number has seen every smaller one.
pub async fn touch_keys(conn: &mut Conn, id: TenantId) -> Result<i64> {
    count_version(conn).await?;
    let rows = query(
        "update tenants
         set keys_version = (select cast(value as bigint) from settings where name = $2)
         where id = $1
         returning keys_version",
    )
    .bind(id.as_bytes())
    .bind(settings::KEYS_VERSION)
    .fetch_all(conn)
    .await?;
    rows.first().map_or(Ok(0), |row| Record::new("tenants", row).int("keys_version"))
}

/// Keeps the count of versions for this transaction alone, as whoever changes keys does: what is changed beside it is seen
/// by all who publish a key after it.
pub async fn hold_versions(conn: &mut Conn) -> Result<()> {
    query("update settings set value = value where name = $1").bind(settings::KEYS_VERSION).execute(conn).await?;
    Ok(())
}

/// Keeps a tenant's row for this transaction alone, so that what is decided about its keys is decided by one at a time;
/// answers the tenant. On SQLite every transaction that writes is alone already.
pub async fn hold(conn: &mut Conn, id: TenantId) -> Result<Option<Tenant>> {
    let text = if conn.is_sqlite() { tenants!("where id = $1") } else { tenants!("where id = $1 for no key update") };
    let row = query(text).bind(id.as_bytes()).fetch_optional(conn).await?;
    row.as_ref().map(tenant).transpose()
}

/// Says the same of every tenant with an announced key that was missed at this moment.
pub async fn touch_missed(conn: &mut Conn, at: ServiceTime) -> Result<()> {
    count_version(conn).await?;
    query(
        "update tenants
         set keys_version = (select cast(value as bigint) from settings where name = $2)
         where id in (
             select tenant_id from signing_keys where state = 'pending' and missed_service_time = $1
         )",
    )
    .bind(i64::try_from(at.as_micros()).unwrap_or(i64::MAX))
    .bind(settings::KEYS_VERSION)
    .execute(conn)
    .await?;
    Ok(())
}

async fn count_version(conn: &mut Conn) -> Result<()> {
    query(
        "insert into settings (name, value)
         values ($1, '1')
         on conflict (name) do update set value = cast(1 + (
             select case
                 when cast(settings.value as bigint) > coalesce(max(keys_version), 0) then cast(settings.value as bigint)
                 else max(keys_version)
             end
             from tenants
         ) as text)",
    )
    .bind(settings::KEYS_VERSION)
    .execute(conn)
    .await?;
    Ok(())
}

/// The version of the tenant whose keys changed last.
pub async fn newest_version(conn: &mut Conn) -> Result<i64> {
    let row = query("select max(keys_version) as keys_version from tenants").fetch_optional(conn).await?;
    let newest = row.as_ref().map_or(Ok(None), |row| Record::new("tenants", row).int_or_null("keys_version"))?;
    Ok(newest.unwrap_or(0))
}

/// Tenants whose keys changed after `version`, with their versions, oldest change first. A damaged record spoils nothing
/// but itself.
pub async fn changed_since(conn: &mut Conn, version: i64, limit: u32) -> Result<Vec<(i64, Result<Tenant>)>> {
    let rows = query(tenants!("where keys_version > $1 order by keys_version limit $2"))
        .bind(version)
        .bind(i64::from(limit))
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| Ok((Record::new("tenants", row).int("keys_version")?, tenant(row)))).collect()
}

fn tenant(row: &Row) -> Result<Tenant> {
    let record = Record::new("tenants", row);
    Ok(Tenant {
        id: TenantId::from_bytes(record.id("id")?),
        name: record.text("name")?,
        is_default: record.int("is_default")? == 1,
        algorithm: record.word("algorithm", Algorithm::parse)?,
        cut_over: cut_over(&record)?,
        key_policy: key_policy(&record)?,
        token_subject: record.text("token_subject")?,
        token_ttl: TokenTtl::from_seconds(record.int("token_ttl_seconds")?)
            .map_err(|_| record.corrupt("token_ttl_seconds", "out of range"))?,
        dialect: dialect(&record)?,
        catalogue: Rules {
            is_closed: record.int("catalogue_is_closed")? == 1,
            enforces_schema: record.int("catalogue_enforces_schema")? == 1,
        },
        created_at: record.instant("created_at")?,
    })
}

fn dialect(record: &Record<'_>) -> Result<Dialect> {
    let event_base = record.text_or_null("event_base")?;
    let event_base = event_base.map(|base| EventBase::parse(&base)).transpose();
    Ok(Dialect {
        prefix: record.word("header_prefix", |text| HeaderPrefix::parse(text).ok())?,
        scheme: record.word("signature_scheme", SignatureScheme::parse)?,
        event_base: event_base.map_err(|_| record.corrupt("event_base", "no beginning of a URI"))?,
    })
}

fn cut_over(record: &Record<'_>) -> Result<Option<CutOver>> {
    let Some(at) = record.instant_or_null("cut_over_at")? else { return Ok(None) };
    Ok(Some(CutOver { algorithm: record.word("next_algorithm", Algorithm::parse)?, at }))
}

fn key_policy(record: &Record<'_>) -> Result<Option<KeyPolicy>> {
    if record.text_or_null("key_profile")?.is_none() {
        return Ok(None);
    }
    let span = |column| record.count(column).map(|seconds| Duration::from_secs(u64::from(seconds)));
    let margins = Margins {
        period: span("key_period_seconds")?,
        publish_ahead: span("key_publish_ahead_seconds")?,
        grace: span("key_grace_seconds")?,
    };
    // Margins that were possible once need not be any more: then the installation's are safe.
    Ok(KeyPolicy::new(record.word("key_profile", Profile::parse)?, margins).ok())
}
