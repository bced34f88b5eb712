//! Waiting for children.
//!
//! A wait that sleeps is a future of the library, which is polled again only when its waker
//! has been called: a wake-up that the library loses is a call that goes on here.

use super::calls::{Asked, Called, Sleep, number};
use super::{Entered, Host, Ours};
use crate::numbers::IsInit;
use crate::signals;
use crate::step::{Answer, Name};
use crate::verbs;
use lwproc::{
    ChildEvent, ChildKind, Errno, Pid, Reaped, Signo, Vforked, WaitChild, WaitError, WaitEvents,
    WaitFor, WaitTarget,
};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Wake, Waker};

/// A wait that sleeps.
#[derive(Debug)]
pub struct Waiting {
    target: WaitTarget,
    sought: Sought,
    future: Pin<Box<WaitChild<Host>>>,
    woken: Arc<Woken>,
}

/// What is sought of whatever children, and what becomes of the one that is found.
#[derive(Clone, Copy, Debug)]
struct Sought {
    events: WaitEvents,
    kind: ChildKind,
    whose: Whose,
    then: Then,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Whose {
    Process,
    Thread,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Then {
    Reap,
    Leave,
}

impl Sought {
    fn of(self, target: WaitTarget) -> WaitFor {
        match self.then {
            Then::Reap => self.but_for_then(target),
            Then::Leave => self.peek(target),
        }
    }

    fn peek(self, target: WaitTarget) -> WaitFor {
        self.but_for_then(target).peek()
    }

    fn but_for_then(self, target: WaitTarget) -> WaitFor {
        let what = target.events(self.events).kind(self.kind);
        if self.whose == Whose::Thread { what.of_this_lwp() } else { what }
    }
}

/// Whether the waker has been called. (One thread runs all.)
#[derive(Debug, Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

impl Waiting {
    fn new(k: &Entered<'_>, target: WaitTarget, sought: Sought) -> Self {
        let future = Box::pin(k.process().wait(sought.of(target)));
        Self { target, sought, future, woken: Arc::default() }
    }

    fn poll(&mut self, k: &mut Entered<'_>) -> Poll<Result<Reaped, WaitError>> {
        self.woken.0.store(false, Relaxed);
        let waker = Waker::from(self.woken.clone());
        k.lend(|| self.future.as_mut().poll(&mut Context::from_waker(&waker)))
    }
}

/// The wait of a vfork's parent.
#[derive(Debug)]
pub struct Vforking {
    pid: i64,
    future: Vforked<Host>,
    woken: Arc<Woken>,
}

impl Vforking {
    fn poll(&mut self) -> Option<Answer> {
        self.woken.0.store(false, Relaxed);
        let waker = Waker::from(self.woken.clone());
        let polled = Pin::new(&mut self.future).poll(&mut Context::from_waker(&waker));
        polled.is_ready().then(|| Answer::value(self.pid))
    }
}

/// `vfork(2)`, but for the memory.
pub fn vfork(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    let lwp = match ours.run(asked.actor, |k| k.spawn().start()) {
        Ok(lwp) => lwp,
        Err(why) => return Called::Answer(Answer::error(why.errno())),
    };
    let (name, future) =
        (asked.makes.expect("a vfork makes somebody"), lwp.proc_handle().vforked());
    ours.seat(name, lwp, ours.spaces_of(asked.actor, name, IsInit::No));
    let pid = ours.number_for(asked.actor, name).expect("just made").into();
    let mut vforking = Vforking { pid, future, woken: Arc::default() };
    match vforking.poll() {
        Some(answer) => Called::Answer(answer),
        None => Called::Sleeps(Sleep::Vfork(vforking)),
    }
}

/// `waitid(2)`.
pub fn waitid(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    let events = match asked.int(3) {
        1 => WaitEvents::STOPPED,
        2 => WaitEvents::CONTINUED,
        3 => WaitEvents::EXITED | WaitEvents::STOPPED | WaitEvents::CONTINUED,
        _ => WaitEvents::EXITED,
    };
    let kind = match asked.int(3) {
        4 => ChildKind::Clone,
        5 => ChildKind::Any,
        _ => ChildKind::Ordinary,
    };
    let whose = if asked.int(3) == 6 { Whose::Thread } else { Whose::Process };
    wait_for(ours, asked, Sought { events, kind, whose, then: Then::Reap }, Errno::EINVAL)
}

/// `wait4(2)`, and `waitid(2)` with `WNOWAIT`.
pub fn wait(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    let none = if asked.int(2) == 0 { Errno::ESRCH } else { Errno::EINVAL };
    let (events, kind, whose) = (WaitEvents::EXITED, ChildKind::Ordinary, Whose::Process);
    wait_for(ours, asked, Sought { events, kind, whose, then: Then::Reap }, none)
}

fn wait_for(ours: &mut Ours, asked: &Asked<'_>, sought: Sought, none: Errno) -> Called {
    let hangs = asked.int(1) == 0;
    let then = if asked.int(2) == 0 { Then::Reap } else { Then::Leave };
    let sought = Sought { then, ..sought };
    if asked.int(0) == i32::MIN {
        // It has no opposite. Linux's two calls differ in that.
        return Called::Answer(Answer::error(none));
    }
    ours.run(asked.actor, |k| {
        let target = match WaitTarget::from_raw(asked.int(0)) {
            // The group that it is in now, however long it waits.
            // One of outside has no number in a namespace.
            WaitTarget::OwnPgrp
                if k.groups().pgid().0 != 0 || k.process().namespace().level() == 0 =>
            {
                WaitTarget::Pgrp(k.groups().pgid())
            }
            other => other,
        };
        match choose(k, target, sought, asked.hint) {
            Ok(Some(chosen)) => match k.try_wait(sought.of(chosen)) {
                Ok(child) => Called::Answer(child.map_or(Answer::value(0), told)),
                Err(why) => Called::Answer(Answer::error(why.errno())),
            },
            Ok(None) if !hangs => Called::Answer(Answer::value(0)),
            Ok(None) => {
                let mut waiting = Waiting::new(k, target, sought);
                match waiting.poll(k) {
                    Poll::Pending => Called::Sleeps(Sleep::Wait(waiting)),
                    Poll::Ready(done) => Called::Answer(answer(done)),
                }
            }
            Err(why) => Called::Answer(Answer::error(why.errno())),
        }
    })
}

fn answer(done: Result<Reaped, WaitError>) -> Answer {
    match done {
        Ok(child) => told(child),
        Err(why) => Answer::error(why.errno()),
    }
}

/// What is told of a child that has ended.
fn told(child: Reaped) -> Answer {
    let name = |signo| signals::of_ours(signo).map_or("?", |signal| signal.name);
    let out = match child.event {
        ChildEvent::Stopped(signo) => format!("stopped {}", name(signo)),
        ChildEvent::Continued => "continued".into(),
        ChildEvent::Ended => ended(&child),
    };
    Answer { out, ..Answer::value(number(child.pid)) }
}

fn ended(child: &Reaped) -> String {
    let signal = child.status.signal().and_then(|number| Signo::new(number.into()));
    let signal = signal.and_then(signals::of_ours).map_or(0, |signal| signal.linux.into());
    verbs::ended(signal, child.status.exit_code().unwrap_or(0).into())
}

/// What to wait for of what is meant, when a child has ended: of several the one that Linux
/// chose, if it is meant.
fn choose(
    k: &Entered<'_>,
    target: WaitTarget,
    sought: Sought,
    hint: Option<&Answer>,
) -> Result<Option<WaitTarget>, WaitError> {
    let Some(first) = k.try_wait(sought.peek(target))? else { return Ok(None) };
    let wanted = hint.and_then(|hint| hint.result.ok()).map(|pid| Pid(pid as i32));
    let other = wanted
        .filter(|pid| *pid != first.pid && is_meant(k, target, *pid))
        .map(WaitTarget::Pid)
        .filter(|other| matches!(k.try_wait(sought.peek(*other)), Ok(Some(_))));
    Ok(Some(other.unwrap_or(target)))
}

/// Whether a wait for `target` could find that process, were it a child that has ended.
fn is_meant(k: &Entered<'_>, target: WaitTarget, pid: Pid) -> bool {
    match target {
        WaitTarget::Any => true,
        WaitTarget::Pgrp(pgid) => k.groups().pgid_of(pid) == Ok(pgid),
        WaitTarget::OwnPgrp => k.groups().pgid_of(pid) == Ok(k.groups().pgid()),
        _ => false,
    }
}

impl Ours {
    /// The number of the child, if that has execed or ended.
    pub(super) fn return_from_vfork(&mut self, name: Name) -> Option<Answer> {
        let waits = matches!(self.actor(name).sleeps, Some(Sleep::Vfork(_)));
        let may = waits && self.is_alive(name) && !self.is_stopped(name);
        if may { self.wake(name, false, None) } else { None }
    }

    /// What a wait that sleeps has found meanwhile.
    pub(super) fn find_child(&mut self, name: Name) -> Option<Answer> {
        let waits = matches!(self.actor(name).sleeps, Some(Sleep::Wait(_)));
        if waits && !self.is_stopped(name) { self.wake(name, false, None) } else { None }
    }

    /// What the call of a sleeper comes to, if it comes to an end.
    pub(super) fn wake(
        &mut self,
        name: Name,
        interrupted: bool,
        hint: Option<&Answer>,
    ) -> Option<Answer> {
        let interruption = interrupted.then(|| Answer::error(Errno::EINTR));
        // The sleep is put back if it goes on.
        let mut sleep = self.actor(name).sleeps.take()?;
        let answer = match &mut sleep {
            Sleep::Suspend(before) => {
                if interrupted {
                    // The mask that it had: what it blocks may wait again.
                    let _temporary = self.run(name, |k| k.signals().set_blocked(*before));
                }
                interruption
            }
            // It tries again by itself.
            Sleep::Terminal(_) => None,
            Sleep::Stopped(answer) => Some(answer.clone()),
            Sleep::Vfork(vforking) if !vforking.woken.0.load(Relaxed) => None,
            Sleep::Vfork(vforking) => vforking.poll(),
            Sleep::Wait(waiting) => {
                // It may have been interrupted before the child had ended, or after.
                let as_linux = interruption.as_ref().filter(|answer| hint == Some(*answer));
                match as_linux {
                    Some(_) => interruption,
                    None => self.run(name, |k| look_again(k, waiting, hint)).or(interruption),
                }
            }
        };
        if answer.is_none() {
            self.actor(name).sleeps = Some(sleep);
        }
        answer
    }
}

/// Lets a wait look again, if it was woken.
fn look_again(k: &mut Entered<'_>, waiting: &mut Waiting, hint: Option<&Answer>) -> Option<Answer> {
    if !waiting.woken.0.load(Relaxed) {
        return None;
    }
    // Another than it would find by itself: a wait for that one, in its place.
    if let Ok(Some(chosen)) = choose(k, waiting.target, waiting.sought, hint)
        && chosen != waiting.target
    {
        waiting.future = Box::pin(k.process().wait(waiting.sought.of(chosen)));
    }
    match waiting.poll(k) {
        Poll::Pending => None,
        Poll::Ready(done) => Some(answer(done)),
    }
}
