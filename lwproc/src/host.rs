//! The hypercall boundary: what the kernel asks of the one that hosts it.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::id::{Lid, Pid};
use crate::report::Teardown;
use crate::signal::Signo;

/// Names one LWP towards the host: its number, which an exec [may
/// change](Host::renumber), and a serial that tells it from others
/// that had or will have that number, in all kernels of this host process. A serial
/// recurs after 2^32 LWPs.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LwpToken {
    lid: Lid,
    serial: NonZeroU32,
}

impl LwpToken {
    pub(crate) fn new(lid: Lid, serial: NonZeroU32) -> Self {
        Self { lid, serial }
    }

    /// The LWP's number.
    pub fn lid(self) -> Lid {
        self.lid
    }

    /// The serial.
    pub fn serial(self) -> NonZeroU32 {
        self.serial
    }
}

impl fmt::Debug for LwpToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LwpToken({}#{})", self.lid, self.serial)
    }
}

/// The serial of a new LWP. A thread takes 1,024 at a time, so that making an LWP
/// writes nothing shared.
pub(crate) fn next_serial() -> NonZeroU32 {
    // Not `crate::sync`: no model depends on what the numbers are.
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    const BLOCK: u32 = 1024;
    static BLOCKS: AtomicU32 = AtomicU32::new(0);
    std::thread_local! {
        static LAST: Cell<u32> = const { Cell::new(0) };
    }
    let next = LAST.get().wrapping_add(1);
    // The first of each block is left out; so 0 is.
    let next = match next % BLOCK {
        // Relaxed: only uniqueness is wanted.
        0 | 1 => BLOCKS.fetch_add(BLOCK, Relaxed) + 1,
        _ => next,
    };
    LAST.set(next);
    NonZeroU32::new(next).expect("not the first of its block")
}

