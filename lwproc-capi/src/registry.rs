//! Kernels: the default one, others, and which one a thread uses.
//!
//! The list of kernels is behind a lock, which is taken to create and destroy one, to make
//! the default one, and when a thread uses one for the first time; no other call takes it.
//! A thread has a share of the kernel that it uses, and the last share decides: a kernel
//! that a thread uses is not destroyed.

use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use lwproc::Teardown;

use crate::embedded;
use crate::instance::{Instance, lock, lwproc_config, lwproc_kernel};
use crate::mistake::Mistake;

static DEFAULT: OnceLock<Instance> = OnceLock::new();
/// Held by who makes the default one.
static MAKING: Mutex<()> = Mutex::new(());
static INSTANCES: Mutex<Vec<Arc<Instance>>> = Mutex::new(Vec::new());

std::thread_local! {
    /// The kernel that this thread has chosen; `None`: the default one.
    static CHOSEN: RefCell<Option<Rc<Share>>> = const { RefCell::new(None) };
    /// The kernels that this thread has used: found again without the lock.
    static KNOWN: RefCell<Vec<Known>> = const { RefCell::new(Vec::new()) };
}

/// What C knows a kernel by, and the kernel for as long as it lives.
type Known = (*mut lwproc_kernel, Weak<Instance>);

/// A kernel, for as long as this is held. Threads share no count of it.
#[derive(Clone, Debug)]
pub(crate) enum Used {
    Default(&'static Instance),
    /// The share is the thread's; the `Rc` counts who has it there.
    Chosen(Rc<Share>),
}

/// A thread's share of a kernel that is not the default one.
#[derive(Debug)]
pub(crate) struct Share(Arc<Instance>);

impl Deref for Used {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        match self {
            Self::Default(instance) => instance,
            Self::Chosen(share) => &share.0,
        }
    }
}

fn is_default(ptr: *mut lwproc_kernel) -> bool {
    DEFAULT.get().is_some_and(|default| default.to_ptr() == ptr)
}

/// Makes the default kernel, unless there is one.
pub(crate) fn init(config: Option<&lwproc_config>) -> Result<(), Mistake> {
    if embedded::is_in_callback() {
        return Err(Mistake::InCallback);
    }
    if DEFAULT.get().is_some() {
        return Ok(());
    }
    // Two threads make one kernel.
    let _one = lock(&MAKING);
    if DEFAULT.get().is_none() {
        let _ = DEFAULT.set(Instance::new(config)?);
    }
    Ok(())
}

/// Makes a kernel beside the default one.
pub(crate) fn create(config: Option<&lwproc_config>) -> Result<*mut lwproc_kernel, Mistake> {
    let instance = Arc::new(Instance::new(config)?);
    let ptr = instance.to_ptr();
    lock(&INSTANCES).push(instance);
    Ok(ptr)
}

/// Ends a kernel that no other thread uses; the calling thread, which is not in a kernel,
/// goes back to the default one.
pub(crate) fn destroy(ptr: *mut lwproc_kernel) -> Result<Teardown, Mistake> {
    if is_default(ptr) {
        return Err(Mistake::KernelInUse);
    }
    let own = CHOSEN.with_borrow_mut(|chosen| chosen.take_if(|share| share.0.to_ptr() == ptr));
    let was_chosen = own.is_some();
    // Not in a kernel: this is the thread's only share, and the count the thread's too.
    drop(own);
    match remove(ptr) {
        Ok(instance) => Ok(instance.kernel.shutdown()),
        Err(why) => {
            if let (true, Mistake::KernelInUse) = (was_chosen, &why) {
                choose(ptr)?;
            }
            Err(why)
        }
    }
}

/// Takes a kernel out of the registry, if nobody else has a share of it. To give up the
/// last share is one step, against which nobody can take another.
fn remove(ptr: *mut lwproc_kernel) -> Result<Instance, Mistake> {
    let mut all = lock(&INSTANCES);
    let found = all.iter().position(|instance| instance.to_ptr() == ptr);
    let found = found.ok_or(Mistake::Argument("no such kernel"))?;
    Arc::try_unwrap(all.swap_remove(found)).map_err(|shared| {
        all.push(shared);
        Mistake::KernelInUse
    })
}

/// From now on this thread uses that kernel; NULL: the default one.
pub(crate) fn choose(ptr: *mut lwproc_kernel) -> Result<(), Mistake> {
    let chosen = if ptr.is_null() || is_default(ptr) {
        None
    } else {
        Some(Rc::new(Share(known(ptr).map_or_else(|| look_up(ptr), Ok)?)))
    };
    CHOSEN.set(chosen);
    Ok(())
}

/// A kernel that this thread has used before, and that lives. Lock-free.
fn known(ptr: *mut lwproc_kernel) -> Option<Arc<Instance>> {
    // Takes no share of another one, which its destroyer would see.
    KNOWN.with_borrow(|known| known.iter().find(|(known, _)| *known == ptr)?.1.upgrade())
}

/// A kernel of the registry, which this thread knows from now on.
fn look_up(ptr: *mut lwproc_kernel) -> Result<Arc<Instance>, Mistake> {
    let all = lock(&INSTANCES);
    let found = all.iter().find(|instance| instance.to_ptr() == ptr);
    let found = found.ok_or(Mistake::Argument("no such kernel"))?.clone();
    drop(all);
    KNOWN.with_borrow_mut(|known| {
        // What has gone keeps its memory no longer than this.
        known.retain(|(_, instance)| instance.strong_count() > 0);
        known.push((ptr, Arc::downgrade(&found)));
    });
    Ok(found)
}

/// The kernel that this thread uses.
pub(crate) fn current() -> Result<Used, Mistake> {
    if embedded::is_in_callback() {
        return Err(Mistake::InCallback);
    }
    // Failure: the thread is ending, and which kernel it used is not known any more.
    let chosen = CHOSEN.try_with(|chosen| chosen.borrow().clone());
    let chosen = chosen.map_err(|_| Mistake::InCallback)?;
    let default = || DEFAULT.get().map(Used::Default);
    chosen.map(Used::Chosen).or_else(default).ok_or(Mistake::NotInitialised)
}
