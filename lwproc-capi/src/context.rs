//! A thread in a kernel: for one public call, or between `rump_schedule` and
//! `rump_unschedule`.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};

use libc::c_int;
use lwproc::{Entered, Lwp, Pid, Rfork};

use crate::embedded::{self, vmspace};
use crate::host::{CHost, Deadline, NEVER};
use crate::instance::Instance;
use crate::mistake::{Mistake, Refusal};
use crate::names::{LwpName, lwp};
use crate::registry::{self, Used};

/// A thread in the kernel.
pub(crate) struct Context {
    /// First: it goes before what it borrows from.
    entered: Entered<'static, CHost>,
    pub(crate) instance: Used,
    /// `switch(NULL)`: the LWP is parked when the thread leaves. The intent is the
    /// thread's, and not the LWP's (R7).
    parks_on_leave: Cell<bool>,
}

impl Context {
    fn enter(instance: Used, deadline: Deadline) -> Result<Self, Mistake> {
        // SAFETY: the context keeps the instance, which does not move, as long as what is
        // borrowed from it.
        let kept: &'static Instance = unsafe { &*std::ptr::from_ref(&*instance) };
        let entered = match deadline {
            NEVER => kept.kernel.enter()?,
            deadline => kept.kernel.enter_until(deadline)?,
        };
        Ok(Self { entered, instance, parks_on_leave: Cell::new(false) })
    }

    pub(crate) fn k(&self) -> &Entered<'static, CHost> {
        &self.entered
    }

    pub(crate) fn k_mut(&mut self) -> &mut Entered<'static, CHost> {
        &mut self.entered
    }

    /// Runs an LWP of this kernel, and parks what was current before.
    fn run(&mut self, new: Lwp<CHost>) {
        match self.entered.switch(new) {
            Ok(old) => self.park(old),
            Err(_) => unreachable!("made or found in this kernel"),
        }
    }

    /// Parks what was current before.
    fn park(&self, old: Option<Lwp<CHost>>) {
        self.stays();
        if let Some(old) = old {
            drop(old.unclaim());
        }
    }

    pub(crate) fn curlwp(&self) -> *mut lwp {
        let curlwp = self.entered.curlwp();
        curlwp.map_or(std::ptr::null_mut(), |l| LwpName::of(l.token()).to_ptr())
    }

    pub(crate) fn newlwp(&mut self, pid: Pid) -> Result<(), Mistake> {
        let new = self.entered.new_lwp(pid)?;
        self.run(new);
        Ok(())
    }

    pub(crate) fn rfork(&mut self, vm: *mut vmspace, flags: c_int) -> Result<(), Mistake> {
        let files = Rfork::from_flags(flags)?;
        if vm.is_null() {
            let old = self.entered.rfork(files)?;
            self.park(old);
        } else {
            let vm = self.instance.kernel.host().vmspace(vm);
            let child = self.entered.spawn().vmspace(vm).files(files).start()?;
            self.run(child);
        }
        Ok(())
    }

    pub(crate) fn switch(&mut self, new: *mut lwp) -> Result<(), Mistake> {
        if new.is_null() {
            if self.entered.curlwp().is_none() {
                return Err(Mistake::NothingToPark);
            }
            self.parks_on_leave.set(true);
            return Ok(());
        }
        if self.parks_on_leave.get() && new == self.curlwp() {
            self.stays();
            return Ok(());
        }
        let new = self.instance.claim(new)?;
        self.run(new);
        Ok(())
    }

    pub(crate) fn releaselwp(&mut self) -> Result<(), Mistake> {
        self.entered.release()?;
        self.stays();
        Ok(())
    }

    /// Forgets an earlier `switch(NULL)`: an LWP that is exiting is not parked.
    pub(crate) fn stays(&self) {
        self.parks_on_leave.set(false);
    }

    /// Says who made a mistake.
    fn named<R>(&self, result: Result<R, Refusal>) -> Result<R, Refusal> {
        result.map_err(|why| {
            let by = Some((self.entered.pid(), self.entered.lid()));
            Refusal { by, ..why }
        })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if self.parks_on_leave.get()
            && let Ok(Some(lwp)) = self.entered.unbind()
        {
            drop(lwp.unclaim());
        }
    }
}

/// Where the context is between `rump_schedule` and `rump_unschedule`.
struct Scheduled(RefCell<Option<Context>>);

impl Drop for Scheduled {
    /// The thread ends without having left: its LWP is released, unless it is to be parked.
    fn drop(&mut self) {
        if let Some(mut context) = self.0.take()
            && !context.parks_on_leave.get()
        {
            // An LWP that is exiting is released by leaving.
            let _ = context.entered.unbind().map(drop);
        }
    }
}

std::thread_local! {
    static SCHEDULED: Scheduled = const { Scheduled(RefCell::new(None)) };
}

/// Puts a context back where it was, also after a panic.
struct Putting(Option<Context>);

impl Drop for Putting {
    fn drop(&mut self) {
        SCHEDULED.with(|place| *place.0.borrow_mut() = self.0.take());
    }
}

fn take_scheduled() -> Option<Context> {
    // Failure: the thread is ending, and the context with it.
    SCHEDULED.try_with(|place| place.0.take()).ok().flatten()
}

fn not_in_callback() -> Result<(), Mistake> {
    if embedded::is_in_callback() { Err(Mistake::InCallback) } else { Ok(()) }
}

/// `rump_schedule`.
pub(crate) fn schedule() -> Result<(), Refusal> {
    schedule_until(NEVER)
}

pub(crate) fn schedule_until(deadline: Deadline) -> Result<(), Refusal> {
    not_in_callback()?;
    if is_scheduled() {
        return inside(|_| Err(Mistake::AlreadyScheduled.into()));
    }
    let context = Context::enter(registry::current()?, deadline)?;
    // After the first entry: so the context goes before the thread's membership does.
    let put = SCHEDULED.try_with(|place| *place.0.borrow_mut() = Some(context));
    put.map_err(|_| Mistake::Ending.into())
}

/// `rump_unschedule`.
pub(crate) fn unschedule() -> Result<(), Refusal> {
    not_in_callback()?;
    drop(take_scheduled().ok_or(Mistake::NotScheduled)?);
    Ok(())
}

pub(crate) fn is_scheduled() -> bool {
    SCHEDULED.try_with(|place| place.0.borrow().is_some()).unwrap_or(false)
}

/// An in-kernel call: the thread is scheduled.
pub(crate) fn inside<R>(
    call: impl FnOnce(&mut Context) -> Result<R, Refusal>,
) -> Result<R, Refusal> {
    not_in_callback()?;
    let mut context = Putting(Some(take_scheduled().ok_or(Mistake::NotScheduled)?));
    let context = context.0.as_mut().expect("put there");
    let result = call(context);
    context.named(result)
}

/// A public call: the thread enters for it and leaves, unless it is scheduled.
pub(crate) fn public<R>(
    call: impl FnOnce(&mut Context) -> Result<R, Refusal>,
) -> Result<R, Refusal> {
    public_until(NEVER, call)
}

/// The same; it enters before the deadline or not at all.
pub(crate) fn public_until<R>(
    deadline: Deadline,
    call: impl FnOnce(&mut Context) -> Result<R, Refusal>,
) -> Result<R, Refusal> {
    if is_scheduled() {
        return inside(call);
    }
    not_in_callback()?;
    let mut context = Context::enter(registry::current()?, deadline)?;
    let result = call(&mut context);
    context.named(result)
}
