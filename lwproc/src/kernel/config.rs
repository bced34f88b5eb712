//! What may be replaced while the kernel runs, and keys of specific data.

use super::Kernel;
use crate::emul::{EmulError, EmulId, Emuls};
use crate::handles::ending::Ending;
use crate::handles::proc::ProcRef;
use crate::host::Host;
use crate::object::terminal::Terminal;
use crate::object::trace::TraceSink;
use crate::ops::hooks;
use crate::specific::{LwpKey, ProcKey};
use crate::sync::Relaxed;
use crate::world::config::hooks::{Call, HookError, HookId};
use crate::world::config::{LimitsPolicy, Part};
use std::sync::Arc;

impl<H: Host> Kernel<H> {
    /// Has `hook` called at the end of each process, before anything of it is
    /// given back: its pid, family, group, credentials, limits, name, place in the file
    /// system and specific data are still there, and it can be found, but has no LWP and takes none. Hooks are called in
    /// the thread that ended the process's last LWP, the last established first,
    /// with a guard held. They may look around, and establish and take away hooks,
    /// which counts from the next process on. A panic of one reaches who ended the
    /// process, after the others have been called and the process has ended.
    ///
    /// The kernel keeps the hook until it is taken away: what it captures must not
    /// keep the kernel (a `Weak` does not).
    ///
    /// Lock-free but for the allocator; O(hooks).
    // Seed: `exithook_establish`; the call, S189 (R18).
    #[doc(alias = "exithook_establish")]
    pub fn add_exit_hook(&self, hook: impl Fn(&Ending<'_, H>) + Send + Sync + 'static) -> HookId {
        hooks::establish(&self.world, Call::Exit(Arc::new(hook)))
    }

    /// Takes an exit hook away: it is not called for a process whose end begins
    /// from now on. A call under way goes on; the hook is dropped after the last.
    ///
    /// Lock-free but for the allocator; O(hooks).
    ///
    /// # Errors
    /// [`HookError::NoSuchHook`] (ENOENT): taken away already.
    /// [`HookError::WrongKernel`] (EXDEV).
    // Seed: `exithook_disestablish`.
    #[doc(alias = "exithook_disestablish")]
    pub fn remove_exit_hook(&self, hook: HookId) -> Result<(), HookError> {
        hooks::disestablish(&self.world, hook)
    }

    /// Has `hook` called with each zombie and its parent, once the parent can wait for it:
    /// never before, and never not at all. (An exit hook runs before.) By then another
    /// thread may have reaped it. init and proc0 reap by themselves, also the orphans that
    /// init inherits: of those nobody is told; nor with
    /// [`WaitPolicy::AutoReap`](crate::WaitPolicy::AutoReap).
    ///
    /// It is called, kept, and taken away by [`Kernel::remove_zombie_hook`], as an exit
    /// hook is. Lock-free but for the allocator; O(hooks).
    pub fn add_zombie_hook(
        &self,
        hook: impl Fn(&ProcRef<'_, H>, &ProcRef<'_, H>) + Send + Sync + 'static,
    ) -> HookId {
        hooks::establish(&self.world, Call::Zombie(Arc::new(hook)))
    }

    /// Takes a zombie hook away, as [`Kernel::remove_exit_hook`].
    ///
    /// # Errors
    /// As [`Kernel::remove_exit_hook`].
    pub fn remove_zombie_hook(&self, hook: HookId) -> Result<(), HookError> {
        hooks::disestablish(&self.world, hook)
    }

    /// Adds an emulation. The kernel keeps it until it goes. Lock-free but for the
    /// allocator.
    pub fn add_emul(&self, emul: H::Emul) -> EmulId {
        Emuls::<H>::id(self.world.serial, self.world.emuls.add(emul))
    }

    /// The emulation that the kernel was made with: the default value of
    /// [`Host::Emul`].
    pub fn native_emul(&self) -> EmulId {
        Emuls::<H>::id(self.world.serial, self.world.emuls.native())
    }

    /// The emulation of processes made from now on; those that live keep theirs.
    /// Lock-free but for the allocator.
    ///
    /// # Errors
    /// [`EmulError::WrongKernel`] (EXDEV).
    // Seed: assigning `emul_default`, S63.
    pub fn set_default_emul(&self, emul: EmulId) -> Result<(), EmulError> {
        let emul = Emuls::<H>::resolve(self.world.serial, emul)?;
        self.world.config.replace(Part::Birth, |config| config.default_emul = emul);
        Ok(())
    }

    /// The emulation that the next process will have. Wait-free.
    pub fn default_emul(&self) -> EmulId {
        Emuls::<H>::id(self.world.serial, self.world.config.load().default_emul)
    }

    /// Which limits hold. Wait-free.
    pub fn limits_policy(&self) -> LimitsPolicy {
        self.world.config.load().limits
    }

    /// Says which limits hold from now on. Lock-free but for the allocator.
    pub fn set_limits_policy(&self, limits: LimitsPolicy) {
        self.world.config.replace(Part::Birth, |config| config.limits = limits);
        self.world.config.touch_for(limits);
    }

    /// The sink that is told of the events of all processes; the one before comes
    /// back, and may still be told of what happens at the same time. It is kept as long
    /// as anything of the kernel is: a sink that holds a handle or the kernel itself
    /// keeps both until it is replaced. Lock-free but for the allocator.
    pub fn set_trace(&self, sink: Option<Arc<dyn TraceSink>>) -> Option<Arc<dyn TraceSink>> {
        let old = self.world.config.replace(Part::Sink, |config| config.sink = sink.clone());
        old.sink.clone()
    }

    /// What the embedder keeps with a terminal: that it is nobody's yet.
    pub fn new_terminal(&self) -> Terminal {
        Terminal::new(self.world.serial)
    }

    /// A new key, for data of each process. Wait-free.
    // Seed: `proc_specific_key_create`.
    #[doc(alias = "proc_specific_key_create")]
    pub fn proc_key<T: Send + Sync + 'static>(&self) -> ProcKey<T> {
        ProcKey::new(self.world.serial, self.next_key())
    }

    /// A new key, for data of each LWP. Wait-free.
    // Seed: `lwp_specific_key_create`.
    #[doc(alias = "lwp_specific_key_create")]
    pub fn lwp_key<T: Send + 'static>(&self) -> LwpKey<T> {
        LwpKey::new(self.world.serial, self.next_key())
    }

    fn next_key(&self) -> u64 {
        // Relaxed: only uniqueness is wanted, and a thread's own order.
        self.world.next_key.fetch_add(1, Relaxed)
    }
}
