//! LWPs under async runtimes. No executor: `std::task` only.

mod current;
mod ends;
mod scope;

pub use current::{CurrentError, current, current_of};
pub use scope::Scope;
