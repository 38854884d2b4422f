//! What became of the questions to authentication hooks. Rows are added, shown, and forgotten after the retention.

use std::time::Duration;

use super::bulk::Set;
use super::query::{FIRST, LAST, query};
use super::record::{Record, Row};
use super::{Conn, Result};
use crate::domain::hook::{Execution, HookFailure, HookKind, HookOutcome};
use crate::domain::id::{ExecutionId, TenantId};
use crate::domain::time::Timestamp;

/// Executions with every column that makes one, as far as the rest of the statement says.
macro_rules! executions {
    ($rest:literal) => {
        concat!(
            "select id, tenant_id, kind, outcome, allow, reason, status_code, failure, took_for, ignored_claims,
                    created_at
             from hook_log ",
            $rest
        )
    };
}

/// Which executions are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    pub kind: Option<HookKind>,
    pub outcome: Option<HookOutcome>,
    /// Not this one, and none after it.
    pub before: Option<ExecutionId>,
    pub from: Option<ExecutionId>,
}

/// Writes down executions. One that is there already stays as it is: whoever writes it again did not hear of the commit.
pub async fn append(conn: &mut Conn, executions: &[Execution]) -> Result<()> {
    let ignored: Vec<String> = executions.iter().map(|execution| execution.ignored_claims.join(" ")).collect();
    let took_for = |execution: &Execution| i64::try_from(execution.took_for.as_micros()).unwrap_or(i64::MAX);
    let set = Set::default()
        .blobs(executions.iter().map(|execution| &execution.id.as_bytes()[..]))
        .blobs(executions.iter().map(|execution| &execution.tenant_id.as_bytes()[..]))
        .texts(executions.iter().map(|execution| execution.kind.as_str()))
        .texts(executions.iter().map(|execution| execution.outcome.as_str()))
        .ints(executions.iter().map(|execution| i64::from(execution.allow)))
        .texts(executions.iter().map(|execution| execution.reason.as_deref()))
        .ints(executions.iter().map(|execution| execution.status_code.map(i64::from)))
        .texts(executions.iter().map(|execution| execution.failure.map(HookFailure::as_str)))
        .ints(executions.iter().map(took_for))
        .texts(ignored.iter().map(String::as_str))
        .ints(executions.iter().map(|execution| execution.at.as_micros()));
    set.execute(
        conn,
        "insert into hook_log
             (id, tenant_id, kind, outcome, allow, reason, status_code, failure, took_for, ignored_claims, created_at)
         select column1, column2, column3, column4, column5, column6, column7, column8, column9, column10, column11
         from {rows}
         where true
         on conflict do nothing",
    )
    .await
}

/// The executions of a tenant that are wanted, the latest first.
pub async fn list(conn: &mut Conn, tenant_id: TenantId, filter: &Filter, limit: u32) -> Result<Vec<Execution>> {
    if filter.kind.is_none() && filter.outcome.is_none() {
        let text = executions!("where tenant_id = $1 and id >= $2 and id < $3 order by id desc limit $4");
        let rows = query(text)
            .bind(tenant_id.as_bytes())
            .bind(from(filter))
            .bind(before(filter))
            .bind(i64::from(limit))
            .fetch_all(conn)
            .await?;
        return rows.iter().map(execution).collect();
    }
    // One walk along the index for each pair, of which there are few: none reads what is not wanted.
    let mut found = Vec::new();
    for kind in HookKind::ALL.into_iter().filter(|kind| filter.kind.is_none_or(|wanted| wanted == *kind)) {
        for outcome in HookOutcome::LOGGED.into_iter().filter(|one| filter.outcome.is_none_or(|wanted| wanted == *one))
        {
            found.extend(of_pair(conn, tenant_id, (kind, outcome), filter, limit).await?);
        }
    }
    found.sort_unstable_by_key(|execution| std::cmp::Reverse(execution.id));
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(found)
}

async fn of_pair(
    conn: &mut Conn,
    tenant_id: TenantId,
    (kind, outcome): (HookKind, HookOutcome),
    filter: &Filter,
    limit: u32,
) -> Result<Vec<Execution>> {
    let text = executions!(
        "where tenant_id = $1
           and kind = $2
           and outcome = $3
           and id >= $4
           and id < $5
         order by id desc
         limit $6"
    );
    let rows = query(text)
        .bind(tenant_id.as_bytes())
        .bind(kind.as_str())
        .bind(outcome.as_str())
        .bind(from(filter))
        .bind(before(filter))
        .bind(i64::from(limit))
        .fetch_all(conn)
        .await?;
    rows.iter().map(execution).collect()
}

/// Forgets at most `limit` executions from before this instant; answers how many.
pub async fn forget(conn: &mut Conn, before: Timestamp, limit: u32) -> Result<u64> {
    let first_kept = ExecutionId::first_at(before);
    // PostgreSQL would rather go through the whole log than look up those that were found.
    let text = if conn.is_sqlite() {
        "delete from hook_log
         where id in (select id from hook_log where id < $1 order by id limit $2)"
    } else {
        "delete from hook_log
         where ctid = any (array(select ctid from hook_log where id < $1 order by id limit $2))"
    };
    query(text).bind(first_kept.as_bytes()).bind(i64::from(limit)).execute(conn).await
}

fn from(filter: &Filter) -> &[u8] {
    filter.from.as_ref().map_or(FIRST, |id| &id.as_bytes()[..])
}

fn before(filter: &Filter) -> &[u8] {
    filter.before.as_ref().map_or(LAST, |id| &id.as_bytes()[..])
}

fn execution(row: &Row) -> Result<Execution> {
    let record = Record::new("hook_log", row);
    let status_code = record.int_or_null("status_code")?.map(u16::try_from).transpose();
    let failure = record.text_or_null("failure")?.map(|word| HookFailure::parse(&word).ok_or(()));
    Ok(Execution {
        id: ExecutionId::from_bytes(record.id("id")?),
        tenant_id: TenantId::from_bytes(record.id("tenant_id")?),
        kind: record.word("kind", HookKind::parse)?,
        outcome: record.word("outcome", HookOutcome::parse)?,
        allow: record.int("allow")? == 1,
        reason: record.text_or_null("reason")?,
        status_code: status_code.map_err(|_| record.corrupt("status_code", "out of range"))?,
        failure: failure.transpose().map_err(|()| record.corrupt("failure", "an unknown word"))?,
        took_for: Duration::from_micros(u64::try_from(record.int("took_for")?).unwrap_or_default()),
        ignored_claims: record.text("ignored_claims")?.split_whitespace().map(str::to_owned).collect(),
        at: record.instant("created_at")?,
    })
}
