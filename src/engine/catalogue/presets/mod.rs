//! Catalogues that come with Signet, as JSON beside this file: what other systems publish, in words and with samples of
//! our own. They are compiled in, and described like what anybody describes.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{CatalogueError, Fault, Place, Put, Wish};
use crate::domain::audit::Actor;
use crate::domain::catalogue::{Described, Description, Preset};
use crate::domain::id::TenantId;
use crate::engine::Engine;

/// A preset as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    schemas: BTreeMap<String, Box<RawValue>>,
    types: Vec<WrittenType>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenType {
    name: String,
    description: String,
    #[serde(default)]
    group: bool,
    /// Which of the schemas.
    schema: String,
    sample: Box<RawValue>,
}

fn text(preset: Preset) -> &'static str {
    match preset {
        Preset::Hanko => include_str!("hanko.json"),
        Preset::Hellojohn => include_str!("hellojohn.json"),
    }
}

/// The event types of a preset.
pub fn wishes(preset: Preset) -> Result<Vec<Wish>, CatalogueError> {
    let faulty = |detail: String| CatalogueError::Faulty(vec![Fault::new("", detail)]);
    let written: Written = serde_json::from_str(text(preset)).map_err(|error| faulty(error.to_string()))?;
    let bytes = |json: &RawValue| Bytes::copy_from_slice(json.get().as_bytes());
    let wish = |of: &WrittenType| {
        let name = of.name.parse().map_err(|error| faulty(format!("{}: {error}", of.name)))?;
        let schema = written.schemas.get(&of.schema).ok_or_else(|| faulty(format!("{}: no schema", of.name)))?;
        let description = Description {
            text: of.description.clone(),
            is_group: of.group,
            schema: Some(bytes(schema)),
            sample: Some(bytes(&of.sample)),
            preset: Some(preset),
        };
        Ok(Wish { name, description, place: Place::default() })
    };
    written.types.iter().map(wish).collect()
}

impl Engine {
    /// Describes all event types of a preset.
    pub async fn load_preset(
        &self,
        actor: Actor,
        tenant_id: TenantId,
        preset: Preset,
    ) -> Result<Vec<(Put, Described)>, CatalogueError> {
        self.describe(actor, tenant_id, wishes(preset)?).await
    }
}
