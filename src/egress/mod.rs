//! What leaves: the only ring that opens sockets to strangers.
//!
//! A webhook sender makes requests for people it does not know, so every address is judged at the moment of connecting:
//! a name is resolved once, all its answers are judged, and only judged addresses are dialled. Redirects are not
//! followed, proxies of the environment are not used, bodies are not decompressed, and every wait and every size has a
//! bound.

mod address;
mod client;
mod connect;
mod document;
mod link;
mod names;
mod operator;
mod proxy;
mod reply;
mod target;
mod tls;
mod ways;

pub use address::AddressPolicy;
pub use client::{Egress, Parcel, Question};
pub use document::Document;
pub use operator::{Fetched, OperatorClient};
pub use proxy::Proxy;
pub use reply::{Answer, EXCERPT_BYTES_MAX, Reply, retry_after};
pub use tls::Identity;
pub use ways::{EgressError, Ways};
