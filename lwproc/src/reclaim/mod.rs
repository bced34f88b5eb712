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
//! Two implementations stand behind these names: crossbeam-epoch, and in the
//! models (`cfg(lwproc_loom)`, `cfg(lwproc_shuttle)`) one that checks exactly these
//! rules (`docs/DESIGN.md`, "The model epoch"). With `cfg(lwproc_real_epochs)` the
//! models have crossbeam-epoch too, and objects that know when they are freed.

pub mod counted;
mod link;
pub mod mailbox;
pub mod refcount;
pub mod shared;

#[cfg(any(lwproc_real_epochs, not(any(lwproc_loom, lwproc_shuttle))))]
#[path = "real.rs"]
mod imp;
#[cfg(all(not(lwproc_real_epochs), any(lwproc_loom, lwproc_shuttle)))]
#[path = "model.rs"]
mod imp;
#[cfg(lwproc_real_epochs)]
mod watched;

pub use imp::{Collector, Local, Managed, Pin};
pub use link::{Link, Tagged};
pub use refcount::RefCount;
