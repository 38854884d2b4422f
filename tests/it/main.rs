//! The service over HTTP, its store, and the real binary under fire: one test binary.

mod delivery;
mod keys;
mod readme;
mod support;
