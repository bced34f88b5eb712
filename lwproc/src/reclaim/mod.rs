//! Safe memory reclamation: objects that readers may still be looking at.
//!
//! # Rules
//! 1. Every object that a lock-free reader can reach is a [`Managed`].
//! 2. A reader holds a [`Pin`] from before it loads a pointer until after its
//!    last use of the object.
//! 3. Whoever makes an object unreachable, and only that thread, calls
//!    [`Pin::retire`] once. The memory is freed when every pin that could
//!    have seen the object is gone.
//! 4. An object kept by a count ([`RefCount`]) is retired by whoever brings
//!    the count to zero, after the object has become unreachable. A count
//!    never rises from zero.
//!
//! Two implementations stand behind these names: crossbeam-epoch, and under
//! `cfg(lwproc_loom)` a model that checks exactly these rules
//! (`docs/DESIGN.md`, "The model epoch").

pub mod counted;
mod link;
pub mod mailbox;
pub mod refcount;
pub mod shared;

#[cfg(not(lwproc_loom))]
#[path = "real.rs"]
mod imp;
#[cfg(lwproc_loom)]
#[path = "model.rs"]
mod imp;

pub use imp::{Collector, Local, Managed, Pin};
pub use link::{Link, Tagged};
pub use refcount::RefCount;
