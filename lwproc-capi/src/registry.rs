//! Kernels: the default one, others, and which one a thread uses.
//!
//! There is no lock, so a child of a fork finds none that a thread of its parent held. A
//! thread has a share of the kernel that it uses, and a kernel that is shared is not
//! destroyed.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ops::Deref;
use std::ptr::null_mut;
use std::rc::Rc;
use std::sync::atomic::{AtomicPtr, Ordering::Acquire, Ordering::Release};

use lwproc::Teardown;

use crate::embedded;
use crate::instance::{Instance, lwproc_config, lwproc_kernel};
use crate::mistake::Mistake;
use crate::table::{NotTaken, Share, Table};

/// Null, until it is made.
static DEFAULT: AtomicPtr<Instance> = AtomicPtr::new(null_mut());
/// The others.
static KERNELS: Table<Box<Instance>> = Table::new();

std::thread_local! {
    /// The kernel that this thread has chosen; `None`: the default one.
    static CHOSEN: RefCell<Option<Chosen>> = const { RefCell::new(None) };
}

/// A thread's share of a kernel that is not the default one; the `Rc` counts who has it
/// there.
type Chosen = Rc<Share<'static, Box<Instance>>>;

/// A kernel, for as long as this is held. Threads share no count of the default one.
#[derive(Clone, Debug)]
pub(crate) enum Used {
    Default(&'static Instance),
    Chosen(Chosen),
}

impl Deref for Used {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        match self {
            Self::Default(instance) => instance,
            Self::Chosen(share) => share,
        }
    }
}

/// The default kernel has no number in the table, where none is 0.
const DEFAULT_NUMBER: u64 = 0;

fn default() -> Option<&'static Instance> {
    // Acquire: the kernel; pairs with Release in `init`.
    // SAFETY: never freed once it is there.
    unsafe { DEFAULT.load(Acquire).as_ref() }
}

/// Makes the default kernel, unless there is one.
pub(crate) fn init(config: Option<&lwproc_config>) -> Result<(), Mistake> {
    if embedded::is_in_callback() {
        return Err(Mistake::InCallback);
    }
    if default().is_some() {
        return Ok(());
    }
    let new = Box::into_raw(Box::new(Instance::new(config, DEFAULT_NUMBER)?));
    // Release: the kernel; pairs with Acquire in `default`. Acquire on failure: the other
    // one, which the caller uses.
    if DEFAULT.compare_exchange(null_mut(), new, Release, Acquire).is_err() {
        // Another thread was first.
        // SAFETY: never published.
        drop(unsafe { Box::from_raw(new) });
    }
    Ok(())
}

/// Makes a kernel beside the default one.
pub(crate) fn create(config: Option<&lwproc_config>) -> Result<*mut lwproc_kernel, Mistake> {
    let place = KERNELS.reserve().ok_or(Mistake::Full("kernels"))?;
    let instance = Box::new(Instance::new(config, place.number())?);
    let ptr = instance.to_ptr();
    place.fill(instance);
    Ok(ptr)
}

/// The number of a kernel that C means.
fn number(ptr: *mut lwproc_kernel) -> Result<u64, Mistake> {
    Instance::number_of(ptr).ok_or(NO_KERNEL)
}

const NO_KERNEL: Mistake = Mistake::Argument("no such kernel");

/// Ends a kernel that no other thread uses; the calling thread, which is not in a kernel,
/// goes back to the default one.
pub(crate) fn destroy(ptr: *mut lwproc_kernel) -> Result<Teardown, Mistake> {
    let number = number(ptr)?;
    if number == DEFAULT_NUMBER {
        return Err(if default().is_some() { Mistake::KernelInUse } else { NO_KERNEL });
    }
    let own = CHOSEN.with_borrow_mut(|chosen| chosen.take_if(|share| share.to_ptr() == ptr));
    let was_chosen = own.is_some();
    // Not in a kernel: this is the thread's only share, and the count the thread's too.
    drop(own);
    match KERNELS.take(number) {
        Ok(instance) => Ok(instance.kernel.shutdown()),
        Err(NotTaken::Gone) => Err(NO_KERNEL),
        Err(NotTaken::Shared) => {
            if was_chosen {
                choose(ptr)?;
            }
            Err(Mistake::KernelInUse)
        }
    }
}

/// From now on this thread uses that kernel; NULL: the default one. Lock-free.
pub(crate) fn choose(ptr: *mut lwproc_kernel) -> Result<(), Mistake> {
    let chosen = if ptr.is_null() {
        None
    } else {
        match number(ptr)? {
            DEFAULT_NUMBER => default().map(|_| None).ok_or(NO_KERNEL)?,
            number => Some(Rc::new(KERNELS.share(number).ok_or(NO_KERNEL)?)),
        }
    };
    CHOSEN.set(chosen);
    Ok(())
}

/// The kernel that this thread uses, in a callback too.
pub(crate) fn current() -> Result<Used, Mistake> {
    // Failure: the thread is ending, and which kernel it used is not known any more.
    let chosen = CHOSEN.try_with(|chosen| chosen.borrow().clone());
    let chosen = chosen.map_err(|_| Mistake::Ending)?;
    let default = || default().map(Used::Default);
    chosen.map(Used::Chosen).or_else(default).ok_or(Mistake::NotInitialised)
}
