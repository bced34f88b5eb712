//! A future that runs as an LWP.
#![allow(unsafe_code)]

use crate::entry::Entered;
use crate::entry::innermost::within;
use crate::entry::scoped::{Between, Scoped};
use crate::handles::refused::SwitchError;
use crate::host::{Host, ThreadHost};
use crate::ops::owned::Lwp;
use crate::panics;
use crate::reclaim::Managed;
use crate::sleep::SleepObject;
use crate::sync::fence;
use crate::waitq::{WaitQueue, Waiting};
use crate::world::context::{Context as LwpContext, Ground};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Waker};

/// A future that runs as an LWP: made by [`Lwp::scope`].
///
/// Each poll enters the kernel as the LWP, on whatever thread polls, and leaves it
/// again with the LWP taken off the thread. What the thread was before, in a kernel or
/// not, it is again afterwards. Inside, [`current`](crate::current) finds the context.
///
/// * **Switching.** What is current at the end of a poll is current at the start of the
///   next: after a [`switch`](crate::Entered::switch) or a
///   [`rfork`](crate::Entered::rfork) inside, the scope owns that LWP.
/// * **Its end.** An LWP that was [released](crate::Entered::release) inside goes at the
///   end of that poll. From then on the scope is *inert*, and nobody in the kernel:
///   [`current`](crate::current) answers
///   [`CurrentError::Inert`](crate::CurrentError::Inert) and whose context it was. Its
///   future is polled all the same. [`Scope::switch`] gives it another LWP.
/// * **Nesting.** A scope inside a scope, or on a thread that has entered by
///   [`Kernel::enter`](crate::Kernel::enter), suspends the context around it for the time
///   of a poll. It starts without the big lock, and the other has it again afterwards;
///   meanwhile the other's big lock is [`Suspended`](crate::BigLockError::Suspended). An
///   [`Entered`](crate::Entered) that is dropped inside ends that entry.
/// * **Sleeping.** A scope that is pending is a sleeping LWP
///   ([`LwpState::Sleeping`](crate::LwpState::Sleeping), from its first pending poll on). A
///   signal that it does not block, a drain, an exit of its process and
///   [`unsleep`](crate::LwpRef::unsleep) wake the task that polls it. What comes of it is
///   for the future to say: [`interruptible`](crate::interruptible) and
///   [`Scope::or_exit`] do, as does a guest that asks at each of its system calls.
/// * **Panics.** A panic of the future leaves the kernel as at the end of any poll, and
///   goes on.
/// * **Dropping** it drops the future in its context, and then ends the LWP: in order
///   ([`Lwp::release`]) when the future was ready; as by a panic when that panicked;
///   else as dropping an [`Lwp`] does. A scope that is ready and not yet dropped still
///   owns the LWP.
/// * **The kernel** may be dropped while scopes live, as with an [`Lwp`]: they go on and
///   are its survivors.
///
/// # Progress
/// Entering and leaving write nothing that another thread reads, but for virtual CPUs
/// and where the task's waker has changed or been used, and are wait-free but for Host
/// `set` and `clear`. With
/// [virtual CPUs](crate::Builder::virtual_cpus) a poll **blocks** while all are taken.
/// An LWP that is made inside shares the anchor of the LWP that the scope began with:
/// a count of the thread that made that.
#[must_use = "a future does nothing unless polled, and dropping this releases the LWP"]
pub struct Scope<F, H: Host = ThreadHost> {
    /// Between polls; before the anchor, which keeps the world.
    between: Between<H>,
    ground: Ground<H>,
    bed: TaskBed,
    /// Dropped in place. Pinned when the scope is.
    future: Option<F>,
    stage: Stage,
}

/// How far the future is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Pending,
    /// It is ready, or has been ended in order.
    Over,
    /// Between polls: it has panicked.
    Polled,
}

/// How a scope's LWP sleeps.
struct TaskBed {
    /// The task that polls the scope, among the scope's tasks.
    waiting: Waiting,
    /// What its LWP points to while it sleeps. Null before the first sleep; retired with
    /// the scope.
    object: *mut Managed<SleepObject>,
}

