//! `/v1/webhooks/{id}/actions/{action}`.

use serde_json::json;
use utoipa::openapi::schema::AnyOfBuilder;
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::api::openapi::{Answer, Described, shapes};
use crate::api::problem::Problem;
use crate::api::v1::actions::{ListUsers, OneUser, UserWish, unknown};
use crate::api::v1::webhooks::missing;
use crate::domain::call::{Code, Failure};
use crate::domain::delivery::FailureKind;
use crate::domain::webhook::Format;
use crate::engine::calls::CallError;
use crate::engine::keys::MayNotSign;

/// What the action in the path takes: to page through users, to name one, or to say what one is.
enum UserRequest {}

impl PartialSchema for UserRequest {
    fn schema() -> RefOr<Schema> {
        let names = [ListUsers::name(), OneUser::name(), UserWish::name()].map(Ref::from_schema_name);
        let words = "`users.list` takes a ListUsers, `users.get` and `users.delete` a OneUser, `users.create` and `users.update` a UserWish.";
        let any = names.into_iter().fold(AnyOfBuilder::new(), AnyOfBuilder::item);
        RefOr::T(Schema::AnyOf(any.description(Some(words)).build()))
    }
}

impl ToSchema for UserRequest {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        let named = [
            (ListUsers::name(), ListUsers::schema()),
            (OneUser::name(), OneUser::schema()),
            (UserWish::name(), UserWish::schema()),
        ];
        schemas.extend(named.map(|(name, schema)| (name.into_owned(), schema)));
        ListUsers::schemas(schemas);
        OneUser::schemas(schemas);
        UserWish::schemas(schemas);
    }
}

pub(in crate::api::v1) fn call() -> Described {
    let words = "Asks the receiver of a webhook of format `action` about its users, in one signed request within the webhook's timeout, and answers what it answers. What it \
                 refuses with a gRPC code is a problem whose code is `receiver_` and that code; what it must not have done twice is asked under an `Idempotency-Key`. The \
                 action is not covered by the signature, since those receivers expect it so.";
    let said = |code, message: &str| Problem::from(Failure::said(code, message, None));
    let refusals = [
        missing(),
        unknown(),
        CallError::WrongFormat(Format::Token).into(),
        CallError::Disabled.into(),
        CallError::Pending.into(),
        CallError::TooMany.into(),
        MayNotSign.into(),
        Failure::said(Code::Unknown, "Signatures do not match", None).into(),
        Failure::malformed("/users is missing").into(),
        Failure::Unanswered(FailureKind::Connect).into(),
        Failure::Unanswered(FailureKind::Timeout).into(),
    ];
    Described::new("callAction", "Ask a receiver about its users", words)
        .path::<shapes::WebhookId>("id", "The webhook.")
        .path::<shapes::UserAction>("action", "What is asked.")
        .takes::<UserRequest>(json!({"pageSize": 100}))
        .answers::<shapes::UserAnswer>(
            Answer::ok("What the receiver answered, as it came: a page of users, a user, or nothing."),
            json!({"users": [{"id": "usr_1", "displayName": "Ada Lovelace", "email": "ada@example.com"}], "nextPageToken": "2"}),
            &[],
        )
        .refuses(refusals)
        .refuses(Code::ALL.map(|code| said(code, "the receiver's own words")))
}
