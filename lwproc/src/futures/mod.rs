//! LWPs under async runtimes. No executor: `std::task` only.

mod ends;
mod scope;

pub use scope::Scope;
