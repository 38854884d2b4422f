//! Event types out of an OpenAPI document.

use serde_json::{Value, json};

use super::{Answer, Service};

fn document() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Shop", "version": "1"},
        "webhooks": {
            "order.paid": {
                "post": {
                    "summary": "An order was paid.",
                    "description": "Once for each order.",
                    "requestBody": {"content": {"application/json": {
                        "schema": {"$ref": "#/components/schemas/Order"},
                        "example": {"id": "o_1", "items": [{"sku": "a/b", "price": 1.10}]},
                    }}},
                    "responses": {"200": {"description": "understood"}},
                },
            },
            "order.tree": {
                "summary": "A tree.",
                "post": {"requestBody": {"$ref": "#/components/requestBodies/Tree"}},
            },
            "ping": {"post": {}},
        },
        "components": {
            "requestBodies": {"Tree": {"content": {"application/json; charset=utf-8": {
                "schema": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}},
                "examples": {"one": {"$ref": "#/components/examples/One"}},
            }}}},
            "examples": {"One": {"value": [{"leaves": [{}]}]}},
            "schemas": {
                "Order": {
                    "type": "object",
                    "required": ["id", "items"],
                    "properties": {
                        "id": {"type": "string"},
                        "items": {"type": "array", "items": {"$ref": "#/components/schemas/line~1item"}},
                        "total": {"$ref": "#/components/schemas/line~1item/properties/price"},
                    },
                },
                "line/item": {"type": "object", "required": ["sku"], "properties": {"sku": {"type": "string"}, "price": {"type": "number"}}},
                "Tree": {"type": "object", "properties": {"leaves": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}}},
                "Unused": {"$ref": "#/components/schemas/Nowhere"},
            },
        },
    })
}

async fn import(service: &Service, document: &Value) -> Answer {
    service.post("/v1/event-types", &json!({"openapi": document})).await
}

