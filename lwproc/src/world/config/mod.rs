//! What an embedder may replace while the kernel runs: hooks, the default
//! emulation, the limits policy, the kernel's trace sink.
//!
//! One immutable value in one cell. Making and ending read it only when the part
//! in question has ever been set: a word that is only ever added to says so.
//!
//! One cell, so that a change of one part is not lost to another's. Dropping what a load
//! returned may be user code: `newproc` does it before anything is taken, an end in its
//! aftermath. arc-swap keeps a list of the threads that ever loaded from any cell; it is not
//! freed, and a change in one kernel walks it.

pub(crate) mod hooks;

use crate::emul::EmulPtr;
use crate::host::Host;
use crate::object::proc_word::Places;
use crate::object::trace::TraceSink;
use crate::sync::config_cell::{ConfigCell, Loaded};
use crate::sync::{AtomicU32, Relaxed};
use hooks::Hook;
use std::sync::Arc;

/// Whether a limit holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Enforcement {
    /// What would exceed it fails.
    Enforced,
    /// It may be exceeded.
    #[default]
    Ignored,
}

/// Which limits hold in a kernel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub struct LimitsPolicy {
    /// [`Resource::Nproc`](crate::Resource::Nproc): a process whose real user has as
    /// many processes (zombies included) as its soft limit says cannot fork, unless
    /// it is the superuser; and one that has changed its real user since it was made or
    /// last [became another program](crate::Entered::exec) cannot do so, if the new one has
    /// more other processes than that. [By Linux's rules](crate::Difference::LimitOfLwps)
    /// further LWPs count, and are refused.
    // Linux: PF_NPROC_EXCEEDED; NetBSD: PK_SUGID in `execve_loadvm`. An exec without a
    // change of the user is refused by neither.
    pub nproc: Enforcement,
    /// [`Resource::Nthr`](crate::Resource::Nthr): a process whose real user has as many
    /// LWPs as its soft limit says, the first of each process not counted, takes no more,
    /// unless it is the superuser's.
    // NetBSD: `do_lwp_create`.
    pub nthr: Enforcement,
}

impl LimitsPolicy {
    /// The same with another rule for a user's processes.
    #[must_use]
    pub fn with_nproc(self, nproc: Enforcement) -> Self {
        Self { nproc, ..self }
    }

    /// The same with another rule for a user's LWPs.
    #[must_use]
    pub fn with_nthr(self, nthr: Enforcement) -> Self {
        Self { nthr, ..self }
    }
}

/// See the module. Immutable.
pub(crate) struct Config<H: Host> {
    /// In the order in which they were established.
    pub(crate) hooks: Arc<[Hook<H>]>,
    /// The number of the next hook; none is used twice.
    pub(crate) next_hook: u64,
    pub(crate) default_emul: EmulPtr<H>,
    pub(crate) limits: LimitsPolicy,
    pub(crate) sink: Option<Arc<dyn TraceSink>>,
}

impl<H: Host> Clone for Config<H> {
    fn clone(&self) -> Self {
        let Self { next_hook, default_emul, limits, .. } = *self;
        let (hooks, sink) = (self.hooks.clone(), self.sink.clone());
        Self { hooks, next_hook, default_emul, limits, sink }
    }
}

/// A part of the configuration.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Part {
    ExitHooks = 1,
    /// What a new process looks at.
    Birth = 2,
    Sink = 4,
    ZombieHooks = 8,
    /// The processes are counted, for their most.
    ProcPlaces = 16,
    /// The LWPs are.
    LwpPlaces = 32,
    /// What a new LWP looks at.
    NewLwp = 64,
    /// Whether any process is a subreaper.
    Subreapers = 128,
    /// Whether any child has an exit signal of its own, or none.
    CloneChildren = 256,
    /// Whether any LWP has a signal at its parent's end.
    DeathSignals = 512,
}

/// See the module.
pub(crate) struct Configuration<H: Host> {
    /// The parts that were ever set.
    touched: AtomicU32,
    cell: ConfigCell<Config<H>>,
}

impl<H: Host> Configuration<H> {
    pub(crate) fn new(native: EmulPtr<H>, limits: LimitsPolicy) -> Self {
        let config =
            Config { hooks: Arc::from([]), next_hook: 1, default_emul: native, limits, sink: None };
        let touched = if limits == LimitsPolicy::default() { 0 } else { Part::Birth as u32 };
        let new = Self { touched: AtomicU32::new(touched), cell: ConfigCell::new(config) };
        new.touch_for(limits);
        new
    }

    /// Has what a limits policy says looked at.
    pub(crate) fn touch_for(&self, limits: LimitsPolicy) {
        if [limits.nthr, limits.nproc].contains(&Enforcement::Enforced) {
            self.touch(Part::NewLwp);
        }
    }

    /// Has a part looked at from now on.
    pub(crate) fn touch(&self, part: Part) {
        // Relaxed: as in `load_if`; for places a fence comes after it [P100].
        self.touched.fetch_or(part as u32, Relaxed);
    }

    /// What is counted.
    #[inline]
    pub(crate) fn places(&self) -> Places {
        // Relaxed: as in `load_if`; a fence comes before it where it matters [P100].
        Places::from_bits(self.touched.load(Relaxed))
    }

    /// The configuration now, if that part of it was ever set. Dropping it may
    /// drop what has been replaced, which is user code.
    #[inline]
    pub(crate) fn load_if(&self, part: Part) -> Option<Loaded<Config<H>>> {
        // Relaxed: only ever added to, before the part is set. Whoever comes
        // after the setting sees it; for anybody else the setting is yet to come.
        (self.touched.load(Relaxed) & part as u32 != 0).then(|| self.cell.load())
    }

    /// Whether that part was ever set.
    #[inline]
    pub(crate) fn is_touched(&self, part: Part) -> bool {
        // Relaxed: as in `load_if`.
        self.touched.load(Relaxed) & part as u32 != 0
    }

    pub(crate) fn load(&self) -> Loaded<Config<H>> {
        self.cell.load()
    }

    /// Replaces the configuration; the one before. Lock-free but for the
    /// allocator. `change` may be called again when another thread was first.
    pub(crate) fn replace(
        &self,
        part: Part,
        mut change: impl FnMut(&mut Config<H>),
    ) -> Arc<Config<H>> {
        self.touch(part);
        self.cell.rcu(|old| {
            let mut new = old.clone();
            change(&mut new);
            new
        })
    }
}
