//! `/v1/admin/config`: what a tenant has configured beside its webhooks, as a merge patch changes it.

use std::collections::BTreeMap;
use std::fmt;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::openapi::schema::{AnyOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::patch::{Patched, not_null};
use crate::api::Api;
use crate::api::body::{Faults, Json, Object};
use crate::api::caller::{Access, Admin};
use crate::api::openapi::shapes;
use crate::api::problem::Problem;
use crate::domain::audit::Actor;
use crate::domain::hook::{Hook, HookKind, OnFailure};
use crate::domain::secret::Secret;
use crate::domain::webhook::{PlainHttp, WebhookUrl};
use crate::engine::hooks::{self as engine_hooks, HookChange};
use crate::engine::webhooks::Choice;
use crate::store::hooks;

/// What a tenant has configured.
#[derive(Serialize, ToSchema)]
#[schema(as = Config)]
pub(super) struct ConfigView {
    hooks: HooksView,
    /// What signs the questions to hooks; shown once, when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Secret, required = false)]
    signing_secret: Option<String>,
}

/// The hook of each kind, if there is one.
#[derive(Serialize, ToSchema)]
#[schema(as = Hooks)]
pub(super) struct HooksView {
    pre_sign_up: Option<HookView>,
    post_sign_up: Option<HookView>,
    pre_sign_in: Option<HookView>,
    post_sign_in: Option<HookView>,
    pre_password_reset: Option<HookView>,
    jwt: Option<HookView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Hook)]
pub(super) struct HookView {
    #[schema(value_type = shapes::WebhookUrl)]
    url: String,
    #[schema(value_type = shapes::OnFailure)]
    on_failure: &'static str,
    /// Which keys must have signed its answers; null when they need no signature.
    signed_answer: Option<SignedAnswerView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SignedAnswer)]
pub(super) struct SignedAnswerView {
    #[schema(value_type = shapes::AnswerKeys)]
    keys: Box<RawValue>,
}

impl ConfigView {
    fn of(mut hooks: BTreeMap<HookKind, Hook>, made: Option<&Secret<String>>) -> Self {
        let mut view = |kind| hooks.remove(&kind).map(HookView::of);
        let hooks = HooksView {
            pre_sign_up: view(HookKind::PreSignUp),
            post_sign_up: view(HookKind::PostSignUp),
            pre_sign_in: view(HookKind::PreSignIn),
            post_sign_in: view(HookKind::PostSignIn),
            pre_password_reset: view(HookKind::PrePasswordReset),
            jwt: view(HookKind::Jwt),
        };
        Self { hooks, signing_secret: made.map(|secret| secret.reveal().clone()) }
    }
}

impl HookView {
    fn of(hook: Hook) -> Self {
        let keys = hook.answer_keys.and_then(|keys| RawValue::from_string(keys).ok());
        Self {
            url: hook.url.as_str().to_owned(),
            on_failure: hook.on_failure.as_str(),
            signed_answer: keys.map(|keys| SignedAnswerView { keys }),
        }
    }
}

pub(super) async fn show(State(engine): State<Api>, access: Access<Admin>) -> Result<axum::Json<ConfigView>, Problem> {
    let mut reader = engine.store.read().await?;
    let hooks = hooks::of_tenant(reader.conn(), access.tenant_id).await?;
    Ok(axum::Json(ConfigView::of(hooks.into_iter().collect(), None)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeConfig {
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = ChangeHooks, required = false)]
    hooks: Option<Object<ChangeHooks>>,
}

/// Hooks by their kinds: a URL, what is to be other than before, or null to take one away.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeHooks {
    #[serde(default)]
    #[schema(value_type = Option<HookWish>)]
    pre_sign_up: Patched<HookWish>,
    #[serde(default)]
    #[schema(value_type = Option<HookWish>)]
    post_sign_up: Patched<HookWish>,
    #[serde(default)]
    #[schema(value_type = Option<HookWish>)]
    pre_sign_in: Patched<HookWish>,
    #[serde(default)]
    #[schema(value_type = Option<HookWish>)]
    post_sign_in: Patched<HookWish>,
    #[serde(default)]
    #[schema(value_type = Option<HookWish>)]
    pre_password_reset: Patched<HookWish>,
    #[serde(default)]
    #[schema(value_type = Option<HookWish>)]
    jwt: Patched<HookWish>,
}

/// A URL alone, or members of a hook.
pub(super) enum HookWish {
    Url(String),
    Members(ChangeHook),
}

/// What is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeHook {
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = shapes::WebhookUrl, required = false)]
    url: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<shapes::OnFailure>)]
    on_failure: Patched<String>,
    /// The public keys of which one must have signed the answers; null when they need no signature. Read by hand, so that
    /// what should not have been sent is not repeated.
    #[serde(default)]
    #[schema(value_type = Option<SignedAnswerView>)]
    signed_answer: Patched<Value>,
}

impl PartialSchema for HookWish {
    fn schema() -> RefOr<Schema> {
        let either = AnyOfBuilder::new().item(shapes::WebhookUrl::schema()).item(Ref::from_schema_name("ChangeHook"));
        RefOr::T(Schema::AnyOf(either.build()))
    }
}

