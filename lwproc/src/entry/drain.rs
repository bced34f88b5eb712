//! Draining, exec, and the exit of a whole process.
#![allow(unsafe_code)]

use super::Entered;
use super::sleep::Interrupted;
use crate::cred::Cred;
use crate::errno::errors;
use crate::error::ReleaseError;
use crate::host::{Host, LwpToken};
use crate::limits::Resource;
use crate::object::comm::Comm;
use crate::object::doomed::Doomed;
use crate::object::status::ExitStatus;
use crate::object::trace::TraceEvent;
use crate::ops::place::{is_exempt, most_procs};
use crate::ops::{creds, drain, emit, exec};
use crate::policy::Difference;
#[cfg(feature = "async")]
use crate::sync::{Acquire, fence};
use crate::world::aftermath::Aftermath;
use crate::world::clock::Deadline;
use crate::world::config::Enforcement;
use std::convert::Infallible;

errors! {
    /// Why an LWP is not alone in its process.
    AloneError {
        /// The process does not drain, or no longer: LWPs may come at any time.
        NotDraining => EINVAL, "the process is not draining";
        /// An unblocked signal is pending, the LWP is itself to exit, or somebody ended
        /// its sleep.
        Interrupted => EINTR, "interrupted";
        /// The deadline has come, and there are several LWPs.
        TimedOut => ETIMEDOUT, "timed out";
    }

    /// Why the process did not exec.
    ExecError {
        /// The process does not drain.
        NotDraining => EBUSY, "the process is not draining";
        /// Other LWPs live.
        NotAlone { nlwps: u32 } => EBUSY, "the process has {nlwps} LWPs";
        /// Another LWP has [ended](Entered::exit_group) the process.
        Exiting => EINTR, "the process is exiting";
        /// The process has changed its real user, who has more other processes than it may.
        Limit => EAGAIN, "the user has more processes than it may";
    }
}

impl From<Interrupted> for AloneError {
    fn from(why: Interrupted) -> Self {
        match why {
            Interrupted::TimedOut => Self::TimedOut,
            _ => Self::Interrupted,
        }
    }
}

/// Who drains a process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Drain {
    /// This LWP, from now on.
    Begun,
    /// Another was draining it already.
    Already,
}

/// What an LWP was told whose [`OrExit`](crate::OrExit) has ended before its future.
#[cfg(feature = "async")]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Told {
    /// Its process exits as a whole, with that status.
    Exiting(ExitStatus),
    /// Another LWP drains the process.
    Draining,
    /// Nothing: it has gone by itself, by an [`exit`](Entered::exit) or a
    /// [`release`](Entered::release).
    Gone,
}

