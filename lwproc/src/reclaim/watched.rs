//! `Managed` for the models with real epochs: an object that knows whether it has been
//! freed. Its memory is kept until the next collector is made, so that a look at it
//! afterwards is a panic, and not undefined. By then nothing of the execution before may be
//! left. There is one collector at a time.
#![allow(unsafe_code)]

use crate::sync::Watched;
use std::alloc::{Layout, dealloc};
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool as StdBool, Ordering::SeqCst};

std::thread_local! {
    /// What was freed. All threads of one model run on one host thread.
    static FREED: RefCell<Vec<(*mut u8, Layout)>> = const { RefCell::new(Vec::new()) };
    /// How many objects are not yet freed.
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

/// A heap object that knows whether it has been freed.
pub struct Managed<T> {
    /// Written when the object is made, and when it is freed; read at each look at it.
    /// So loom tells a look that its making does not happen before, and one that does
    /// not happen before its end.
    life: Watched<()>,
    freed: StdBool,
    value: ManuallyDrop<T>,
}

impl<T> Managed<T> {
    /// See `real.rs`, as for the others.
    pub fn new(value: T) -> *mut Managed<T> {
        LIVE.set(LIVE.get() + 1);
        let life = Watched::new(());
        life.with_mut(|_| ());
        let (freed, value) = (StdBool::new(false), ManuallyDrop::new(value));
        Box::into_raw(Box::new(Managed { life, freed, value }))
    }

    /// Panics when the object has been freed, or may have been.
    pub fn look(this: *mut Managed<T>) {
        // SAFETY: memory is kept until no thread of this model is left.
        let object = unsafe { &*this };
        assert!(!object.freed.load(SeqCst), "use after free");
        object.life.with(|_| ());
    }

    /// # Safety
    /// As there.
    pub unsafe fn deref_counted<'a>(this: *mut Managed<T>) -> &'a T {
        Self::look(this);
        // SAFETY: memory is kept until no thread of this model is left.
        unsafe { &(*this).value }
    }

    /// Where the value is, for a pin that has been checked.
    pub fn value_ptr(this: *mut Managed<T>) -> *const T {
        // SAFETY: a place computation inside an allocation; `ManuallyDrop` is transparent.
        unsafe { &raw const (*this).value }.cast()
    }

    /// # Safety
    /// As there.
    pub unsafe fn free(this: *mut Managed<T>) {
        // SAFETY: sole owner by this function's contract.
        let object = unsafe { &*this };
        assert!(!object.freed.swap(true, SeqCst), "freed twice");
        LIVE.set(LIVE.get() - 1);
        object.life.with_mut(|_| ());
        // SAFETY: sole owner, as above.
        let value = unsafe { &mut (*this).value };
        // SAFETY: once, by the assertion.
        unsafe { ManuallyDrop::drop(value) };
        FREED.with_borrow_mut(|freed| freed.push((this.cast(), Layout::new::<Self>())));
    }
}

/// An execution begins: the threads of the one before are gone.
pub fn forget() {
    let left = LIVE.replace(0);
    assert!(left == 0, "{left} objects leaked by the execution before this one");
    for (memory, layout) in FREED.take() {
        // SAFETY: from a `Box` of that layout, put in once; its value has been dropped.
        unsafe { dealloc(memory, layout) };
    }
}
