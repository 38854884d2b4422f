//! Signet: webhooks that a receiver verifies with public keys instead of a shared secret.
//!
//! The rings, in reading order. Arrows between them are held by `tests/tidy.rs` and explained in `ARCHITECTURE.md`.

/// What is asked: JSON over HTTP, inward.
pub mod api;
/// How it is wired: opens every ring once, then serves or runs one command.
pub mod app;
/// What is commanded.
pub mod cli;
/// What is configured: flags, environment and file become values that are proven sane.
pub mod config;
/// What is true: values, states, decisions.
pub mod domain;
/// What leaves: the only ring that opens sockets to strangers.
pub mod egress;
/// What happens: use cases and jobs; the only ring with a clock.
pub mod engine;
/// What is sealed: the only ring that touches private keys.
pub mod signing;
/// What is remembered: the only ring that speaks SQL.
pub mod store;
/// How it is written: one file per format.
pub mod wire;
