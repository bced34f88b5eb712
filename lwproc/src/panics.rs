//! Panics of user code, kept until what they came in the way of is done.
//!
//! User code is host calls, hooks, sinks, drops. A panic in `vfs_init` or `syscall_intern`
//! undoes the fork; one in `create`, or of a sink in a making, releases the LWP just made;
//! after one in `set` or `clear` the switch is made. One in `destroy`, in a hook or in a drop
//! is kept in an `Aftermath` until the LWP, and perhaps its process, has ended, and goes on
//! then. Where several files are closed each is, and the first panic goes on. A panic while a
//! thread's storage is destroyed is swallowed. After a panic in `create` while the kernel is
//! built, or in the last `destroy` of proc0 and init, the world is leaked.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// How many panics in the drops of panics are dropped; the next one is leaked.
const DEPTH: usize = 8;

/// What user code panicked with, until it goes on. Dropping it lets nothing out: what a
/// panic carries is user code as well.
#[derive(Debug)]
pub(crate) struct Panic(Option<Box<dyn Any + Send>>);

impl Panic {
    /// Goes on with it.
    pub(crate) fn go_on(mut self) -> ! {
        resume_unwind(self.0.take().expect("taken here or by drop"))
    }

    /// Goes on with it, unless the thread unwinds already: for what has been done
    /// nevertheless.
    pub(crate) fn report(self) {
        if !std::thread::panicking() {
            self.go_on();
        }
    }
}

impl Drop for Panic {
    fn drop(&mut self) {
        let mut payload = self.0.take();
        // What a drop panics with may panic when it is dropped, and so on.
        for _ in 0..DEPTH {
            match catch_unwind(AssertUnwindSafe(|| drop(payload.take()))) {
                Ok(()) => return,
                Err(of_its_own) => payload = Some(of_its_own),
            }
        }
        std::mem::forget(payload);
    }
}

/// Runs user code; what it panicked with is the error.
pub(crate) fn catch<R>(user_code: impl FnOnce() -> R) -> Result<R, Panic> {
    catch_unwind(AssertUnwindSafe(user_code)).map_err(|payload| Panic(Some(payload)))
}
