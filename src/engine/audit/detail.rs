//! The detail of an entry: a JSON object of what is not said elsewhere. Its bytes are part of the entry's hash, so they
//! are written once and kept as they are.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::audit::{Action, Entry};
use crate::domain::time::Timestamp;

/// What an audit reads of a detail.
#[derive(Deserialize)]
struct Told {
    /// The state that each key is in since then.
    #[serde(default)]
    states: BTreeMap<String, String>,
}

/// The keys that an entry tells of, and their states; `None` when Signet cannot have written it.
pub(super) fn states(entry: &Entry) -> Option<BTreeMap<String, String>> {
    serde_json::from_str::<Told>(&entry.detail).ok().map(|told| told.states)
}

pub(super) fn write(action: &Action, at: Timestamp) -> String {
    let mut detail = match action {
        Action::KeyOpened { algorithm, .. }
        | Action::KeyPublished { algorithm, .. }
        | Action::CutOverCancelled { algorithm } => json!({"algorithm": algorithm.as_str()}),
        Action::CutOverPlanned { algorithm, at } => json!({"algorithm": algorithm.as_str(), "at": at.to_string()}),
        Action::KeyRevoked { reason, .. } => json!({"reason": reason}),
        Action::PolicyChanged { before, after } | Action::TenantChanged { before, after } => {
            json!({"before": before, "after": after})
        }
        Action::KeyRehearsed { webhooks, refused, .. } => json!({"webhooks": webhooks, "refused": refused}),
        Action::TenantMade { name, .. } => json!({"name": name}),
        Action::ApiKeyMade { label, scopes, .. } => json!({"label": label, "scopes": scopes}),
        Action::WebhookMade { url, .. } => json!({"url": url}),
        Action::WebhookChanged { members, seen, .. } => webhook_changed(members, seen),
        Action::EventTypesDescribed { made, replaced, names } => {
            json!({"made": made, "replaced": replaced, "names": names})
        }
        Action::HookChanged { members, url, .. } => json!({"members": members, "url": url}),
        Action::MasterKeyRewrapped { records, stuck, .. } => json!({"records": records, "stuck": stuck}),
        Action::LogBegun
        | Action::KeyFound { .. }
        | Action::KeyPromoted { .. }
        | Action::WaitOverruled { .. }
        | Action::KeyWithdrawn { .. }
        | Action::KeyArchived { .. }
        | Action::RevocationRepeated { .. }
        | Action::ApiKeyRevoked { .. }
        | Action::WebhookDeleted { .. }
        | Action::EventTypeForgotten { .. }
        | Action::HookSecretChanged
        | Action::MasterKeyAdded { .. }
        | Action::MasterKeySwitched { .. }
        | Action::MasterKeyDropped { .. } => json!({}),
    };
    let states = action.states(at);
    if !states.is_empty() {
        detail["states"] = states.iter().map(|(kid, state)| (kid.to_string(), Value::from(state.as_str()))).collect();
    }
    detail.to_string()
}

fn webhook_changed(members: &[&str], seen: &[(&str, String, String)]) -> Value {
    let mut detail = json!({"members": members});
    for (member, before, after) in seen {
        detail[*member] = json!({"before": before, "after": after});
    }
    detail
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::key_ring::Kid;

    #[test]
    fn a_detail_is_written_in_one_way_and_its_states_are_read_again() {
        let (kid, successor) = (Kid::from_text("a"), Some(Kid::from_text("b")));
        let action = Action::KeyRevoked { kid, successor, reason: "left on a \"train\"".to_owned() };

        let detail = write(&action, Timestamp::from_micros(0));

        assert_eq!(detail, r#"{"reason":"left on a \"train\"","states":{"a":"revoked","b":"active"}}"#);
        let told: Told = serde_json::from_str(&detail).unwrap();
        assert_eq!(told.states["b"], "active");
    }
}
