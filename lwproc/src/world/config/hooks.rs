//! Hooks: exit hooks run when a process ends, before anything of it is given back; zombie
//! hooks when its parent can wait for it.

use crate::errno::errors;
use crate::host::Host;
use crate::object::home::Anchor;
use crate::object::node::ProcPtr;
use crate::sync::Arc as ModelArc;
use crate::world::participant::Participant;
use std::sync::Arc;

errors! {
    /// Why a hook was not taken away.
    HookError {
        /// It has been taken away already.
        NoSuchHook => ENOENT, "no such hook";
        /// The hook is of another kernel.
        WrongKernel => EXDEV, "the hook is of another kernel";
    }
}

/// Names an exit hook or a zombie hook. Never used for another one.
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

/// What is called when a process has become a zombie that its parent can wait for.
pub(crate) trait ZombieHook<H: Host>: Send + Sync {
    /// # Safety
    /// Both were in the table under a pin of `me`, which the caller has.
    unsafe fn run(
        &self,
        me: &Participant<H>,
        anchor: Option<&ModelArc<Anchor<H>>>,
        child: ProcPtr<H>,
        parent: ProcPtr<H>,
    );
}

/// When it is called.
pub(crate) enum Call<H: Host> {
    Exit(Arc<dyn ExitHook<H>>),
    Zombie(Arc<dyn ZombieHook<H>>),
}

impl<H: Host> Clone for Call<H> {
    fn clone(&self) -> Self {
        match self {
            Self::Exit(hook) => Self::Exit(hook.clone()),
            Self::Zombie(hook) => Self::Zombie(hook.clone()),
        }
    }
}

/// An established hook.
pub(crate) struct Hook<H: Host> {
    pub(crate) number: u64,
    pub(crate) call: Call<H>,
}

impl<H: Host> Clone for Hook<H> {
    fn clone(&self) -> Self {
        Self { number: self.number, call: self.call.clone() }
    }
}
