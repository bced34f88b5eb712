//! Sleeping, and waking.
#![allow(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use libc::{c_int, c_void};
use lwproc::{Lid, SyncObject, Unslept, WaitChannel};

use super::{store, until, wanted};
use crate::context;
use crate::embedded::{Value, in_callback, lwproc_destructor};
use crate::host::{Deadline, NEVER};
use crate::mistake::{Mistake, Refusal, errno, must};
use crate::names::lwp;
use crate::registry;

/// Where LWPs sleep until something has happened. It is of no kernel. A real pointer: made by
/// lwproc_channel_create, and used no more once lwproc_channel_destroy has returned 0.
pub struct lwproc_channel {
    queue: WaitChannel,
    sleepers: AtomicUsize,
}

impl std::fmt::Debug for lwproc_channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.queue.fmt(f)
    }
}

/// Says whether what an LWP sleeps for has come: not 0. A callback.
pub type lwproc_condition = Option<unsafe extern "C" fn(arg: *mut c_void) -> c_int>;

/// A channel on which nobody sleeps. Also in a callback.
///
/// # Safety
/// `channel` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_channel_create(channel: *mut *mut lwproc_channel) -> c_int {
    errno("lwproc_channel_create", || {
        wanted(channel)?;
        let new = lwproc_channel { queue: WaitChannel::new(), sleepers: AtomicUsize::new(0) };
        // SAFETY: by contract.
        unsafe { store(channel, Box::into_raw(Box::new(new))) }
    })
}

/// Ends a channel. NULL: does nothing. EBUSY: an LWP sleeps on it. Also in a callback.
///
/// A thread that has woken the last sleeper may still be in its wake-up: the program says
/// what it slept for, and wakes, under a lock that it takes once more before this.
///
/// # Safety
/// `channel` is from lwproc_channel_create, is not destroyed, and no thread uses it from now
/// on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_channel_destroy(channel: *mut lwproc_channel) -> c_int {
    errno("lwproc_channel_destroy", || {
        if channel.is_null() {
            return Ok(());
        }
        // SAFETY: by contract.
        let sleepers = unsafe { &(*channel).sleepers };
        // Acquire: what the sleepers did with it; pairs with Release in `Sleeping`.
        if sleepers.load(Acquire) > 0 {
            return Err(Mistake::Refused(libc::EBUSY, "an lwp sleeps on it".into()).into());
        }
        // SAFETY: by contract; nobody sleeps.
        drop(unsafe { Box::from_raw(channel) });
        Ok(())
    })
}

/// # Safety
/// NULL, which is a mistake, or a channel that is not destroyed before the result goes.
unsafe fn channel<'a>(channel: *const lwproc_channel) -> Result<&'a lwproc_channel, Refusal> {
    // SAFETY: by contract.
    unsafe { channel.as_ref() }.ok_or(Mistake::Argument("no channel").into())
}

/// Counts a sleeper.
struct Sleeping<'c>(&'c lwproc_channel);

impl<'c> Sleeping<'c> {
    fn on(channel: &'c lwproc_channel) -> Self {
        // Relaxed: who destroys the channel at the same time breaks the contract.
        channel.sleepers.fetch_add(1, Relaxed);
        Self(channel)
    }
}

impl Drop for Sleeping<'_> {
    fn drop(&mut self) {
        // Release: this thread is done with the channel; pairs with Acquire in
        // `lwproc_channel_destroy`.
        self.0.sleepers.fetch_sub(1, Release);
    }
}

/// Sleeps until `condition(arg)` is not 0: it is called at once, in this thread, and again
/// after every wake-up, and sees what a waker did before it woke the channel. It blocks
/// the thread, and gives a virtual CPU and the big lock to others meanwhile; the condition
/// has both, if the caller did.
///
/// EINTR, while the condition does not hold: a signal is pending that is not blocked, the LWP
/// is to exit (lwproc_must_exit), or it was unslept. An implicit thread is not interrupted.
///
/// # Safety
/// `channel` is not destroyed meanwhile; `condition` may be called with `arg`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_sleep(
    channel: *mut lwproc_channel,
    condition: lwproc_condition,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: by contract.
    errno("lwproc_sleep", || unsafe { sleep(channel, condition, arg, NEVER) })
}

/// As lwproc_sleep, until the deadline, a time of CLOCK_MONOTONIC; NULL: never. ETIMEDOUT: it
/// has come, and the condition does not hold, not even then. EINVAL: no time.
///
/// # Safety
/// As lwproc_sleep; `deadline` is NULL or may be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_sleep_until(
    channel: *mut lwproc_channel,
    condition: lwproc_condition,
    arg: *mut c_void,
    deadline: *const libc::timespec,
) -> c_int {
    errno("lwproc_sleep_until", || {
        // SAFETY: by contract.
        let deadline = unsafe { until(deadline)? };
        // SAFETY: by contract.
        unsafe { sleep(channel, condition, arg, deadline) }
    })
}