impl ToSchema for HookWish {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("ChangeHook".to_owned(), ChangeHook::schema()));
        ChangeHook::schemas(schemas);
    }
}

impl<'de> Deserialize<'de> for HookWish {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = HookWish;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a URL, an object with `url`, or null")
            }

            fn visit_str<E: de::Error>(self, url: &str) -> Result<HookWish, E> {
                Ok(HookWish::Url(url.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<HookWish, A::Error> {
                ChangeHook::deserialize(MapAccessDeserializer::new(members)).map(HookWish::Members)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

pub(super) async fn change(
    State(engine): State<Api>,
    access: Access<Admin>,
    Json(body): Json<ChangeConfig>,
) -> Result<Response, Problem> {
    let wishes = body.hooks.map(|Object(hooks)| hooks.wishes(engine.terms.plain_http)).transpose()?;
    let actor = Actor::of(&access.caller);
    let changed = engine.change_hooks(actor, access.tenant_id, wishes.unwrap_or_default()).await?;
    Ok(axum::Json(ConfigView::of(changed.hooks, changed.made_secret.as_ref())).into_response())
}

impl ChangeHooks {
    fn wishes(self, plain_http: PlainHttp) -> Result<BTreeMap<HookKind, Option<HookChange>>, Problem> {
        let Self { pre_sign_up, post_sign_up, pre_sign_in, post_sign_in, pre_password_reset, jwt } = self;
        let each = [
            (HookKind::PreSignUp, pre_sign_up),
            (HookKind::PostSignUp, post_sign_up),
            (HookKind::PreSignIn, pre_sign_in),
            (HookKind::PostSignIn, post_sign_in),
            (HookKind::PrePasswordReset, pre_password_reset),
            (HookKind::Jwt, jwt),
        ];
        let mut faults = Faults::default();
        let mut wishes = BTreeMap::new();
        for (kind, patched) in each {
            let wish = match patched {
                Patched::Absent => continue,
                Patched::Null => None,
                Patched::Value(wish) => Some(wish.change(kind, plain_http, &mut faults)),
            };
            wishes.insert(kind, wish);
        }
        faults.none()?;
        Ok(wishes)
    }
}

impl HookWish {
    fn change(self, kind: HookKind, plain_http: PlainHttp, faults: &mut Faults) -> HookChange {
        let pointer = format!("/hooks/{}", kind.as_str());
        match self {
            Self::Url(url) => {
                HookChange { url: faults.take(pointer, WebhookUrl::parse(&url, plain_http)), ..HookChange::default() }
            }
            Self::Members(members) => members.change(kind, &pointer, plain_http, faults),
        }
    }
}

impl ChangeHook {
    fn change(self, kind: HookKind, pointer: &str, plain_http: PlainHttp, faults: &mut Faults) -> HookChange {
        let url = self.url.and_then(|url| faults.take(format!("{pointer}/url"), WebhookUrl::parse(&url, plain_http)));
        let on_failure = match self.on_failure {
            Patched::Absent => None,
            Patched::Null => Some(OnFailure::Allow),
            Patched::Value(word) => {
                let parsed = OnFailure::parse(&word).ok_or("is allow or block");
                let told = "is allow: what this hook is told has happened already";
                let parsed = parsed.and_then(|on_failure| match on_failure {
                    OnFailure::Block if kind.is_told() => Err(told),
                    on_failure => Ok(on_failure),
                });
                faults.take(format!("{pointer}/on_failure"), parsed)
            }
        };
        let answer_keys = match self.signed_answer {
            Patched::Absent => Choice::Unchanged,
            Patched::Null => Choice::Standard,
            Patched::Value(_) if kind.is_told() => {
                let words = "is null: what this hook answers changes nothing, signed or not";
                faults.add(format!("{pointer}/signed_answer"), words);
                Choice::Unchanged
            }
            Patched::Value(wish) => {
                let pointer = format!("{pointer}/signed_answer");
                answer_keys(&wish, &pointer, faults).map_or(Choice::Unchanged, Choice::Own)
            }
        };
        HookChange { url, on_failure, answer_keys }
    }
}

/// The keys of a wish. Nothing of it is repeated: somebody may have sent a private one.
fn answer_keys(wish: &Value, pointer: &str, faults: &mut Faults) -> Option<String> {
    let members = wish.as_object();
    let keys = members.and_then(|members| members.get("keys")).and_then(Value::as_array);
    let (Some(members), Some(keys)) = (members, keys) else {
        faults.add(pointer, "is null, or an object with `keys`, a list of public JWKs");
        return None;
    };
    if members.len() > 1 {
        faults.add(pointer, "has a member besides `keys`");
        return None;
    }
    match engine_hooks::answer_keys(keys) {
        Ok(keys) => Some(keys),
        Err(malformed) => {
            let place = malformed.at.map(|at| format!("/{at}")).unwrap_or_default();
            faults.add(format!("{pointer}/keys{place}"), malformed);
            None
        }
    }
}
