//! What is true: values, states and decisions.
//!
//! Everything here is a plain value or a pure function over plain values. Nothing in this ring opens a socket, reads a
//! clock, rolls dice or knows how a value is written down; those who do pass the outcome in as an argument. A value of
//! one of these types is true: its constructor refused everything else.

pub mod access;
pub mod audit;
pub mod call;
pub mod catalogue;
pub mod delivery;
pub mod dialect;
pub mod event;
pub mod event_type;
pub mod failure;
pub mod hook;
pub mod id;
pub mod key_ring;
pub mod quota;
pub mod retry;
pub mod secret;
pub mod shown;
pub mod tenant;
pub mod time;
pub mod token;
pub mod webhook;