/// # Safety
/// As lwproc_sleep.
unsafe fn sleep(
    channel: *mut lwproc_channel,
    condition: lwproc_condition,
    arg: *mut c_void,
    deadline: Deadline,
) -> Result<(), Refusal> {
    // SAFETY: by contract.
    let channel = unsafe { self::channel(channel)? };
    let condition = condition.ok_or(Mistake::Argument("no condition"))?;
    // SAFETY: the embedder's function and its argument.
    let holds = || in_callback(|| unsafe { condition(arg) } != 0).then_some(());
    context::public_until(deadline, |cx| {
        let _counted = Sleeping::on(channel);
        Ok(cx.k_mut().until(deadline).sleep_on(&channel.queue, holds)?)
    })
}

/// Wakes every LWP that sleeps on the channel, in whatever kernel. What they sleep for must
/// have been done before. It never waits. Also in a callback.
///
/// # Safety
/// `channel` is not destroyed meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_wakeup(channel: *mut lwproc_channel) -> c_int {
    errno("lwproc_wakeup", || {
        // SAFETY: by contract.
        unsafe { self::channel(channel)? }.queue.wake_all();
        Ok(())
    })
}

/// The same for one of the LWPs, if any sleeps; one that stops sleeping at the same moment
/// passes it on. Also in a callback.
///
/// # Safety
/// As lwproc_wakeup.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_wakeup_one(channel: *mut lwproc_channel) -> c_int {
    errno("lwproc_wakeup_one", || {
        // SAFETY: by contract.
        unsafe { self::channel(channel)? }.queue.wake_one();
        Ok(())
    })
}

/// Ends the sleep of an LWP, whose call returns EINTR; when it does not sleep, nothing is
/// done. lwproc_wait and lwproc_wait_alone go on. `cleanup` says nothing here.
///
/// Aborts when the LWP has gone, or is none. Also in a callback.
#[unsafe(no_mangle)]
pub extern "C" fn lwp_unsleep(l: *mut lwp, cleanup: c_int) {
    let _ = cleanup;
    must("lwp_unsleep", || unsleep(l).map(drop));
}

/// As lwp_unsleep; whether it slept, 1 or 0 into `slept`, unless that is NULL. ESRCH: it has
/// gone, or is of another kernel. EINVAL: it is none. Also in a callback.
///
/// # Safety
/// `slept` is NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_try_unsleep(l: *mut lwp, slept: *mut c_int) -> c_int {
    errno("lwproc_try_unsleep", || {
        let done = unsleep(l)?;
        // SAFETY: by contract.
        if slept.is_null() { Ok(()) } else { unsafe { store(slept, done) } }
    })
}

fn unsleep(l: *mut lwp) -> Result<c_int, Refusal> {
    let instance = registry::current()?;
    Ok(instance.with_lwp(l, |l| c_int::from(l.unsleep() == Unslept::Woken))?)
}

/// Sleeps in the embedder's way. A callback.
pub type lwproc_sleeper = Option<unsafe extern "C" fn(arg: *mut c_void)>;

/// Ends such a sleep. A callback, which may not block.
pub type lwproc_unsleeper = Option<unsafe extern "C" fn(arg: *mut c_void, lid: c_int)>;

/// What an LWP sleeps on in the embedder's way.
struct CSyncObject {
    unsleep: unsafe extern "C" fn(*mut c_void, c_int),
    arg: Value,
}

impl SyncObject for CSyncObject {
    fn unsleep(&self, lwp: Lid) {
        // SAFETY: the embedder's function and its arguments.
        in_callback(|| unsafe { (self.unsleep)(self.arg.data.0, lwp.0) });
    }
}

/// Sleeps in the embedder's way (l_syncobj): `sleep(arg)` blocks in this thread, and returns
/// once `unsleep(arg, lid)` has been called, also if that was before; or for reasons of its
/// own, such as a time limit. A virtual CPU and the big lock are given to others meanwhile.
///
/// `unsleep` is called, in any thread, by what would interrupt lwproc_sleep; perhaps more than
/// once, and for some time after the sleep. `destructor(arg)` is called once, when that cannot
/// happen any more, perhaps before this call returns and perhaps much later, also on EINTR;
/// on another error `arg` is the caller's as before.
///
/// 0: it has slept; what the sleep was ended for is to be asked (lwproc_must_exit,
/// lwproc_sigtake). EINTR: a reason was there already, and `sleep` was not called.
///
/// # Safety
/// The functions may be called with `arg`, the last two from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_sleep_with(
    sleep: lwproc_sleeper,
    unsleep: lwproc_unsleeper,
    destructor: lwproc_destructor,
    arg: *mut c_void,
) -> c_int {
    errno("lwproc_sleep_with", || {
        let sleep = sleep.ok_or(Mistake::Argument("no way to sleep"))?;
        let unsleep = unsleep.ok_or(Mistake::Argument("no way to be woken"))?;
        context::public(|cx| {
            let object = Arc::new(CSyncObject { unsleep, arg: Value::new(arg, destructor) });
            // SAFETY: the embedder's function and its argument.
            let sleep = || in_callback(|| unsafe { sleep(arg) });
            Ok(cx.k_mut().sleep_with(object, sleep)?)
        })
    })
}