#[tokio::test]
async fn every_webhook_of_a_document_becomes_an_event_type() {
    let service = Service::start().await;

    let imported = import(&service, &document()).await;
    let again = import(&service, &document()).await;

    let names = json!(["order.paid", "order.tree", "ping"]);
    assert_eq!(imported.status, 200, "{}", imported.text);
    assert_eq!(imported.json(), json!({"made": names, "replaced": []}));
    assert_eq!(again.json(), json!({"made": [], "replaced": names}));
    let paid = service.get("/v1/event-types/order.paid").await.json();
    assert_eq!(paid["description"], "An order was paid.\n\nOnce for each order.");
    assert_eq!(paid["sample"]["items"][0]["sku"], "a/b");
    assert_eq!(paid["schema"]["$ref"], "#/$defs/Order");
    assert_eq!(paid["schema"]["$defs"].as_object().unwrap().len(), 2, "{paid}");
    let tree = service.get("/v1/event-types/order.tree").await.json();
    assert_eq!((&tree["description"], &tree["sample"]), (&json!("A tree."), &json!([{"leaves": [{}]}])));
    let ping = service.get("/v1/event-types/ping").await.json();
    assert_eq!((&ping["schema"], &ping["sample"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn imported_schemas_are_enforced_through_all_that_they_refer_to() {
    let service = Service::start().await;
    import(&service, &document()).await;
    let id = service.server().engine().default_keys().unwrap().tenant.id;
    service.patch(&format!("/v1/admin/tenants/{id}"), &json!({"catalogue": {"enforce_schema": true}})).await;
    let publish = async |event_type: &str, data: Value| {
        service.post("/v1/events", &json!({"type": event_type, "data": data})).await
    };

    let good = publish("order.paid", json!({"id": "1", "items": [{"sku": "x"}], "total": 5})).await;
    let bad = publish("order.paid", json!({"id": "1", "items": [{"sku": "x"}, {"sku": 7}], "total": "5"})).await;
    let tree = publish("order.tree", json!([{"leaves": [{"leaves": [{"leaves": 1}]}]}])).await;

    assert_eq!(good.status, 202, "{}", good.text);
    let mut pointers = bad.pointers();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/data/items/1/sku", "/data/total"]);
    assert_eq!(tree.pointers(), ["/data/0/leaves/0/leaves/0/leaves"]);
}

#[tokio::test]
async fn a_document_with_one_fault_changes_nothing() {
    let service = Service::start().await;
    let changed = |pointer: &str, value: Value| {
        let mut document = document();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[name.replace("~1", "/")] = value;
        document
    };
    let media = "/webhooks/order.paid/post/requestBody/content/application~1json";
    let example = format!("{media}/example");
    let schema = format!("{media}/schema");

    for (document, pointer) in [
        (json!({"openapi": "3.0.3", "webhooks": {"a": {"post": {}}}}), "/openapi/openapi".to_owned()),
        (json!({"openapi": "3.1.0"}), "/openapi/webhooks".to_owned()),
        (json!([]), "/openapi/openapi".to_owned()),
        (changed("/webhooks/Order Paid", json!({"post": {}})), "/openapi/webhooks/Order Paid".to_owned()),
        (changed("/webhooks/signet.x", json!({"post": {}})), "/openapi/webhooks/signet.x".to_owned()),
        (changed("/webhooks/x", json!({"get": {}})), "/openapi/webhooks/x".to_owned()),
        (changed(&example, json!({"id": 1, "items": []})), format!("/openapi{example}/id")),
        (changed(&schema, json!({"$ref": "other.json"})), format!("/openapi{schema}/$ref")),
        (
            changed(&schema, json!({"$ref": "#/components/schemas/Unused"})),
            "/openapi/components/schemas/Unused/$ref".to_owned(),
        ),
        (changed("/components/schemas/Order/type", json!("text")), "/openapi/components/schemas/Order/type".to_owned()),
        (
            changed("/components/requestBodies/Tree", json!({"$ref": "#/components/requestBodies/Tree"})),
            "/openapi/components/requestBodies/Tree".to_owned(),
        ),
    ] {
        let answer = import(&service, &document).await;

        assert_eq!(answer.status, 422, "{pointer}: {}", answer.text);
        assert!(answer.pointers().contains(&pointer), "{pointer}: {}", answer.text);
    }
    assert_eq!(service.get("/v1/event-types").await.json()["data"], json!([]));
}

#[tokio::test]
async fn a_document_that_would_grow_beyond_bounds_is_refused() {
    let service = Service::start().await;
    let large = json!({"$comment": "x".repeat(60 * 1024)});
    let media = |name: &str| json!({"content": {"application/json": {"schema": {"$ref": format!("#/components/schemas/{name}")}}}});
    let webhook = |name: &str| json!({"post": {"requestBody": media(name)}});
    let webhooks: serde_json::Map<String, Value> =
        (0..1_000).map(|number| (format!("type{number}"), webhook("Large"))).collect();
    let many = json!({"openapi": "3.1.0", "webhooks": webhooks, "components": {"schemas": {"Large": large}}});
    let too_large = json!({"allOf": [large, large]});
    let one = json!({"openapi": "3.1.0", "webhooks": {"a": webhook("L")}, "components": {"schemas": {"L": too_large}}});
    let deep = "[".repeat(100) + &"]".repeat(100);
    let deep: Value = serde_json::from_str(&deep).unwrap();
    let deep = json!({"openapi": "3.1.0", "webhooks": {"a": {"post": {"requestBody": {"content": {"application/json": {"example": deep}}}}}}});

    let refused = import(&service, &many).await;
    assert_eq!((refused.status, &refused.problem()["code"]), (409, &json!("catalogue_full")), "{}", refused.text);
    assert_eq!(import(&service, &one).await.status, 422);
    assert_eq!(import(&service, &deep).await.status, 422);
    let heavy = json!({"openapi": "3.1.0", "info": "x".repeat(1024 * 1024)});
    assert_eq!(import(&service, &heavy).await.status, 413);
}
