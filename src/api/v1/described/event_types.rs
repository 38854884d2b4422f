//! `/v1/event-types`.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::page;
use crate::api::openapi::{Answer, Described, shapes};
use crate::api::problem::Problem;
use crate::api::v1::event_types::{EventTypeView, Import, Imported, PutEventType, missing};
use crate::engine::catalogue::CatalogueError;

pub(in crate::api::v1) fn list() -> Described {
    Described::new("listEventTypes", "List the catalogue", "In the order in which they were described.")
        .pages()
        .answers_page::<EventTypeView>(
        "A page of event types.",
        page(event_type()),
        &[("showEventType", "name", "/data/0/name")],
    )
}

pub(in crate::api::v1) fn show() -> Described {
    Described::new("showEventType", "Show an event type", "With its JSON Schema and its sample.")
        .path::<shapes::EventType>("name", "The event type.")
        .answers::<EventTypeView>(Answer::ok("The event type."), event_type(), &[])
        .refuses([missing()])
}

pub(in crate::api::v1) fn put() -> Described {
    let words = "Describes an event type, or describes it anew: what is left out is empty then. Whether events must satisfy the schema, and whether types that are not \
                 described may be published, is for the tenant to say (`catalogue`).";
    putting(
        Described::new("putEventType", "Describe an event type", words)
            .path::<shapes::PublishedEventType>("name", "The event type."),
    )
}

fn putting(described: Described) -> Described {
    let example = json!({
        "description": "Somebody signed up", "schema": {"type": "object", "required": ["user_id"]}, "sample": {"user_id": "u_42"},
    });
    described
        .takes::<PutEventType>(example)
        .answers::<EventTypeView>(Answer::ok("It was there, and is as described now."), event_type(), &[])
        .answers::<EventTypeView>(
            Answer::new(StatusCode::CREATED, "It is new."),
            event_type(),
            &[("showEventType", "name", "/name"), ("deleteEventType", "name", "/name")],
        )
        .refuses([
            CatalogueError::TooMany.into(),
            Problem::invalid_one("/sample/user_id", "42 is not of type \"string\""),
        ])
}

pub(in crate::api::v1) fn remove() -> Described {
    removing(
        Described::new("deleteEventType", "Forget an event type", "Events of it and webhooks that want them stay.")
            .path::<shapes::EventType>("name", "The event type."),
    )
}

fn removing(described: Described) -> Described {
    described.answers_nothing(StatusCode::NO_CONTENT, "It is not described any more.").refuses([missing()])
}

pub(in crate::api::v1) fn load_preset() -> Described {
    Described::new(
        "loadPreset",
        "Load a catalogue that comes with Signet",
        "The event types of the system that Signet stands in for, with samples of their data.",
    )
    .path::<shapes::Preset>("name", "The preset.")
    .answers::<Imported>(Answer::ok("What it has made of the catalogue."), imported(), &[])
    .refuses([Problem::not_found("preset; there are hanko and hellojohn"), CatalogueError::TooMany.into()])
}

pub(in crate::api::v1) fn import() -> Described {
    let words = "Takes the `webhooks` section of an OpenAPI 3.1 document: each member becomes an event type with the schema and the example of its request's body.";
    let example = json!({"openapi": {
        "openapi": "3.1.0",
        "info": {"title": "Our events", "version": "1"},
        "webhooks": {"user.created": {"post": {
            "summary": "Somebody signed up",
            "requestBody": {"content": {"application/json": {"schema": {"type": "object"}, "example": {"user_id": "u_42"}}}},
        }}},
    }});
    Described::new("importEventTypes", "Import a catalogue from OpenAPI", words)
        .takes::<Import>(example)
        .answers::<Imported>(Answer::ok("What it has made of the catalogue."), imported(), &[])
        .refuses([
            CatalogueError::TooMany.into(),
            Problem::invalid_one("/openapi/webhooks", "is missing: there is nothing to import"),
        ])
}

fn event_type() -> Value {
    json!({
        "name": "user.created", "description": "Somebody signed up", "group": false,
        "schema": {"type": "object", "required": ["user_id"]}, "sample": {"user_id": "u_42"}, "preset": null,
        "created_at": "2026-02-01T12:00:00Z", "updated_at": "2026-02-01T12:00:00Z",
    })
}

fn imported() -> Value {
    json!({"made": ["user.created"], "replaced": []})
}
