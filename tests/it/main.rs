//! The service over HTTP, its store, and the real binary under fire: one test binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by its panic")]

mod api;
mod audit;
mod catalogue;
mod crash;
mod declared;
mod delivery;
mod egress;
mod encryption;
mod formats;
mod hooks;
mod keys;
mod master_keys;
mod nodes;
mod openapi;
mod pkcs11;
mod pull;
mod readme;
mod retention;
mod secrecy;
mod signing;
mod simulation;
mod store;
mod support;
