//! Specific data of the current process and LWP.
#![allow(unsafe_code)]

use super::Entered;
use super::view::{view, view_mut};
use crate::host::Host;
use crate::specific::{LwpKey, ProcKey, SpecificError};
use std::sync::Arc;

view! {
    /// Data of an embedder's own, under keys: of the current process, and of the current
    /// LWP. In an implicit context that is init, and no LWP.
    ///
    /// ```
    /// use lwproc::{Kernel, Rfork};
    ///
    /// let kernel = Kernel::new();
    /// let (shared, own) = (kernel.proc_key(), kernel.lwp_key());
    /// let mut k = kernel.enter()?;
    /// k.rfork(Rfork::Fresh)?;
    /// k.data().set_proc(shared, String::from("each LWP's"))?;
    /// k.data_mut().set_lwp(own, 7)?;
    /// assert_eq!(k.data().proc(shared).as_deref().map(String::as_str), Some("each LWP's"));
    /// assert_eq!(k.data().lwp(own), Some(&7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    Data
}

view_mut! {
    /// Data of the current LWP, to be changed: nothing borrows what [`Data::lwp`] has
    /// given out.
    DataMut
}

impl<'k, H: Host> Entered<'k, H> {
    /// The data of the current process and LWP.
    #[inline]
    pub fn data(&self) -> Data<'_, H> {
        Data(self)
    }

    /// The data of the current LWP, to be changed: [`Data::lwp`] lends it by
    /// reference.
    #[inline]
    pub fn data_mut(&mut self) -> DataMut<'_, 'k, H> {
        DataMut(self)
    }
}

impl<'e, H: Host> Data<'e, H> {
    /// The current process's data under that key; init's in an implicit context.
    /// `None` when there is none, and for a key of another kernel.
    ///
    /// Lock-free; O(keys set in the process).
    // Seed: `proc_getspecific`.
    #[doc(alias = "proc_specific")]
    #[doc(alias = "proc_getspecific")]
    pub fn proc<T: Send + Sync + 'static>(self, key: ProcKey<T>) -> Option<Arc<T>> {
        let number = key.of_kernel(self.0.seat.world().serial).ok()?;
        let value = self.0.proc().resources.specific.get(number, &self.0.seat.pin())?;
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
    // Seed: `proc_setspecific`; the end, S193.
    #[doc(alias = "set_proc_specific")]
    #[doc(alias = "proc_setspecific")]
    pub fn set_proc<T: Send + Sync + 'static>(
        self,
        key: ProcKey<T>,
        value: T,
    ) -> Result<Option<Arc<T>>, SpecificError> {
        let number = key.of_kernel(self.0.seat.world().serial)?;
        let specific = &self.0.proc().resources.specific;
        let old = specific.set(number, Arc::new(value), &self.0.seat.pin());
        Ok(old.and_then(|old| old.downcast().ok()))
    }

    /// Takes the current process's data under that key out.
    ///
    /// Lock-free; O(keys set in the process).
    #[doc(alias = "take_proc_specific")]
    pub fn take_proc<T: Send + Sync + 'static>(self, key: ProcKey<T>) -> Option<Arc<T>> {
        let number = key.of_kernel(self.0.seat.world().serial).ok()?;
        let old = self.0.proc().resources.specific.take(number, &self.0.seat.pin())?;
        old.downcast().ok()
    }

    /// The current LWP's data under that key. `None` when there is none, in an
    /// implicit context, and for a key of another kernel. Wait-free.
    // Seed: `lwp_getspecific`.
    #[doc(alias = "lwp_specific")]
    #[doc(alias = "lwp_getspecific")]
    pub fn lwp<T: Send + 'static>(self, key: LwpKey<T>) -> Option<&'e T> {
        let number = key.of_kernel(self.0.seat.world().serial).ok()?;
        // SAFETY: bound to this thread; changed by `&mut self` only.
        unsafe { self.0.node()?.specific() }?.get(number)?.downcast_ref()
    }
}

impl<H: Host> DataMut<'_, '_, H> {
    /// Sets the current LWP's data under that key; what was there before. It is
    /// dropped when the LWP goes, in the order of the keys' making, before
    /// [`Host::destroy`]. Wait-free but for the allocator.
    ///
    /// # Errors
    /// [`SpecificError::WrongKernel`] (EXDEV), [`SpecificError::NoLwp`] (EINVAL) in
    /// an implicit context; the value is dropped then.
    // Seed: `lwp_setspecific`; the end, S334.
    #[doc(alias = "set_lwp_specific")]
    #[doc(alias = "lwp_setspecific")]
    pub fn set_lwp<T: Send + 'static>(
        self,
        key: LwpKey<T>,
        value: T,
    ) -> Result<Option<T>, SpecificError> {
        let number = key.of_kernel(self.0.seat.world().serial)?;
        let node = self.0.node().ok_or(SpecificError::NoLwp)?;
        // SAFETY: bound to this thread; `&mut self`: nothing borrows the data.
        let specific = unsafe { node.specific_mut() }.get_or_insert_default();
        let old = specific.set(number, Box::new(value));
        Ok(old.and_then(|old| old.downcast().ok()).map(|old| *old))
    }

    /// Takes the current LWP's data under that key out. Wait-free but for the
    /// allocator.
    #[doc(alias = "take_lwp_specific")]
    pub fn take_lwp<T: Send + 'static>(self, key: LwpKey<T>) -> Option<T> {
        let number = key.of_kernel(self.0.seat.world().serial).ok()?;
        // SAFETY: bound to this thread; `&mut self`: nothing borrows the data.
        let specific = unsafe { self.0.node()?.specific_mut() }.as_mut()?;
        Some(*specific.take(number)?.downcast().ok()?)
    }
}
