//! What the contract says of the API, of the key sets and of what a delivery looks like, asked over real HTTP.

mod access;
mod activation;
mod cursors;
mod delivered;
mod events;
mod handling;
mod idempotency;
mod life;
mod matching;
mod pages;
mod payloads;
mod refusals;
mod tenancy;
mod webhook_faults;
mod webhooks;
mod well_known;

/// Ids that are well written and nobody's.
const NO_WEBHOOK: &str = "wh_01HZZZZZZZZZZZZZZZZZZZZZZZ";
const NO_EVENT: &str = "evt_01HZZZZZZZZZZZZZZZZZZZZZZZ";
