//! The end of a kernel.
//!
//! The teardown has the kernel to itself. It releases bound LWPs (the host's `clear` is called
//! only for the thread's own), then parked ones, then zombies; LWPs that somebody owns are
//! reported, and live until they are dropped. A thread that ends meanwhile may take its bound
//! LWP first. Hooks and the kernel's sink go with it if nothing survives.
#![allow(unsafe_code)]

use super::Kernel;
use crate::family;
use crate::host::Host;
use crate::id::Pid;
use crate::ops::death;
use crate::ops::owned::Lwp;
use crate::ops::pending;
use crate::reclaim::Managed;
use crate::report::Teardown;
use crate::sync::{Acquire, Relaxed};
use crate::world::aftermath::Aftermath;
use crate::world::config::Part;
use std::sync::Arc;

impl<H: Host> Kernel<H> {
    /// Tears the kernel down and says who was there. Dropping the kernel does
    /// the same, and only the host learns of it.
    ///
    /// Blocks on what it releases: host calls, drops of files and address spaces.
    ///
    /// Nobody is in the kernel then, and nobody looks:
    ///
    /// ```compile_fail,E0505
    /// let kernel = lwproc::Kernel::new();
    /// let entered = kernel.enter().unwrap();
    /// kernel.shutdown();
    /// drop(entered);
    /// ```
    ///
    /// Owned LWPs and handles need not be gone:
    ///
    /// ```
    /// let kernel = lwproc::Kernel::new();
    /// let lwp = kernel.spawn().start().unwrap();
    /// assert_eq!(kernel.shutdown().survivors.len(), 1);
    /// drop(lwp);
    /// ```
    pub fn shutdown(mut self) -> Teardown {
        self.tear_down()
    }

    fn tear_down(&mut self) -> Teardown {
        self.torn_down = true;
        // Relaxed: the claims below carry it to whoever parks an LWP after them [P28].
        self.world.torn_down.store(true, Relaxed);
        let mut report = Teardown::default();
        // Host calls, hooks and drops may panic: the first panic goes on when all is
        // released.
        let mut after = Aftermath::none();
        // Bound LWPs: their threads are outside, or ending, or in scopes, which have
        // contexts of their own.
        for p in self.world.participants.iter() {
            let bound = p.own.take_bound();
            if !bound.is_null() {
                // SAFETY: the thread owned it, and it was taken from there.
                let lwp = unsafe { Lwp::from_raw(bound) };
                if std::ptr::eq(p, self.seat().me()) && !p.own.untold.get() {
                    after.run(|| self.world.host.clear(lwp.token()));
                }
                release(&mut report, lwp, &mut after);
            }
        }
        // Parked LWPs. Under a guard, so collected first: what they were is
        // freed as they go.
        for parked in self.claim_parked() {
            release(&mut report, parked, &mut after);
        }
        // Files may hold handles, which keep the world, and LWPs.
        self.close_permanent(&mut after);
        self.reap_all(&mut report, &mut after);
        self.drop_permanent(&mut after);
        let guard = self.pin();
        let owned = guard.lwps().map(|lwp| (lwp.pid(), lwp.lid()));
        // lwp0 and init's own LWP are part of the kernel.
        report.survivors = owned.filter(|(pid, lid)| *pid > Pid::INIT || pid.0 != lid.0).collect();
        drop(guard);
        if report.survivors.is_empty() {
            self.drop_config(&mut after);
        }
        self.flush();
        self.world.take_anchors();
        after.run(|| self.world.host.teardown(&report));
        after.settle();
        report
    }

    fn claim_parked(&self) -> Vec<Lwp<H>> {
        let guard = self.pin();
        guard.lwps().filter_map(|lwp| lwp.claim().ok()).collect()
    }

    /// Closes what is open in the tables of proc0 and init, which no LWP of theirs ever
    /// gives back.
    fn close_permanent(&self, after: &mut Aftermath<H>) {
        let seat = self.seat();
        for proc in [self.world.init, self.world.proc0] {
            // SAFETY: proc0 and init live as long as the world.
            let resources = &unsafe { Managed::deref_counted(proc) }.resources;
            // SAFETY: proc0's or init's.
            let files = unsafe { resources.files.permanent() };
            let close = |file| _ = after.run(|| drop(file));
            files.table().close_range((0, u32::MAX), |_| true, || seat.pin(), close);
        }
    }

    /// Drops what proc0 and init, which never end, have of others'.
    fn drop_permanent(&self, after: &mut Aftermath<H>) {
        let seat = self.seat();
        let pin = seat.pin();
        for proc in [self.world.init, self.world.proc0] {
            // SAFETY: proc0 and init live as long as the world.
            let proc = unsafe { Managed::deref_counted(proc) };
            pending::discard_queued(proc, |_| true, &pin, after);
            let resources = &proc.resources;
            if !resources.trace.is_empty() {
                after.run(|| drop(resources.trace.swap(None, &pin)));
            }
            for value in resources.specific.take_all(&pin) {
                after.run(|| drop(value));
            }
        }
    }

    /// Nothing is left to end: drops the hooks and the kernel's trace sink, which may
    /// keep the world.
    fn drop_config(&self, after: &mut Aftermath<H>) {
        let mut parts = [Part::ExitHooks, Part::ZombieHooks, Part::Sink].into_iter();
        if let Some(part) = parts.find(|part| self.world.config.is_touched(*part)) {
            let old = self.world.config.replace(part, |config| {
                config.hooks = Arc::from([]);
                config.sink = None;
            });
            after.run(|| drop(old));
        }
    }

    fn reap_all(&self, report: &mut Teardown, after: &mut Aftermath<H>) {
        let seat = self.seat();
        let pin = seat.pin();
        for link in self.world.ids.procs() {
            // Acquire [P3]: the process's fields: a scope may still be making some.
            let found = link.load(Acquire);
            // SAFETY: loaded with Acquire under the pin.
            let Some(node) = (unsafe { found.as_ref(&pin) }) else {
                continue;
            };
            if family::claim_own(node).is_some() {
                report.reaped.push(node.pid());
                // SAFETY: the right to reap was won.
                unsafe {
                    death::reap_zombie(&self.world, seat.me(), found.ptr(), &pin, after);
                }
            }
        }
    }
}

fn release<H: Host>(report: &mut Teardown, lwp: Lwp<H>, after: &mut Aftermath<H>) {
    report.released.push((lwp.pid(), lwp.lid()));
    after.run(|| drop(lwp));
}

impl<H: Host> Drop for Kernel<H> {
    fn drop(&mut self) {
        if !self.torn_down {
            drop(self.tear_down());
        }
    }
}
