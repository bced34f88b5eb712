//! The context that code runs in without having been given it; and LWPs under async
//! runtimes (feature `async`). No executor: `std::task` only.

mod current;
#[cfg(feature = "async")]
mod ends;
#[cfg(feature = "async")]
mod scope;

pub(crate) use current::within;
pub use current::{CurrentError, current, current_of};
#[cfg(feature = "async")]
pub use scope::Scope;
