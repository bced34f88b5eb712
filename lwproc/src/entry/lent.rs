//! An entered thread's context, lent to code that was not given it.
#![allow(unsafe_code)]

use super::Entered;
use super::innermost::within;
use crate::host::Host;
use crate::world::context::Context;

/// What a context ran as comes back to it at the end of its scope, also when the code
/// that had it panics.
struct GetBack<'e, 'k, H: Host> {
    entered: &'e Entered<'k, H>,
    lent: &'e Context<H>,
    /// What is put back; `None`: another context of the thread runs, and goes on.
    outer: Option<*const Context<H>>,
}

impl<H: Host> Drop for GetBack<'_, '_, H> {
    fn drop(&mut self) {
        let me = self.entered.seat.me();
        self.entered.cx.take_over(self.lent);
        if let Some(outer) = self.outer {
            me.resume(outer);
        }
        // SAFETY: the context ends here, and its borrows have.
        if let Some(cred) = unsafe { self.lent.take_init_cred() } {
            cred.release(&me.pin());
        }
        self.entered.refresh_creds();
    }
}

impl<'k, H: Host> Entered<'k, H> {
    /// Another value for the same context, which is not the thread's own. Dropping it
    /// does nothing, and so does it no harm when user code takes it for one of its own.
    pub(crate) fn view(&self) -> Self {
        Self { seat: self.share_seat(), cx: self.cx }
    }

    /// Runs `f` with this context where [`current`](crate::current) finds it: for a
    /// callback that cannot be given it, as that of an interpreter, of a C library, of a
    /// WASM guest.
    ///
    /// ```
    /// use lwproc::{ExitStatus, Kernel, Rfork, current};
    ///
    /// fn sys_getpid() -> Result<i32, lwproc::Errno> {
    ///     Ok(current(|k| k.pid().0)?)
    /// }
    ///
    /// let kernel = Kernel::new();
    /// let mut k = kernel.enter()?;
    /// k.rfork(Rfork::Fresh)?;
    /// assert_eq!(k.lend(sys_getpid)?, k.pid().0);
    /// // What the callback does is done to this context.
    /// k.lend(|| current(|k| k.exit(ExitStatus::exited(0))))??;
    /// assert!(k.curlwp().is_none());
    /// assert!(sys_getpid().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// `f` may lend the context that it finds on, and poll scopes, which have contexts of
    /// their own. Wait-free but for `f`.
    pub fn lend<R>(&mut self, f: impl FnOnce() -> R) -> R {
        // A context of its own, so that a value for it is none for the thread's: user
        // code may drop the one that `current` gives it.
        let lent = Context::lent_by(self.cx);
        let me = self.seat.me();
        let outer = (!self.is_suspended()).then(|| me.suspend(&lent));
        let _get_back = GetBack { entered: self, lent: &lent, outer };
        let entered = Entered { seat: self.share_seat(), cx: &lent };
        entered.refresh_creds();
        within(&entered, f)
    }
}
