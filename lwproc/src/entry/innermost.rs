//! The innermost context, found without being passed down.
//!
//! While a scope is polled, or an entered thread [lends](Entered::lend) its context, a
//! frame on the stack names the context, and thread-local storage names the innermost
//! frame. A frame is pushed and popped by the same call, so the frames that are found
//! are those of calls under way.
//!
//! A frame lends its context to one closure at a time. What the closure gets is a
//! value of its own (a *view*), so what it does with that value, short of using it,
//! does not matter to the frame. A scope that is polled inside the closure has
//! another context: `world/context.rs` says why the two do not meet.
#![allow(unsafe_code)]

use crate::entry::Entered;
#[cfg(feature = "async")]
use crate::entry::nap::Nap;
#[cfg(feature = "async")]
use crate::entry::sleep::Interrupted;
use crate::errno::errors;
use crate::host::{Host, ThreadHost};
use crate::id::{Lid, Pid};
use crate::sync::thread_local;
use std::any::TypeId;
use std::cell::Cell;
#[cfg(feature = "async")]
use std::task::Waker;

errors! {
    /// Why there was no context to be had.
    CurrentError {
        /// On this thread no scope of a kernel with that host is being polled, and no
        /// context of one is lent.
        NoContext => ESRCH, "no context to be found";
        /// The closure of another call has the context, further up the stack.
        Busy => EDEADLK, "the context is in use";
        /// The scope's LWP, that one, has gone, and it has no other.
        Inert { pid: Pid, lid: Lid } => ESRCH, "lwp {pid}:{lid} of the scope is gone";
    }
}

#[cfg(not(any(lwproc_loom, lwproc_shuttle)))]
thread_local! {
    static INNERMOST: Cell<*const Frame> = const { Cell::new(std::ptr::null()) };
}
#[cfg(any(lwproc_loom, lwproc_shuttle))]
thread_local! {
    static INNERMOST: Cell<*const Frame> = Cell::new(std::ptr::null());
}

/// A poll, or a loan, that is under way.
struct Frame {
    /// The frame around this one.
    outer: *const Frame,
    /// What `entered` is typed by.
    host: TypeId,
    /// An `Entered` of that host, which stays where it is until the frame is popped.
    entered: *const (),
    /// Looks at `entered`, for a future that is polled here.
    #[cfg(feature = "async")]
    nap: unsafe fn(*const (), &mut Nap, &Waker) -> Option<Interrupted>,
    /// A closure has it.
    lent: Cell<bool>,
}

/// # Safety
/// `entered` is one of that host.
#[cfg(feature = "async")]
unsafe fn nap_in<H: Host>(entered: *const (), nap: &mut Nap, waker: &Waker) -> Option<Interrupted> {
    // SAFETY: by contract. Only shared references to it are ever made.
    nap.poll_in(unsafe { &*entered.cast::<Entered<'_, H>>() }, waker)
}

/// [`Nap::poll_in`] of the innermost context, whatever its host, and also while a closure
/// has it. Outside there is nobody to interrupt.
#[cfg(feature = "async")]
pub(crate) fn nap(nap: &mut Nap, waker: &Waker) -> Option<Interrupted> {
    let innermost = INNERMOST.try_with(Cell::get).unwrap_or(std::ptr::null());
    // SAFETY: pushed by a poll that is under way on this thread, and not popped yet.
    match unsafe { innermost.as_ref() } {
        // SAFETY: the frame's own.
        Some(frame) => unsafe { (frame.nap)(frame.entered, nap, waker) },
        None => {
            nap.end();
            None
        }
    }
}

/// Pops a frame at the end of its scope, and says so to nobody when the thread's
/// storage is gone: then it was not pushed either.
struct Pop(*const Frame);

impl Drop for Pop {
    fn drop(&mut self) {
        let _ = INNERMOST.try_with(|innermost| innermost.set(self.0));
    }
}

/// Gives a frame's context back at the end of a closure.
struct GiveBack<'f>(&'f Cell<bool>);

impl Drop for GiveBack<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// Runs `poll` as what [`current`] finds `entered` in, which is not of the thread's own
/// context.
#[inline]
pub(crate) fn within<H: Host, R>(entered: &Entered<'_, H>, poll: impl FnOnce() -> R) -> R {
    let outer = INNERMOST.try_with(Cell::get).unwrap_or(std::ptr::null());
    let host = TypeId::of::<H>();
    let entered = (&raw const *entered).cast();
    let frame = Frame {
        outer,
        host,
        entered,
        #[cfg(feature = "async")]
        nap: nap_in::<H>,
        lent: Cell::new(false),
    };
    let _ = INNERMOST.try_with(|innermost| innermost.set(&frame));
    let _pop = Pop(outer);
    poll()
}

/// Runs `f` with the innermost context on this thread, in a kernel with the default
/// host: that of the scope (feature `async`) that is being polled, or the one that
/// [`Entered::lend`] lends. It need not have been passed down, so code deep inside finds
/// out who it is:
///
/// ```
/// use lwproc::{Kernel, Rfork, current};
///
/// fn whoami() -> Option<lwproc::Pid> {
///     current(|cx| cx.pid()).ok()
/// }
/// let kernel = Kernel::new();
/// let mut k = kernel.enter()?;
/// k.rfork(Rfork::Fresh)?;
/// assert_eq!(k.lend(whoami), Some(k.pid()));
/// assert_eq!(whoami(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// With several kernels, the innermost context is that of whichever was lent or polled
/// last; for kernels with a host of their own there is [`current_of`].
///
/// The context can fork, switch, exit, open, and so on. In a scope, what it sleeps in
/// it **blocks** the executor's thread in. It is gone when `f` returns: it cannot be kept
/// over an await.
///
/// ```compile_fail
/// let kept = lwproc::current(|cx| cx.curlwp());
/// ```
///
/// Wait-free, and one thread-local load for each context between, but for `f`.
///
/// # Errors
/// [`CurrentError::NoContext`] (ESRCH). [`CurrentError::Busy`] (EDEADLK): inside the
/// closure of another call; its context is what is to be used there.
/// [`CurrentError::Inert`] (ESRCH): in a scope whose LWP has gone.
#[inline]
pub fn current<R>(f: impl FnOnce(&mut Entered<'_>) -> R) -> Result<R, CurrentError> {
    current_of::<ThreadHost, R>(f)
}

/// As [`current`], in a kernel with host `H`: `current_of::<MyHost, _>(|cx| ..)`. Contexts
/// of kernels with other hosts are passed over.
///
/// # Errors
/// As [`current`].
#[inline]
pub fn current_of<H: Host, R>(f: impl FnOnce(&mut Entered<'_, H>) -> R) -> Result<R, CurrentError> {
    let mut at = INNERMOST.try_with(Cell::get).unwrap_or(std::ptr::null());
    let host = TypeId::of::<H>();
    // SAFETY: pushed by a poll that is under way on this thread, and not popped yet.
    while let Some(frame) = unsafe { at.as_ref() } {
        if frame.host != host {
            at = frame.outer;
            continue;
        }
        let entered: *const Entered<'_, H> = frame.entered.cast();
        // SAFETY: of that type, and it stands until the frame is popped. Only shared
        // references to it are ever made, from here and from the poll or the loan.
        let entered = unsafe { &*entered };
        if let Some((pid, lid)) = entered.inert() {
            return Err(CurrentError::Inert { pid, lid });
        }
        if frame.lent.replace(true) {
            return Err(CurrentError::Busy);
        }
        let _give_back = GiveBack(&frame.lent);
        return Ok(f(&mut entered.view()));
    }
    Err(CurrentError::NoContext)
}
