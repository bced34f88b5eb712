//! LWPs under async runtimes. No executor: `std::task` only.

mod ends;
mod interruptible;
mod or_exit;
mod scope;

pub use ends::WaitChild;
pub use interruptible::{Interruptible, WaitUntil, interruptible};
pub use or_exit::OrExit;
pub use scope::Scope;
