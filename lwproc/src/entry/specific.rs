//! Specific data of the current process and LWP.
#![allow(unsafe_code)]

use super::Entered;
use crate::host::Host;
use crate::specific::{LwpKey, ProcKey, SpecificError};
use std::sync::Arc;

impl<H: Host> Entered<'_, H> {
    /// The current process's data under that key; init's in an implicit context.
    /// `None` when there is none, and for a key of another kernel.
    ///
    /// Lock-free; O(keys set in the process).
    ///
    /// Seed: `proc_getspecific`.
    pub fn proc_specific<T: Send + Sync + 'static>(&self, key: ProcKey<T>) -> Option<Arc<T>> {
        let number = key.of_kernel(self.seat.world().serial).ok()?;
        let value = self.proc().resources.specific.get(number, &self.seat.pin())?;
        // A key has one type.
        value.downcast().ok()
    }

    /// Sets the current process's data under that key; what was there before. All
    /// its LWPs see it. The process's share of it is dropped when the process ends,
    /// in the order of the keys' making, after the exit hooks, and before it is a
    /// zombie.
    ///
    /// Lock-free but for the allocator; O(keys set in the process).
    ///
    /// # Errors
    /// [`SpecificError::WrongKernel`] (EXDEV); the value is dropped then.
    ///
    /// Seed: `proc_setspecific`; the end, S193.
    pub fn set_proc_specific<T: Send + Sync + 'static>(
        &self,
        key: ProcKey<T>,
        value: T,
    ) -> Result<Option<Arc<T>>, SpecificError> {
        let number = key.of_kernel(self.seat.world().serial)?;
        let specific = &self.proc().resources.specific;
        let old = specific.set(number, Arc::new(value), &self.seat.pin());
        Ok(old.and_then(|old| old.downcast().ok()))
    }

    /// Takes the current process's data under that key out.
    ///
    /// Lock-free; O(keys set in the process).
    pub fn take_proc_specific<T: Send + Sync + 'static>(&self, key: ProcKey<T>) -> Option<Arc<T>> {
        let number = key.of_kernel(self.seat.world().serial).ok()?;
        let old = self.proc().resources.specific.take(number, &self.seat.pin())?;
        old.downcast().ok()
    }

    /// The current LWP's data under that key. `None` when there is none, in an
    /// implicit context, and for a key of another kernel. Wait-free.
    ///
    /// Seed: `lwp_getspecific`.
    pub fn lwp_specific<T: Send + 'static>(&self, key: LwpKey<T>) -> Option<&T> {
        let number = key.of_kernel(self.seat.world().serial).ok()?;
        // SAFETY: bound to this thread; changed by `&mut self` only.
        unsafe { self.node()?.specific() }?.get(number)?.downcast_ref()
    }

    /// Sets the current LWP's data under that key; what was there before. It is
    /// dropped when the LWP goes, in the order of the keys' making, before
    /// [`Host::destroy`]. Wait-free but for the allocator.
    ///
    /// # Errors
    /// [`SpecificError::WrongKernel`] (EXDEV), [`SpecificError::NoLwp`] (EINVAL) in
    /// an implicit context; the value is dropped then.
    ///
    /// Seed: `lwp_setspecific`; the end, S334.
    pub fn set_lwp_specific<T: Send + 'static>(
        &mut self,
        key: LwpKey<T>,
        value: T,
    ) -> Result<Option<T>, SpecificError> {
        let number = key.of_kernel(self.seat.world().serial)?;
        let node = self.node().ok_or(SpecificError::NoLwp)?;
        // SAFETY: bound to this thread; `&mut self`: nothing borrows the data.
        let specific = unsafe { node.specific_mut() }.get_or_insert_default();
        let old = specific.set(number, Box::new(value));
        Ok(old.and_then(|old| old.downcast().ok()).map(|old| *old))
    }

    /// Takes the current LWP's data under that key out. Wait-free but for the
    /// allocator.
    pub fn take_lwp_specific<T: Send + 'static>(&mut self, key: LwpKey<T>) -> Option<T> {
        let number = key.of_kernel(self.seat.world().serial).ok()?;
        // SAFETY: bound to this thread; `&mut self`: nothing borrows the data.
        let specific = unsafe { self.node()?.specific_mut() }.as_mut()?;
        Some(*specific.take(number)?.downcast().ok()?)
    }
}
