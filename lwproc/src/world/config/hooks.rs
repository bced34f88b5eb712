//! Exit hooks: what runs when a process ends, before anything of it is given back.

use crate::errno::errors;
use crate::host::Host;
use crate::object::home::Anchor;
use crate::object::node::ProcPtr;
use crate::sync::Arc as ModelArc;
use crate::world::participant::Participant;
use std::sync::Arc;

errors! {
    /// Why an exit hook was not taken away.
    HookError {
        /// It has been taken away already.
        NoSuchHook => ENOENT, "no such exit hook";
        /// The hook is of another kernel.
        WrongKernel => EXDEV, "the exit hook is of another kernel";
    }
}

/// Names an exit hook. Never used for another one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct HookId {
    pub(crate) kernel: u64,
    pub(crate) number: u64,
}

/// What is called at the end of a process. It gets the process in the terms of the thread
/// that ends it; `handles/ending.rs` turns that into what a user's closure looks at.
pub(crate) trait ExitHook<H: Host>: Send + Sync {
    /// # Safety
    /// `proc` is in the table, and is ended by the caller: it is taken out, and what its
    /// LWPs alone could see, after this. The caller has the participant `me`.
    unsafe fn run(
        &self,
        me: &Participant<H>,
        anchor: Option<&ModelArc<Anchor<H>>>,
        proc: ProcPtr<H>,
    );
}

/// An established hook.
pub(crate) struct Hook<H: Host> {
    pub(crate) number: u64,
    pub(crate) hook: Arc<dyn ExitHook<H>>,
}

impl<H: Host> Clone for Hook<H> {
    fn clone(&self) -> Self {
        Self { number: self.number, hook: self.hook.clone() }
    }
}
