//! Both databases have the same tables: what is written for one is true of the other.

use std::collections::BTreeMap;

use signet::store::Store;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, Row as _, SqliteConnection};

use crate::support::database;

/// A column as both databases tell of it.
#[derive(Debug, PartialEq, Eq)]
struct Column {
    name: String,
    kind: String,
    is_nullable: bool,
    /// Its place in the primary key, counted from 1; 0 when it is no part of it.
    key_place: i64,
}

/// Tables by name, their columns in order.
type Tables = BTreeMap<String, Vec<Column>>;

/// The one word that they have different words for.
const BYTES: &str = "blob";
const BYTES_ON_POSTGRES: &str = "bytea";

async fn sqlite() -> Tables {
    let folder = tempfile::tempdir().unwrap();
    let url = database::fresh_sqlite(folder.path());
    Store::open(&url).await.unwrap().close().await;
    let mut conn = SqliteConnection::connect(&url).await.unwrap();
    let names = "select name from sqlite_schema where type = 'table' and name not like '\\_sqlx%' escape '\\'";
    let mut tables = Tables::new();
    for name in sqlx::query_scalar::<_, String>(names).fetch_all(&mut conn).await.unwrap() {
        let columns = format!(
            "select name, lower(type) as kind, \"notnull\" = 0 as is_nullable, pk as key_place
             from pragma_table_info('{name}')
             order by cid"
        );
        let columns = sqlx::query(AssertSqlSafe(columns)).fetch_all(&mut conn).await.unwrap();
        let column = |row: &sqlx::sqlite::SqliteRow| Column {
            name: row.get("name"),
            kind: row.get("kind"),
            is_nullable: row.get("is_nullable"),
            key_place: row.get("key_place"),
        };
        tables.insert(name, columns.iter().map(column).collect());
    }
    tables
}

async fn postgres() -> Tables {
    let url = database::fresh_postgres();
    Store::open(&url).await.unwrap().close().await;
    let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
    let mut conn: PgConnection = options.connect().await.unwrap();
    // What a table is cut into has its columns.
    let columns = "select c.relname::text as table_name,
             a.attname::text as name,
             format_type(a.atttypid, a.atttypmod) as kind,
             not a.attnotnull as is_nullable,
             coalesce(array_position(i.indkey::int2[], a.attnum) + 1, 0)::bigint as key_place
         from pg_class c
         join pg_attribute a on a.attrelid = c.oid
         left join pg_index i on i.indrelid = c.oid and i.indisprimary
         where c.relnamespace = current_schema()::regnamespace
           and c.relkind in ('r', 'p')
           and not c.relispartition
           and c.relname not like '\\_sqlx%'
           and a.attnum > 0
           and not a.attisdropped
         order by c.relname, a.attnum";
    let mut tables = Tables::new();
    for row in sqlx::query(columns).fetch_all(&mut conn).await.unwrap() {
        tables.entry(row.get("table_name")).or_default().push(Column {
            name: row.get("name"),
            kind: row.get::<String, _>("kind").replace(BYTES_ON_POSTGRES, BYTES),
            is_nullable: row.get("is_nullable"),
            key_place: row.get("key_place"),
        });
    }
    tables
}

#[tokio::test]
async fn both_databases_have_the_same_tables_and_columns() {
    let (sqlite, postgres) = (sqlite().await, postgres().await);

    assert_eq!(sqlite.keys().collect::<Vec<_>>(), postgres.keys().collect::<Vec<_>>());
    assert!(sqlite.contains_key("queue") && sqlite["queue"][0].key_place == 1, "{sqlite:?}");
    for (name, columns) in &sqlite {
        assert_eq!(columns, &postgres[name], "{name} on SQLite, and on PostgreSQL");
    }
}