/// What an embedder supplies: its types, and the hypercalls. All hypercalls have
/// defaults: curlwp in thread-local storage, and nothing at the other calls. Who wants
/// types of its own and no hypercall has [`ThreadHost`], and writes no `impl`.
///
/// # Order of calls
/// For each LWP: `create`; then any number of `set` ... `clear`, each pair on
/// one thread, `set` only when `current()` there is `None`, `clear` only when
/// it is this LWP; then `destroy`, exactly once, last. `switch` is a `clear` of the
/// old LWP and a `set` of the new one; which of the two ways a thread takes is not
/// promised. Entering and leaving with
/// a bound LWP calls nothing, and neither does an implicit context, which has no
/// LWP. "Current" is for each kernel apart. One exception: an LWP that is bound
/// to another thread when its kernel is torn down is destroyed without `clear`,
/// which only that thread could call.
///
/// # Panics
/// A panic passes through to the caller, and nothing is lost: an LWP whose
/// `create` panics is released, with its `destroy`; when `set`, `clear` or `switch` panics,
/// the switch is made all the same, the old LWP is dropped if there is one, and the
/// thread is taken to have no `current()`; when `syscall_intern` does, no process is
/// made. The teardown releases everything and panics afterwards. A panic while the
/// kernel is built leaks its memory.
///
/// # Blocking
/// The kernel holds no lock while it calls the host; an operation that calls
/// it is as blocking as the host is. `create` and `destroy` are called with a
/// guard held: while they block, nothing retired in the kernel is freed.
// Seed: the `RUMPUSER_LWP_*` hypercalls, S120-S148; an implicit context made
// them at every entry there.
pub trait Host: Send + Sync + Sized + 'static {
    /// What a process is given by [`Spawn::vmspace`](crate::Spawn::vmspace), owns, and
    /// drops when it ends.
    type VmSpace: Send + Sync + 'static;

    /// An open file: what descriptors refer to. It is closed by dropping it.
    type File: Send + Sync + 'static;

    /// An emulation: what a process's system calls mean (`struct emul`). The
    /// default value is that of a kernel that is given no other.
    type Emul: Default + Send + Sync + 'static;

    /// A process's place in the file system (`struct cwdinfo`). proc0 and init
    /// have the default value, released by dropping it.
    type Vfs: Default + Clone + Send + Sync + 'static;

    /// What [`Signals::queue`](crate::Signals::queue) sends with a signal
    /// (`union sigval`, a `siginfo_t`).
    type SigValue: Send + 'static;

    /// An LWP comes to be (`RUMPUSER_LWP_CREATE`).
    fn create(&self, lwp: LwpToken) {
        let _ = lwp;
    }

    /// An LWP is gone (`RUMPUSER_LWP_DESTROY`).
    fn destroy(&self, lwp: LwpToken) {
        let _ = lwp;
    }

    /// The calling thread now runs as this LWP (`RUMPUSER_LWP_SET`).
    #[inline]
    fn set(&self, lwp: LwpToken) {
        CURLWP.with(|current| current.set(Some(lwp)));
    }

    /// The calling thread no longer does (`RUMPUSER_LWP_CLEAR`).
    #[inline]
    fn clear(&self, lwp: LwpToken) {
        // Another kernel on this thread may have set its own since.
        if CURLWP.with(Cell::get) == Some(lwp) {
            CURLWP.with(|current| current.set(None));
        }
    }

    /// The calling thread, which ran as `old`, runs as `new` from now on: a switch calls
    /// this in the place of `clear` and `set`. Default: the two, in that order.
    #[inline]
    fn switch(&self, old: LwpToken, new: LwpToken) {
        self.clear(old);
        self.set(new);
    }

    /// An LWP bears another number from now on: it execs, and takes that of its process
    /// ([`Difference::ExecOfFurtherLwp`](crate::Difference::ExecOfFurtherLwp)). What was
    /// `old` at the calls before is `new` at those that come; the serial is the same. Called in
    /// the thread that runs as it. Default: a [`switch`](Self::switch), if it is current
    /// there. A host that keeps something by token finds its way by the serial, or replaces this.
    fn renumber(&self, old: LwpToken, new: LwpToken) {
        if self.current() == Some(old) {
            self.switch(old, new);
        }
    }

    /// What `set` left on the calling thread (`rumpuser_curlwp`).
    #[inline]
    fn current(&self) -> Option<LwpToken> {
        CURLWP.with(Cell::get)
    }

    /// The place of a new process, from its parent's (`rump_proc_vfs_init`). The
    /// parent is running. Called when nothing else can refuse the fork, before the
    /// process can be seen. If this panics, nothing has happened; if
    /// [`syscall_intern`](Self::syscall_intern) then does, the place is released.
    // Seed: S288.
    fn vfs_init(&self, parent: &Self::Vfs) -> Self::Vfs {
        parent.clone()
    }

    /// A process has ended, or was not made after all, and its place is given back
    /// (`rump_proc_vfs_release`): once for each [`vfs_init`](Self::vfs_init).
    // Seed: S187.
    fn vfs_release(&self, vfs: Self::Vfs) {
        drop(vfs);
    }

    /// A process is made, which has the default emulation (`e_syscall_intern`).
    /// It cannot be found by its number yet. Not called for proc0 and init.
    fn syscall_intern(&self, emul: &Self::Emul, pid: Pid) {
        let _ = (emul, pid);
    }

    /// A signal for a process, in a kernel that passes signals to its host
    /// ([`SigModel::Raise`](crate::SigModel::Raise)). Called with a guard held.
    fn raise(&self, pid: Pid, signo: Signo) {
        let _ = (pid, signo);
    }

    /// A signal for a process, in a kernel for which that is a defect of its
    /// embedder ([`SigModel::Panic`](crate::SigModel::Panic)).
    ///
    /// # Panics
    /// Unless the host has a body of its own.
    fn unhandled_signal(&self, pid: Pid, signo: Signo) {
        panic!("{signo} for process {pid}, in a kernel built to take no signals");
    }

    /// What time it is: how long ago an origin of the host's choice was. It never goes
    /// back. Deadlines are such times ([`Entered::until`](crate::Entered::until)).
    /// Default: what has passed since this host process first asked, by
    /// [`Instant`].
    ///
    /// A host with a time of its own replaces [`sleep_limit`](Self::sleep_limit) as
    /// well, and calls [`Kernel::tick`](crate::Kernel::tick) when time has passed.
    ///
    /// Threads that sleep with a deadline ask this, without a virtual CPU and the big
    /// lock. It must not sleep in the kernel.
    fn now(&self) -> Duration {
        since_first_asked()
    }

    /// How long a thread may sleep, by the time that threads sleep by
    /// ([`std::thread::park_timeout`]), before it asks [`now`](Self::now) again because of
    /// that deadline; `None`: until a [`Kernel::tick`](crate::Kernel::tick). Default: what
    /// is left of it.
    fn sleep_limit(&self, deadline: Duration) -> Option<Duration> {
        Some(deadline.saturating_sub(self.now()))
    }

    /// The kernel is torn down; `report` says who survived.
    fn teardown(&self, report: &Teardown) {
        let _ = report;
    }
}