// SAFETY: the object is `Send` and `Sync`, and this only names it.
unsafe impl Send for TaskBed {}
// SAFETY: as above; `&TaskBed` gives nothing.
unsafe impl Sync for TaskBed {}

impl TaskBed {
    /// The task is woken from now on, if its LWP sleeps.
    fn lie_down(&mut self, tasks: &WaitQueue, waker: &Waker) {
        // Of a mark that comes at the same time one sees the other: who sets it this
        // task, or whoever looks during the poll the mark [P12].
        let _pending = tasks.poll_for(&mut self.waiting, waker, || None::<()>);
    }

    /// The current LWP sleeps from now on, unless it goes.
    fn fall_asleep<H: Host>(&mut self, entered: &Entered<'_, H>, tasks: &Arc<WaitQueue>) {
        let Some(node) = entered.living_node().filter(|node| !node.word.load().is_asleep()) else {
            return;
        };
        if self.object.is_null() {
            self.object = Managed::new(SleepObject::Tasks(tasks.clone()));
        }
        node.fall_asleep(self.object);
        // One that was told something before this is not woken for it by who told it.
        if node.word.load().has_marks() {
            tasks.wake_all();
        }
    }
}

impl<H: Host> Lwp<H> {
    /// Runs a future as this LWP; see [`Scope`].
    ///
    /// ```
    /// # use lwproc::{Kernel, Rfork, current};
    /// # fn spawn(_: impl Future<Output = ()> + Send + 'static) {}
    /// let kernel = Kernel::new();
    /// let lwp = kernel.spawn().start()?;
    /// spawn(lwp.scope(async {
    ///     let pid = current(|cx| cx.pid());
    ///     // ... awaits, and moves between threads ...
    ///     assert_eq!(current(|cx| cx.pid()), pid);
    /// }));
    /// # Ok::<(), lwproc::SpawnError>(())
    /// ```
    ///
    /// Lock-free but for the allocator: it counts the LWP's anchor.
    pub fn scope<F: Future>(self, future: F) -> Scope<F, H> {
        // SAFETY: owned by `self`.
        let anchor = unsafe { self.node().anchor() }.expect("a user's LWP has an anchor");
        let ground = Ground { anchor, tasks: Arc::new(WaitQueue::new()) };
        let bed = TaskBed { waiting: Waiting::default(), object: std::ptr::null_mut() };
        Scope {
            between: Between::Lwp(self),
            ground,
            bed,
            future: Some(future),
            stage: Stage::Pending,
        }
    }
}

/// What is done in a scope's context.
pub(super) struct Inside<'s, F, H: Host> {
    pub(super) entered: &'s Entered<'s, H>,
    /// Not to be moved.
    future: &'s mut Option<F>,
    bed: &'s mut TaskBed,
    tasks: &'s Arc<WaitQueue>,
    stage: &'s mut Stage,
}

impl<F, H: Host> Inside<'_, F, H> {
    /// Drops the future, which is over.
    pub(super) fn finish(&mut self) {
        *self.future = None;
        *self.stage = Stage::Over;
    }
}

impl<F: Future, H: Host> Inside<'_, F, H> {
    /// Polls the future; pending when it is gone.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        if self.entered.is_stopped() {
            self.bed.lie_down(self.tasks, cx.waker());
            self.bed.fall_asleep(self.entered, self.tasks);
            // SeqCst fence [P113]: SIGCONT finds the task asleep, or this that it goes on.
            fence(SeqCst);
            if self.entered.is_stopped() {
                *self.stage = Stage::Pending;
                return Poll::Pending;
            }
            // It goes on since, and who said so may have come too early to wake this task.
        }
        let polled = match self.future {
            // SAFETY: pinned with the scope.
            Some(future) => unsafe { Pin::new_unchecked(future) }.poll(cx),
            None => Poll::Pending,
        };
        match polled {
            Poll::Pending => {
                *self.stage = Stage::Pending;
                self.bed.lie_down(self.tasks, cx.waker());
                self.bed.fall_asleep(self.entered, self.tasks);
            }
            Poll::Ready(_) => {
                *self.stage = Stage::Over;
                self.entered.rouse();
            }
        }
        polled
    }
}

