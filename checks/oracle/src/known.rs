//! Where the library is known to differ from Linux: one entry each, and no other difference
//! is let pass. When one is met and the states agree nonetheless, the sequence goes on; else
//! it ends there. The list shrinks as the library grows.

use crate::signals;
use crate::state::{Stage, State, Task};
use crate::step::{Name, Outcome, Step};
use lwproc::{Abi, Errno};

/// One difference that was met.
#[derive(Clone, Copy, Debug)]
pub struct Difference<'a> {
    /// The step in which it was met.
    pub step: &'a Step,
    /// The arguments, by Linux's numbers.
    pub values: &'a [i64],
    /// The number of its actor's process, as that knows it.
    pub process: Option<i64>,
    /// How all were before, on Linux.
    pub before: &'a State,
    /// How they are now, on Linux and here.
    pub after: [&'a State; 2],
    /// Whose it is.
    pub actor: Name,
    /// Linux's outcome, and ours; none when a field differs.
    pub outcomes: [Option<&'a Outcome>; 2],
    /// The field that differs.
    pub field: Option<&'static str>,
}

impl Difference<'_> {
    fn is(&self, verb: &str) -> bool {
        self.step.verb.name == verb && self.actor == self.step.actor
    }

    fn is_kill(&self) -> bool {
        self.step.verb.name == "kill"
    }

    fn result(&self, side: usize) -> Option<Result<i64, i32>> {
        match self.outcomes[side]? {
            Outcome::Answered(answer) => Some(answer.result),
            _ => None,
        }
    }

    /// Whether the actor's process has lost its first thread.
    fn has_lost_its_first(&self) -> bool {
        let process = self.before.get(&self.actor).map(|task| task.process);
        self.before.values().any(|task| Some(task.pid) == process && task.stage == Stage::Zombie)
    }

    /// Whether that argument is the number of a zombie.
    fn is_of_zombie(&self, arg: usize) -> bool {
        // One who is gone may have had the number before.
        let is_meant = |task: &Task| i64::from(task.pid) == self.values[arg];
        self.before.values().any(|task| is_meant(task) && task.stage == Stage::Zombie)
    }

    /// Whether who waits in a vfork on Linux goes on waiting, and has a signal before it, or
    /// a stop, that has been taken here.
    fn is_of_vforker(&self) -> bool {
        let [linux, ours] = self.after;
        self.before.iter().filter(|(_, task)| task.call == Some("vfork")).any(|(name, before)| {
            let (Some(theirs), Some(own)) = (linux.get(name), ours.get(name)) else { return false };
            let left = (theirs.pending & !own.pending) | (theirs.own_pending & !own.own_pending);
            theirs.stage == Stage::Living
                && theirs.call == before.call
                && (own.stage == Stage::Stopped || left & !theirs.blocked != 0)
        })
    }

    /// Whether who was suspended has ended on Linux, and here blocks what is pending.
    fn ends_suspended(&self) -> bool {
        self.before.iter().filter(|(_, task)| task.call == Some("suspend")).any(|(name, _)| {
            let [_, Some(theirs), Some(own)] = self.three(name) else { return false };
            let waits = (own.pending | own.own_pending) & own.blocked != 0;
            !theirs.stage.is_alive() && own.stage.is_alive() && waits
        })
    }

    /// Whether the step is a use of the terminal that stops the background.
    fn is_of_terminal(&self) -> bool {
        matches!(self.step.verb.name, "ttyread" | "ttywrite" | "tcflush" | "tcsetpgrp")
    }

    /// Whether Linux has stops for the thread, of a process that was stopped, and no more.
    fn is_stop_of_stopped(&self) -> bool {
        let [Some(before), Some(theirs), Some(own)] = self.three(&self.actor) else {
            return false;
        };
        let more = theirs.own_pending & !own.own_pending;
        let rest = own.own_pending & !theirs.own_pending;
        before.stage == Stage::Stopped && rest == 0 && more & !signals::stops() == 0
    }

    /// Whether the actor and its parent have both ended in this step, on both sides.
    fn ends_with_parent(&self) -> bool {
        let ended = |before: &Task, theirs: &Task, own: &Task| {
            before.stage.is_alive() && !theirs.stage.is_alive() && !own.stage.is_alive()
        };
        let has_ended = |name: &Name| {
            let [Some(before), Some(theirs), Some(own)] = self.three(name) else { return false };
            ended(before, theirs, own)
        };
        has_ended(&self.actor) && self.parent().is_some_and(has_ended)
    }

    /// Whether the actor's parent was in a wait, and has stopped here.
    fn stops_parent_in_wait(&self) -> bool {
        let [Some(_), Some(theirs), Some(own)] = self.three(&self.actor) else { return false };
        let has_stopped = |name: &Name| {
            let [Some(before), Some(_), Some(own)] = self.three(name) else { return false };
            before.call.is_some_and(|call| call.starts_with("wait")) && own.stage == Stage::Stopped
        };
        let stages = [theirs.stage, own.stage];
        stages == [Stage::Gone, Stage::Zombie] && self.parent().is_some_and(has_stopped)
    }

    /// Whether several threads, of several users, were the actor's parent, and have ended.
    fn parents_differ_and_end(&self) -> bool {
        let Some(child) = self.before.get(&self.actor) else { return false };
        let is_parent = |task: &Task| task.process == child.ppid && task.stage.is_alive();
        let parents = || self.before.iter().filter(|(_, task)| is_parent(task));
        let has_ended = |name: &Name| {
            self.after.iter().all(|state| state.get(name).is_none_or(|t| !t.stage.is_alive()))
        };
        let Some((_, first)) = parents().next() else { return false };
        parents().any(|(_, task)| task.users != first.users)
            && parents().all(|(name, _)| has_ended(name))
    }

    /// The actor whose child this one was.
    fn parent(&self) -> Option<&Name> {
        let ppid = self.before.get(&self.actor)?.ppid;
        let is_it = |task: &Task| task.pid == ppid && task.stage.is_alive();
        self.before.iter().find(|(_, task)| is_it(task)).map(|(name, _)| name)
    }

    /// An actor before, and now on both sides.
    fn three(&self, name: &Name) -> [Option<&Task>; 3] {
        let [linux, ours] = self.after;
        [self.before, linux, ours].map(|state| state.get(name))
    }

    fn linux(&self) -> Option<Result<i64, i32>> {
        self.result(0)
    }

    fn ours(&self) -> Option<Result<i64, i32>> {
        self.result(1)
    }
}

