//! Calls: what a receiver is asked and answers at once, where a delivery only tells it something.

pub mod code;
pub mod failure;
pub mod users;

pub use code::Code;
pub use failure::{Failure, Told};
pub use users::{User, UserAction, UserRequest};