impl<H: Host> Entered<'_, H> {
    /// What the current LWP has been told, if it must exit, or there is none that lives.
    #[cfg(feature = "async")]
    pub(crate) fn told(&self) -> Option<Told> {
        if !self.node().is_some_and(|node| node.word.load().has_qexit()) {
            return self.living_node().is_none().then_some(Told::Gone);
        }
        // Acquire fence [P53]: the process's word, as it was before the mark; pairs with
        // the fence in `drain::tell`.
        fence(Acquire);
        let word = self.proc().word.load();
        Some(if word.is_exiting() { Told::Exiting(word.status()) } else { Told::Draining })
    }

    /// Closes the current process to new LWPs (`PS_RUMP_LWPEXIT`): [`new_lwp`](Entered::new_lwp) is refused
    /// with EBUSY until [`Entered::reopen`]. Then tells its other LWPs to exit: they
    /// see [`Entered::must_exit`], and those that sleep are woken. Does not wait for
    /// them.
    ///
    /// Once [`Drain::Begun`] has returned, each other LWP of the process has been told,
    /// however it was being made meanwhile. If two LWPs drain at once, that one goes on;
    /// the other gets [`Drain::Already`], tells nobody, and is told.
    ///
    /// proc0 and init can be drained as others, and take LWPs again when an LWP or an
    /// implicit context of theirs reopens them.
    ///
    /// Lock-free but for what sleeping LWPs [sleep with](Entered::sleep_with); O(LWPs).
    // Seed: `lwpexit`, S428-S433 (R9, R10).
    pub fn drain(&mut self) -> Drain {
        if self.proc().word.close().is_draining() {
            // Whoever closed it tells all, this LWP too.
            return Drain::Already;
        }
        Aftermath::collect(|aftermath| {
            drain::tell(self.proc(), self.bound(), &self.seat.pin(), aftermath);
        });
        Drain::Begun
    }

    /// Opens the current process again, and takes back what its LWPs were told. It is
    /// for the LWP that drained: when others drain at the same time, one may stay
    /// told although the process is open, until the next `reopen`. A process that
    /// [exits as a whole](Entered::exit_group) stays as it is. Lock-free but for what
    /// sleeping LWPs [sleep with](Entered::sleep_with); O(LWPs).
    pub fn reopen(&mut self) {
        Aftermath::collect(|aftermath| drain::reopen(self.proc(), &self.seat.pin(), aftermath));
    }

    /// Whether the current LWP has been told to exit: its process drains, by another
    /// LWP. Wait-free; one load. Never in an implicit context.
    #[inline]
    pub fn must_exit(&self) -> bool {
        self.node().is_some_and(|node| node.word.load().has_qexit())
    }

    /// Waits until the current process, which drains, has one LWP left. **Blocks** the
    /// thread; gives its virtual CPU to others meanwhile. Parked LWPs do not go by
    /// themselves.
    ///
    /// # Errors
    /// [`AloneError::NotDraining`] (EINVAL), also when it is reopened meanwhile;
    /// [`AloneError::Interrupted`] (EINTR).
    pub fn wait_alone(&self) -> Result<(), AloneError> {
        self.wait_alone_by(None)
    }

    pub(super) fn wait_alone_by(&self, deadline: Deadline) -> Result<(), AloneError> {
        let done = || {
            let word = self.proc().word.load();
            match (word.nlwps(), word.is_draining()) {
                (_, false) => Some(Err(AloneError::NotDraining)),
                (0 | 1, true) => Some(Ok(())),
                _ => None,
            }
        };
        match done() {
            Some(done) => done,
            None => self.sleep_in(&self.proc().waiters, deadline, done)?,
        }
    }

    /// The current process has become another program: its descriptors marked
    /// close-on-exec are closed, it has a new name, its saved ids are its effective ones (so
    /// an id that was given up cannot be taken back), and it takes LWPs again. Pending
    /// signals and the mask stay. A further LWP takes the process's number, by
    /// [Linux's rules](crate::Difference::ExecOfFurtherLwp); what was pending for the first one
    /// alone went with that. Lock-free but for the allocator, the host, and the closing of
    /// files.
    ///
    /// # Errors
    /// [`ExecError::NotDraining`], [`ExecError::NotAlone`] (EBUSY): to be preceded by
    /// [`Entered::drain`] and [`Entered::wait_alone`]. [`ExecError::Exiting`] (EINTR).
    /// [`ExecError::Limit`] (EAGAIN), where the limit of a user's processes
    /// [is enforced](crate::LimitsPolicy).
    /// Nothing has changed then.
    // Seed: `execnotify`.
    #[doc(alias = "rump_pub_lwproc_execnotify")]
    #[doc(alias = "execnotify")]
    pub fn exec(&mut self, comm: &str) -> Result<(), ExecError> {
        let word = self.proc().word.load();
        if word.is_exiting() {
            return Err(ExecError::Exiting);
        }
        if !word.is_draining() {
            return Err(ExecError::NotDraining);
        }
        if word.nlwps() > 1 {
            return Err(ExecError::NotAlone { nlwps: word.nlwps() });
        }
        // What another LWP has changed before it ended.
        self.refresh_creds();
        let is_other_user = self.cred().users().real != self.proc().resources.user().uid();
        if word.has_new_user() || is_other_user {
            self.check_new_user()?;
        }
        let comm = Comm::new(comm);
        let mut closed = self.close_on_exec();
        self.proc().resources.set_comm(comm, &self.seat.pin());
        self.proc().mark_execed();
        let pin = self.seat.pin();
        exec::forget(self.seat.world(), self.proc(), self.node(), self.cred(), &pin);
        drop(pin);
        if !self.cred().has_saved_effective() {
            let saved = |old: &Cred| Ok::<_, Infallible>(old.with_saved_effective());
            let Ok(()) = self.creds().commit(saved);
        }
        self.lend_creds();
        let was = self.take_pid();
        self.reopen();
        if let Some(was) = was {
            self.tell_new_number(was, &mut closed);
        }
        let (world, proc) = (self.seat.world(), self.proc());
        if emit::is_traced(world, proc) {
            let exec = TraceEvent::Exec { pid: proc.pid(), comm };
            emit::emit(world, proc, &self.seat.pin(), exec, &mut closed);
        }
        closed.settle();
        Ok(())
    }

    /// The current LWP, the only one, and its process are the same from now on.
    fn lend_creds(&self) {
        let (world, me) = (self.seat.world(), self.seat.me());
        if let Some(node) = self.node() {
            // SAFETY: bound to this thread; it was seen alone, and the process drains still.
            unsafe { creds::lend(world, node, me.lane, &me.pin()) };
        }
    }

    /// Gives the current LWP, the only one, the number of its process, where that is the rule.
    fn take_pid(&self) -> Option<LwpToken> {
        let bound = self.bound();
        if bound.is_null() || !self.seat.world().rules.is_linux(Difference::ExecOfFurtherLwp) {
            return None;
        }
        // SAFETY: bound to this thread, so owned by it; it was seen alone, and the process
        // drains still.
        unsafe { exec::take_pid(&self.seat, bound) }
    }

    #[cold]
    fn tell_new_number(&self, was: LwpToken, aftermath: &mut Aftermath<H>) {
        let (world, proc) = (self.seat.world(), self.proc());
        let Some(node) = self.node() else { return };
        if aftermath.run(|| world.host.renumber(was, node.token())).is_none() {
            // As after a panic in `set`.
            self.cx.untold.set(true);
        }
        let event = TraceEvent::LwpRenumber { pid: proc.pid(), lid: node.lid(), was: was.lid() };
        emit::emit(world, proc, &self.seat.pin(), event, aftermath);
    }

    /// Whether the process, whose real user has changed, may become another program.
    #[cold]
    fn check_new_user(&self) -> Result<(), ExecError> {
        let resources = &self.proc().resources;
        let (_, nproc) = self.seat.world().at_birth();
        if nproc == Enforcement::Enforced && !is_exempt(self.seat.world().rules, self.cred()) {
            let pin = self.seat.pin();
            let limits = resources.limits.get(&pin).expect("the process lives");
            let user = self.seat.world().uids.get(self.cred().users().real);
            // The process itself is counted, if that is its user already.
            let itself = u64::from(std::ptr::eq(user, resources.user()));
            let most = limits.get(Resource::Nproc).soft.saturating_add(itself);
            if user.has_more_than(most_procs(self.seat.world().rules, most)) {
                return Err(ExecError::Limit);
            }
        }
        self.proc().word.forget_new_user();
        Ok(())
    }

    /// Ends the whole process: records how, for good if no other LWP did so before,
    /// [drains](Entered::drain) it for good, releases its
    /// parked LWPs, and [releases](Entered::release) the current one. LWPs that
    /// others own or run see [`Entered::must_exit`], as does this one, should it be
    /// [held](Entered::hold) again; with the last of them the process
    /// ends. One that its owner parks from now on is released.
    ///
    /// proc0 and init do not end: there it is [`Entered::exit`].
    ///
    /// As dropping an [`Lwp`](crate::Lwp), for each parked one. If the host panics in one of
    /// them, the others are released all the same, and then the first panic goes on.
    ///
    /// # Errors
    /// As [`Entered::release`]; nothing has changed then.
    pub fn exit_group(&mut self, status: ExitStatus) -> Result<(), ReleaseError> {
        if self.proc().is_permanent() {
            return self.exit(status);
        }
        self.release()?;
        let _said_already = self.proc().word.exit_whole(status);
        let mut aftermath = Aftermath::none();
        let parked = self.drain_parked(&mut aftermath);
        aftermath.end(parked, self.seat.world().end_doomed);
        aftermath.settle();
        Ok(())
    }

    /// Tells all, and claims what is parked. The LWPs are collected first: as they go,
    /// what they were must not be held back by this pin.
    fn drain_parked(&self, aftermath: &mut Aftermath<H>) -> Vec<Doomed<H>> {
        let pin = self.seat.pin();
        drain::tell(self.proc(), std::ptr::null_mut(), &pin, aftermath);
        drain::claim_parked(self.proc(), &pin)
    }
}