/// A known difference.
#[derive(Debug)]
pub struct Known {
    /// A short name.
    pub name: &'static str,
    /// What each side does, and why it stands.
    pub reason: &'static str,
    /// Whether this is it.
    pub is: fn(&Difference<'_>) -> bool,
    /// Whether the sides can be compared any further, as long as their states agree.
    pub then: Then,
}

/// What follows a known difference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Then {
    /// The sequence goes on.
    GoesOn,
    /// It ends: numbers will differ, for one.
    Ends,
}

fn err(errno: Errno) -> Option<Result<i64, i32>> {
    Some(Err(errno.number(Abi::Linux)))
}

/// The list.
pub const KNOWN: &[Known] = &[
    Known {
        name: "a signal to who waits in a vfork",
        reason: "on Linux it pends until the vfork has returned, even where the process has other \
                 threads, and so does a stop; here another takes it, and a process stops at once",
        is: |d| d.is_of_vforker(),
        then: Then::Ends,
    },
    Known {
        name: "the first thread of a vfork's child leaves alone",
        reason: "Linux lets the parent go on, in whose memory the others run still; here, as on \
                 NetBSD, the process must end or exec",
        is: |d| {
            let waits = |state: &State, name: &Name| {
                state.get(name).is_some_and(|task| task.call == Some("vfork"))
            };
            let is_one = |name: &Name| {
                let [linux, ours] = d.after;
                waits(d.before, name) && !waits(linux, name) && waits(ours, name)
            };
            d.step.verb.name == "leave" && d.before.keys().any(is_one)
        },
        then: Then::Ends,
    },
    Known {
        name: "an exec beyond the limit",
        reason: "Linux decides when the real user changes, by the limit and the count of then, \
                 and never for user 0; here the exec does",
        is: |d| {
            let both = [d.linux(), d.ours()];
            d.is("exec") && both.contains(&Some(Ok(0))) && both.contains(&err(Errno::EAGAIN))
        },
        then: Then::Ends,
    },
    Known {
        name: "tkill of a zombie",
        reason: "Linux finds the first thread until the process is reaped; here it has no LWP",
        is: |d| {
            let is_meant = match d.step.verb.name {
                "tkill" => d.is_of_zombie(0),
                "tqueue" => d.is_of_zombie(1),
                _ => false,
            };
            is_meant && d.actor == d.step.actor && d.ours() == err(Errno::ESRCH)
        },
        then: Then::GoesOn,
    },
    Known {
        name: "a wait for a group that its last child leaves",
        reason: "Linux sleeps on, for good; here ECHILD, which is better and stays",
        is: |d| {
            let leaves = matches!(d.step.verb.name, "setpgid" | "setsid");
            leaves && d.outcomes[0].is_none() && d.ours() == err(Errno::ECHILD)
        },
        then: Then::GoesOn,
    },
    Known {
        name: "a wait for a clone child that has become an ordinary one",
        reason: "Linux sleeps on, until that child itself ends; here ECHILD when any child does",
        is: |d| {
            let waits = d.before.get(&d.actor).is_some_and(|task| task.call == Some("waitid"));
            waits && d.outcomes[0].is_none() && d.ours() == err(Errno::ECHILD)
        },
        then: Then::Ends,
    },
    Known {
        name: "the death signal of threads that end together",
        reason: "of threads with other ids each that ends asks by its own, and hands its children \
                 to one that lives still: who is the last is open",
        is: |d| d.parents_differ_and_end(),
        then: Then::Ends,
    },
    Known {
        name: "a wait for its own group that begins again",
        reason: "after a signal that does nothing Linux restarts it, for the group of then: \
                 ECHILD; here a wait is for the group of its beginning",
        is: |d| d.result(0) == err(Errno::ECHILD) && d.outcomes[1].is_none(),
        then: Then::Ends,
    },
    Known {
        name: "the number of a thread after the first one has left",
        reason: "Linux keeps the process's number for that; here, as on NetBSD, it is free",
        is: |d| {
            let made = d.step.verb.name == "thread" && d.actor == d.step.actor;
            made && d.ours().and_then(Result::ok) == d.process
        },
        then: Then::Ends,
    },
    Known {
        name: "an ignored signal to a process without its first thread",
        reason: "Linux asks the mask of the thread that is gone, and drops it; here the others'",
        is: |d| matches!(d.field, Some("pending" | "own pending")) && d.has_lost_its_first(),
        then: Then::Ends,
    },
    Known {
        name: "a sigsuspend that begins again",
        reason: "a stop, or what would stop an orphaned group, wakes Linux's, which has the old \
                 mask for a moment: what that lets through is taken",
        is: |d| {
            let suspended = d.before.get(&d.actor).is_some_and(|t| t.call == Some("suspend"));
            let goes_on = suspended && d.actor != d.step.actor && d.outcomes[1].is_none();
            goes_on || d.ends_suspended()
        },
        then: Then::Ends,
    },
    Known {
        name: "a stop to one thread of who is stopped",
        reason: "Linux keeps it for that thread until SIGCONT discards it; here it is discarded",
        is: |d| d.field == Some("own pending") && d.is_stop_of_stopped(),
        then: Then::Ends,
    },
    Known {
        name: "the end of a parent with its child",
        reason: "who of the two ends first is open: whether the child leaves a zombie is the one \
                 parent's affair, or the next one's",
        is: |d| d.field == Some("stage") && d.ends_with_parent(),
        then: Then::Ends,
    },
    Known {
        name: "a stop that comes with the end of a child",
        reason: "Linux's wait finds the child, and stops then; here it has stopped before",
        is: |d| d.field == Some("stage") && d.stops_parent_in_wait(),
        then: Then::Ends,
    },
    Known {
        name: "SIGCHLD of a child that stops with its parent",
        reason: "Linux's parent, which catches it, has stopped before or after; here all stop when \
                 the signal is sent",
        is: |d| {
            let to_many = d.is_kill() && d.values[0] <= 0 && matches!(d.values[1], 19..=22);
            let has_stopped = d.after[1].get(&d.actor).is_some_and(|t| t.stage == Stage::Stopped);
            (to_many || (d.is_of_terminal() && has_stopped))
                && matches!(d.field, Some("pending" | "caught"))
        },
        then: Then::Ends,
    },
    Known {
        name: "a parent that leaves no zombies and its child, killed at once",
        reason: "whoever ends first: the child is gone, or a zombie of who inherits it",
        is: |d| {
            let stages = d.field == Some("stage") && d.actor != d.step.actor;
            stages && d.is_kill() && d.values[0] <= 0
        },
        then: Then::Ends,
    },
    Known {
        name: "the death signal of a first thread that has left",
        reason: "Linux's is a zombie until the last has left, and still asks for it; here it is gone",
        is: |d| {
            let field = matches!(d.field, Some("stage" | "pending" | "caught"));
            field && d.has_lost_its_first() && d.actor != d.step.actor
        },
        then: Then::Ends,
    },
];

/// The entry that a difference is, if there is one.
pub fn recognise(difference: &Difference<'_>) -> Option<&'static Known> {
    KNOWN.iter().find(|known| (known.is)(difference))
}

/// What the library cannot say yet: steps that are not invented.
#[derive(Debug)]
pub struct NotYet {
    /// A short name.
    pub name: &'static str,
    /// What is missing.
    pub reason: &'static str,
    /// Whether a step needs it.
    pub needs: fn(&Step) -> bool,
}

/// The list: an entry goes when the library can.
pub const NOT_YET: &[NotYet] = &[];

/// Whether a step is to be left out.
pub fn is_not_yet(step: &Step) -> bool {
    NOT_YET.iter().any(|entry| (entry.needs)(step))
}
