//! `/v1/webhooks/{id}/actions/{action}`: asks a webhook's receiver about users, and answers what it answers.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::ToSchema;

use super::patch::not_null;
use super::webhooks::{missing, webhook_id};
use crate::api::Api;
use crate::api::body::{Faults, RawJson, Whole, parse};
use crate::api::caller::{Access, WebhooksWrite};
use crate::api::openapi::shapes;
use crate::api::page::Path;
use crate::api::problem::Problem;
use crate::domain::audit::Actor;
use crate::domain::call::{User, UserAction, UserRequest, users};
use crate::domain::id::RequestId;
use crate::engine::calls::Caller;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::api::v1) struct ListUsers {
    #[schema(value_type = shapes::UserPageSize)]
    page_size: Whole<u32>,
    /// The `nextPageToken` of the page before.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = shapes::UserPageToken, required = false)]
    page_token: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api::v1) struct OneUser {
    #[schema(value_type = shapes::UserId)]
    id: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::api::v1) struct UserWish {
    /// A receiver that makes a user may choose it; to change one, it is needed.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = shapes::UserId, required = false)]
    id: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = shapes::UserDisplayName, required = false)]
    display_name: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = shapes::UserEmail, required = false)]
    email: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = bool, required = false)]
    email_verified: Option<bool>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = shapes::UserPhoneNumber, required = false)]
    phone_number: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = bool, required = false)]
    phone_number_verified: Option<bool>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = shapes::UserImageUrl, required = false)]
    image_url: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = bool, required = false)]
    disabled: Option<bool>,
}

pub(super) async fn call(
    State(engine): State<Api>,
    access: Access<WebhooksWrite>,
    Path((id, action)): Path<(String, String)>,
    Extension(request_id): Extension<RequestId>,
    RawJson(body): RawJson,
) -> Result<Response, Problem> {
    let webhook_id = webhook_id(&id)?;
    let action = UserAction::parse(&action).ok_or_else(unknown)?;
    let request = read(action, &body)?;
    let actor = Actor::of(&access.caller);
    let caller = Caller { actor, tenant_id: access.tenant_id, webhook_id, request_id };
    let answer: Bytes = engine.call_receiver(caller, &request).await?.ok_or_else(missing)?;
    Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], answer).into_response())
}

/// No action has this name.
pub(in crate::api::v1) fn unknown() -> Problem {
    Problem::unknown_action(&UserAction::ALL.map(UserAction::as_str))
}

fn read(action: UserAction, body: &[u8]) -> Result<UserRequest, Problem> {
    let mut faults = Faults::default();
    let request = match action {
        UserAction::List => {
            let ListUsers { page_size: Whole(page_size), page_token } = parse(body)?;
            let page_token = page_token.and_then(|text| users::page_token(text, &mut faults));
            users::page_size(page_size, &mut faults).map(|page_size| UserRequest::List { page_size, page_token })
        }
        UserAction::Get => one(body, &mut faults)?.map(|id| UserRequest::Get { id }),
        UserAction::Delete => one(body, &mut faults)?.map(|id| UserRequest::Delete { id }),
        UserAction::Create => Some(UserRequest::Create(parse::<UserWish>(body)?.user(&mut faults))),
        UserAction::Update => {
            let user = parse::<UserWish>(body)?;
            if user.id.is_none() {
                faults.add("/id", "is required, to say which user is changed");
            }
            Some(UserRequest::Update(user.user(&mut faults)))
        }
    };
    faults.none()?;
    request.ok_or_else(Problem::internal)
}

fn one(body: &[u8], faults: &mut Faults) -> Result<Option<String>, Problem> {
    let OneUser { id } = parse(body)?;
    Ok(users::id(id, faults))
}

impl UserWish {
    fn user(self, faults: &mut Faults) -> User {
        User {
            id: self.id.and_then(|text| users::id(text, faults)),
            display_name: self.display_name.and_then(|text| users::display_name(text, faults)),
            email: self.email.and_then(|text| users::email(text, faults)),
            email_verified: self.email_verified,
            phone_number: self.phone_number.and_then(|text| users::phone_number(text, faults)),
            phone_number_verified: self.phone_number_verified,
            image_url: self.image_url.and_then(|text| users::image_url(text, faults)),
            disabled: self.disabled,
        }
    }
}
