//! One LWP for another: what a switch does to thread, context and host.
//!
//! A context that runs as an LWP runs as the old one or the new one, also when the host
//! panics: the switch is made all the same, and the panic goes on. What the host then has
//! as the thread's current LWP is taken to be none.
#![allow(unsafe_code)]

use super::Entered;
use crate::host::Host;
use crate::ops::owned::Lwp;
use crate::ops::pending;
use crate::sync::Relaxed;
use crate::world::aftermath::Aftermath;
use std::cell::Cell;

/// The host is being told of the bound LWP; if it panics, it has not been told.
struct Telling<'c>(&'c Cell<bool>);

impl Telling<'_> {
    fn done(self) {
        std::mem::forget(self);
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

/// What is left to do when an LWP has been bound, also when the host panics.
struct Attached<'e, 'k, H: Host>(&'e Entered<'k, H>);

impl<H: Host> Drop for Attached<'_, '_, H> {
    fn drop(&mut self) {
        let entered = self.0;
        if !entered.is_suspended() {
            entered.seat.tell_cpu(entered.bound());
        }
        entered.restore_biglocks();
        entered.refresh_creds();
        if let Some(node) = entered.node() {
            pending::refresh(node, entered.proc(), entered.seat.me());
        }
    }
}

impl<H: Host> Entered<'_, H> {
    /// The current LWP is not the scope's any more: it does not sleep as its task.
    #[inline]
    pub(crate) fn rouse(&self) {
        if let Some(node) = self.node() {
            node.rouse();
        }
    }

    /// Takes the current LWP off the thread, and says nothing to the host.
    #[inline]
    pub(super) fn take_off(&self) -> Option<Lwp<H>> {
        let bound = self.bound();
        if bound.is_null() {
            return None;
        }
        self.save_biglocks();
        if !self.is_suspended() {
            self.seat.tell_cpu(std::ptr::null_mut());
        }
        self.cx.bind(std::ptr::null_mut());
        // SAFETY: bound to this thread, so owned by it.
        let lwp = unsafe { Lwp::from_raw(bound) };
        pending::switch_out(lwp.node());
        Some(lwp)
    }

    /// The thread runs as `lwp` no more, which has been taken off.
    #[inline]
    pub(super) fn clear_in_host(&self, lwp: &Lwp<H>) {
        if !self.is_suspended() && !self.cx.untold.replace(false) {
            self.seat.world().host.clear(lwp.token());
        }
    }

    /// Takes the current LWP off the thread.
    #[inline]
    pub(super) fn detach_current(&self) -> Option<Lwp<H>> {
        let lwp = self.take_off()?;
        self.clear_in_host(&lwp);
        Some(lwp)
    }

    /// Makes `lwp` current on the thread, which has none.
    #[inline]
    pub(super) fn attach_current(&self, lwp: Lwp<H>) {
        self.attach(lwp, None);
    }

    /// Makes `new` current on the thread, which has none; the host knows it as `old`, if
    /// there was one.
    #[inline]
    fn attach(&self, new: Lwp<H>, old: Option<&Lwp<H>>) {
        // An implicit context's, which no LWP can keep.
        self.save_biglocks();
        let token = new.token();
        self.cx.bind(new.into_raw());
        let attached = Attached(self);
        if !self.is_suspended() {
            let untold = self.cx.untold.replace(false);
            let old = old.filter(|_| !untold);
            let host = &self.seat.world().host;
            let telling = Telling(&self.cx.untold);
            match old {
                Some(old) => host.switch(old.token(), token),
                None => host.set(token),
            }
            telling.done();
        }
        drop(attached);
    }

    /// What has been taken off, unless it is exiting: then it is freed.
    pub(super) fn put_away(old: Option<Lwp<H>>, aftermath: &mut Aftermath<H>) -> Option<Lwp<H>> {
        if old.as_ref()?.node().word.load().is_exiting() {
            // Dropping an owned LWP frees it.
            aftermath.run(|| drop(old));
            return None;
        }
        old
    }

    #[inline]
    pub(super) fn replace(&mut self, new: Lwp<H>) -> Option<Lwp<H>> {
        match self.node() {
            Some(old) if old.word.load().is_quiet() && self.takes_quietly(&new) => {
                Some(self.replace_quietly(new))
            }
            _ => self.replace_and_settle(new),
        }
    }

    /// Whether `new` can be made current with nothing but that. What comes after the
    /// look is as what comes after the switch.
    #[inline]
    fn takes_quietly(&self, new: &Lwp<H>) -> bool {
        let node = new.node();
        // SAFETY: owned by `new`.
        let proc = unsafe { node.proc_owned() };
        // Relaxed: the owner's.
        self.seat.me().is_plain()
            && !self.cx.untold.get()
            && node.word.load().is_quiet()
            && node.biglocks.load(Relaxed) == 0
            && !pending::has_any(node, proc)
    }

    /// One LWP for another, when there is nothing else to do.
    #[inline]
    fn replace_quietly(&mut self, new: Lwp<H>) -> Lwp<H> {
        let host = &self.seat.world().host;
        // SAFETY: bound to this thread, so owned by it; and taken off now.
        let old = unsafe { Lwp::from_raw(self.bound()) };
        let token = new.token();
        self.cx.bind(new.into_raw());
        let telling = Telling(&self.cx.untold);
        host.switch(old.token(), token);
        telling.done();
        old
    }

    /// The general case.
    #[inline(never)]
    fn replace_and_settle(&mut self, new: Lwp<H>) -> Option<Lwp<H>> {
        let mut aftermath = self.leave_files().unwrap_or(Aftermath::none());
        self.rouse();
        let old = self.take_off();
        // If the host panics, the switch is made, and the old LWP is dropped.
        self.attach(new, old.as_ref());
        let old = Self::put_away(old, &mut aftermath);
        aftermath.settle();
        old
    }
}
