//! The catalogue: describing event types, and holding events and subscriptions against what was described.
//!
//! An open catalogue costs nothing: whether it is closed or enforced stands with the tenant, which every node has in
//! memory. Only then is the catalogue itself looked at, from memory too ([`known`]).

mod alike;
pub mod known;
mod openapi;
pub(super) mod operational;
pub mod presets;
mod schema;
mod weight;

use super::{Engine, audit};
use crate::domain::audit::{Action, Actor};
use crate::domain::catalogue::{CATALOGUE_BYTES_MAX, Described, Description, TYPES_MAX};
use crate::domain::event_type::EventType;
use crate::domain::id::TenantId;
use crate::store::{Conn, StoreError, catalogue};

pub use schema::Fault;

use schema::Schema;

/// How many names an entry of the audit log has at most: a page of the log has many entries.
const NAMES_WRITTEN_MAX: usize = 50;

/// An event type as somebody wishes it to be described.
#[derive(Debug, Clone)]
pub struct Wish {
    pub name: EventType,
    pub description: Description,
    /// Where it stands in what was asked, and its schema and its sample in that: for those who are told what is wrong.
    pub place: Place,
}

/// JSON pointers into what was asked.
#[derive(Debug, Clone, Default)]
pub struct Place {
    pub schema: String,
    /// Where its `$defs` were copied from; empty when they stand in it.
    pub definitions: String,
    pub sample: String,
}

impl Place {
    /// Where a fault of the schema stands in what was asked.
    fn of_schema(&self, fault: Fault) -> Fault {
        match fault.pointer.strip_prefix("/$defs").filter(|_| !self.definitions.is_empty()) {
            Some(rest) => Fault { pointer: format!("{}{rest}", self.definitions), ..fault },
            None => fault.beneath(&self.schema),
        }
    }
}

/// Whether an event type was described before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    Made,
    Replaced,
}

/// An event type was not described.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    #[error("what was described is faulty")]
    Faulty(Vec<Fault>),
    #[error("the catalogue would have more than {TYPES_MAX} event types")]
    TooMany,
    #[error("the schemas and samples of the catalogue would have more than {CATALOGUE_BYTES_MAX} bytes together")]
    TooLarge,
    /// The tenant is gone.
    #[error("there is no such tenant")]
    NoTenant,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// Describes event types, all or none; answers what became of each, in their order.
    pub async fn describe(
        &self,
        actor: Actor,
        tenant_id: TenantId,
        wishes: Vec<Wish>,
    ) -> Result<Vec<(Put, Described)>, CatalogueError> {
        let bytes: usize = wishes.iter().map(|wish| wish.description.bytes()).sum();
        if wishes.len() > TYPES_MAX {
            return Err(CatalogueError::TooMany);
        }
        if bytes > CATALOGUE_BYTES_MAX {
            return Err(CatalogueError::TooLarge);
        }
        let wishes = self.catalogues.apart(move || check(wishes)).await.map_err(CatalogueError::Faulty)?;
        let mut tx = self.store.write().await?;
        let version = catalogue::touch(tx.conn(), tenant_id).await?.ok_or(CatalogueError::NoTenant)?;
        let mut put = Vec::with_capacity(wishes.len());
        for wish in wishes {
            put.push(self.put(tx.conn(), tenant_id, wish, version).await?);
        }
        let size = catalogue::size(tx.conn(), tenant_id).await?;
        if usize::try_from(size.types).is_ok_and(|types| types > TYPES_MAX) {
            return Err(CatalogueError::TooMany);
        }
        if usize::try_from(size.bytes).is_ok_and(|bytes| bytes > CATALOGUE_BYTES_MAX) {
            return Err(CatalogueError::TooLarge);
        }
        audit::record(tx.conn(), tenant_id, (actor, self.clock.now()), &[written(&put)]).await?;
        tx.commit().await?;
        self.catalogues.look_again(tenant_id).await;
        Ok(put)
    }

    async fn put(
        &self,
        conn: &mut Conn,
        tenant_id: TenantId,
        wish: Wish,
        version: i64,
    ) -> Result<(Put, Described), StoreError> {
        let (before, now) = (catalogue::get(conn, tenant_id, &wish.name).await?, self.clock.now());
        let put = if before.is_some() { Put::Replaced } else { Put::Made };
        let described = Described {
            id: before.as_ref().map_or_else(|| self.clock.id(), |before| before.id),
            name: wish.name,
            description: wish.description,
            version,
            created_at: before.map_or(now, |before| before.created_at),
            updated_at: now,
        };
        catalogue::put(conn, tenant_id, &described).await?;
        Ok((put, described))
    }

    /// Takes an event type out of the catalogue; answers whether it was there.
    pub async fn delete_event_type(
        &self,
        actor: Actor,
        tenant_id: TenantId,
        name: &EventType,
    ) -> Result<bool, StoreError> {
        let mut tx = self.store.write().await?;
        catalogue::touch(tx.conn(), tenant_id).await?;
        if !catalogue::delete(tx.conn(), tenant_id, name).await? {
            return Ok(false);
        }
        let forgotten = Action::EventTypeForgotten { name: name.to_string() };
        audit::record(tx.conn(), tenant_id, (actor, self.clock.now()), &[forgotten]).await?;
        tx.commit().await?;
        self.catalogues.look_again(tenant_id).await;
        Ok(true)
    }
}

/// What is written down about what was described.
fn written(put: &[(Put, Described)]) -> Action {
    let made = put.iter().filter(|(put, _)| *put == Put::Made).count();
    let names = put.iter().take(NAMES_WRITTEN_MAX).map(|(_, described)| described.name.to_string()).collect();
    Action::EventTypesDescribed { made, replaced: put.len() - made, names }
}

/// Whether every schema can be enforced, and every sample satisfies its own.
fn check(wishes: Vec<Wish>) -> Result<Vec<Wish>, Vec<Fault>> {
    let mut faults = Vec::new();
    for wish in &wishes {
        let Some(text) = &wish.description.schema else { continue };
        let schema = match Schema::compile(text) {
            Ok(schema) => schema,
            Err(found) => {
                faults.extend(found.into_iter().map(|fault| wish.place.of_schema(fault)));
                continue;
            }
        };
        let sample = wish.description.sample.as_ref().and_then(|sample| serde_json::from_slice(sample).ok());
        if let Some(sample) = sample {
            let found = schema.violations(&schema.examine(sample));
            faults.extend(found.into_iter().map(|fault| fault.beneath(&wish.place.sample)));
        }
        if faults.len() >= schema::FAULTS_MAX {
            break;
        }
    }
    if faults.is_empty() { Ok(wishes) } else { Err(faults) }
}