/// The time of hosts that have none of their own.
fn since_first_asked() -> Duration {
    // Not `crate::sync`: it publishes nothing, and the models' hosts own their time.
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    ORIGIN.get_or_init(Instant::now).elapsed()
}

std::thread_local! {
    static CURLWP: Cell<Option<LwpToken>> = const { Cell::new(None) };
}

/// The default host: curlwp in thread-local storage, and the embedder's types, each `()`
/// unless it is named: file, address space, emulation, place in the file system, what comes
/// with a signal.
///
/// ```
/// use lwproc::{Kernel, OnExec, ThreadHost};
///
/// let kernel = Kernel::builder().host(ThreadHost::<std::fs::File>::new()).build()?;
/// let k = kernel.enter()?;
/// # if cfg!(unix) {
/// let null = k.files().open(std::fs::File::open("/dev/null")?, OnExec::Close)?;
/// assert!(k.files().get(null)?.metadata().is_ok());
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// There is one curlwp for each thread, for all the kernels that use this host: with
/// several of them on one thread, `current` is what was set last by any.
pub struct ThreadHost<File = (), VmSpace = (), Emul = (), Vfs = (), SigValue = ()>(
    Types<(File, VmSpace, Emul, Vfs, SigValue)>,
);

/// Types, and no value of them.
type Types<T> = PhantomData<fn() -> T>;

impl<File, VmSpace, Emul, Vfs, SigValue> ThreadHost<File, VmSpace, Emul, Vfs, SigValue> {
    /// The host, which is nothing but its types.
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<File, VmSpace, Emul, Vfs, SigValue> Clone for ThreadHost<File, VmSpace, Emul, Vfs, SigValue> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<File, VmSpace, Emul, Vfs, SigValue> Copy for ThreadHost<File, VmSpace, Emul, Vfs, SigValue> {}

impl<File, VmSpace, Emul, Vfs, SigValue> Default
    for ThreadHost<File, VmSpace, Emul, Vfs, SigValue>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<File, VmSpace, Emul, Vfs, SigValue> fmt::Debug
    for ThreadHost<File, VmSpace, Emul, Vfs, SigValue>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ThreadHost")
    }
}

impl<File, VmSpace, Emul, Vfs, SigValue> Host for ThreadHost<File, VmSpace, Emul, Vfs, SigValue>
where
    File: Send + Sync + 'static,
    VmSpace: Send + Sync + 'static,
    Emul: Default + Send + Sync + 'static,
    Vfs: Default + Clone + Send + Sync + 'static,
    SigValue: Send + 'static,
{
    type VmSpace = VmSpace;
    type File = File;
    type Emul = Emul;
    type Vfs = Vfs;
    type SigValue = SigValue;

    // What `clear` leaves is what `set` replaces.
    #[inline]
    fn switch(&self, _old: LwpToken, new: LwpToken) {
        self.set(new);
    }
}