impl<F, H: Host> Scope<F, H> {
    /// The LWP; `None` when it has gone inside.
    pub fn lwp(&self) -> Option<&Lwp<H>> {
        match &self.between {
            Between::Lwp(lwp) => Some(lwp),
            Between::Gone(..) => None,
        }
    }

    /// Another LWP for the scope, as which it runs from its next poll on; the one before
    /// comes back, unless it has gone. It is how an inert scope gets one. Wait-free.
    ///
    /// # Errors
    /// [`SwitchError::WrongKernel`] (EXDEV).
    pub fn switch(self: Pin<&mut Self>, new: Lwp<H>) -> Result<Option<Lwp<H>>, SwitchError<H>> {
        if !std::ptr::eq(new.world(), self.ground.anchor.world()) {
            return Err(SwitchError::WrongKernel(new));
        }
        // SAFETY: nothing that is pinned is moved.
        let this = unsafe { self.get_unchecked_mut() };
        let old = this.between.replace(new);
        Ok(old.inspect(|old| old.node().rouse()))
    }

    /// Calls `f` in the scope's context. It must not move the future.
    fn enter<R>(&mut self, f: impl FnOnce(&mut Inside<'_, F, H>) -> R) -> R {
        let Self { between, ground, bed, future, stage } = self;
        let seat = ground.anchor.seat();
        // SAFETY: borrowed from the scope until the context ends with this function.
        let cx = unsafe { LwpContext::of_scope(ground) };
        let scoped = Scoped::enter(seat, &cx, between);
        let entered = scoped.entered();
        within(entered, || f(&mut Inside { entered, future, bed, tasks: &ground.tasks, stage }))
    }

    /// Enters for a poll.
    pub(super) fn poll_in<R>(
        self: Pin<&mut Self>,
        waker: &Waker,
        poll: impl FnOnce(&mut Inside<'_, F, H>) -> R,
    ) -> R {
        // SAFETY: `future` is not moved out, nor is anything else that is pinned.
        let this = unsafe { self.get_unchecked_mut() };
        if !this.bed.object.is_null() {
            this.bed.lie_down(&this.ground.tasks, waker);
        }
        this.stage = Stage::Polled;
        this.enter(poll)
    }
}

impl<F: Future, H: Host> Future for Scope<F, H> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.poll_in(cx.waker(), |inside| inside.poll(cx))
    }
}

impl<F, H: Host> Drop for Scope<F, H> {
    fn drop(&mut self) {
        let stage = self.stage;
        let done = panics::catch(|| self.enter(|inside| inside.finish()));
        // The host may have panicked on the way in.
        self.future = None;
        if let Some(lwp) = self.lwp() {
            lwp.node().rouse();
        }
        let Self { ground, bed, .. } = self;
        let _ = ground.tasks.stop_waiting(&mut bed.waiting);
        // Nobody's waker stays in what is retired.
        ground.tasks.wake_all();
        if !bed.object.is_null() {
            // SAFETY: the scope's own, and no LWP points to it any more.
            unsafe { ground.anchor.seat().pin().retire(bed.object) };
        }
        let ended = panics::catch(|| match (self.between.take(), stage) {
            (Err(_gone), _) => {}
            (Ok(lwp), Stage::Over) => lwp.release(),
            (Ok(lwp), Stage::Pending) => drop(lwp),
            (Ok(lwp), Stage::Polled) => lwp.panicked(),
        });
        if let Err(panic) = done.and(ended) {
            panic.report();
        }
    }
}

impl<F, H: Host> fmt::Debug for Scope<F, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.between {
            Between::Lwp(lwp) => write!(f, "Scope({lwp:?})"),
            Between::Gone(pid, lid) => write!(f, "Scope(inert, was {pid}:{lid})"),
        }
    }
}
