//! The system calls of the embedder.

use super::terminal;
use super::waiting::{Vforking, Waiting};
use super::{Host, Lwp, Ours};
use crate::linux::MOST_PROCESSES;
use crate::numbers::IsInit;
use crate::signals;
use crate::step::{Answer, Name};
use crate::verbs;
use lwproc::{
    ChildFlags, CredChange, Disposition, Drain, Errno, ExitStatus, KillTarget, Lid, Limit, Pid,
    QueueTarget, Resource, SigSet, Signo, Spawn, Subreaper,
};

/// A call, as its verb sees it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Who calls.
    pub actor: Name,
    /// Whom it makes.
    pub makes: Option<Name>,
    /// The arguments.
    pub values: &'a [i64],
    /// What Linux answered, if it has.
    pub hint: Option<&'a Answer>,
}

impl Asked<'_> {
    pub(super) fn int(&self, index: usize) -> i32 {
        self.values[index] as i32
    }

    pub(super) fn pid(&self, index: usize) -> Pid {
        Pid(self.int(index))
    }
}

/// What a call came to.
#[derive(Debug)]
pub enum Called {
    /// It has returned.
    Answer(Answer),
    /// It sleeps.
    Sleeps(Sleep),
}

/// What an actor sleeps in.
#[derive(Debug)]
pub enum Sleep {
    /// A wait for a child.
    Wait(Waiting),
    /// Until a signal is caught; the mask that it had before.
    Suspend(SigSet),
    /// Until a child execs or ends.
    Vfork(Vforking),
    /// In a use of the terminal, from the background.
    Terminal(terminal::Act),
    /// It has stopped: what its call has come to.
    Stopped(Answer),
}

impl Sleep {
    /// What it is called in a report.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Wait(_) => "wait",
            Self::Suspend(_) => "suspend",
            Self::Vfork(_) => "vfork",
            Self::Terminal(_) => "terminal",
            Self::Stopped(_) => "stop",
        }
    }
}

pub(super) fn answer<T>(
    result: Result<T, impl Into<Errno>>,
    value: impl FnOnce(T) -> i64,
) -> Called {
    Called::Answer(match result {
        Ok(result) => Answer::value(value(result)),
        Err(why) => Answer::error(why.into()),
    })
}

pub(super) fn number(pid: Pid) -> i64 {
    pid.0.into()
}

/// `fork(2)`.
pub fn fork(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    fork_as(ours, asked, |spawn| spawn)
}

/// `clone(2)` of a process, with its exit signal.
pub fn clone(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    let signo = Signo::new(signals::to_ours(asked.int(1)));
    fork_as(ours, asked, |spawn| spawn.exit_signal(signo))
}

/// The same with `CLONE_PARENT`.
pub fn sibling(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    fork_as(ours, asked, |spawn| spawn.sibling())
}

fn fork_as(
    ours: &mut Ours,
    asked: &Asked<'_>,
    how: impl for<'a> FnOnce(Spawn<'a, Host>) -> Spawn<'a, Host>,
) -> Called {
    let made = ours.run(asked.actor, |k| how(k.spawn()).start());
    made_process(ours, asked, made, IsInit::No)
}

/// `clone(2)` of the init of a pid namespace.
pub fn namespace(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    let made = ours.run(asked.actor, |k| match k.cred().users().effective {
        0 => k.spawn().new_namespace(1 << 22).start().map_err(Errno::from),
        _ => Err(Errno::EPERM),
    });
    made_process(ours, asked, made, IsInit::Yes)
}

fn made_process(
    ours: &mut Ours,
    asked: &Asked<'_>,
    made: Result<Lwp, impl Into<Errno>>,
    is_init: IsInit,
) -> Called {
    answer(made, |lwp| {
        let name = asked.makes.expect("a fork makes somebody");
        ours.seat(name, lwp, ours.spaces_of(asked.actor, name, is_init));
        ours.number_for(asked.actor, name).expect("just made").into()
    })
}

/// `prctl(2)`, `PR_SET_CHILD_SUBREAPER`.
pub fn subreaper(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    let new = if asked.int(0) == 0 { Subreaper::No } else { Subreaper::Yes };
    ours.run(asked.actor, |k| k.process().set_subreaper(new));
    Called::Answer(Answer::value(0))
}

/// `prctl(2)`, `PR_SET_PDEATHSIG`.
pub fn deathsig(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    let signo = match asked.int(0) {
        0 => None,
        number => match Signo::new(signals::to_ours(number)) {
            None => return Called::Answer(Answer::error(Errno::EINVAL)),
            known => known,
        },
    };
    answer(ours.run(asked.actor, |k| k.signals().set_death_signal(signo)), |_before| 0)
}

/// `_exit(2)`, of the whole process.
pub fn exit(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    ours.end(asked.actor, ExitStatus::exited(asked.int(0) as u8));
    Called::Answer(Answer::value(0))
}

/// `clone(2)` of a thread.
pub fn thread(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    let made = ours.run(asked.actor, |k| k.new_lwp(k.pid()));
    let process = ours.actor(asked.actor).process;
    answer(made, |lwp| {
        let name = asked.makes.expect("it makes a thread");
        ours.seat_thread(name, lwp, process, ours.spaces_of(asked.actor, name, IsInit::No));
        ours.number_for(asked.actor, name).expect("just made").into()
    })
}

/// `_exit(2)` of a thread.
pub fn leave(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    let status = ExitStatus::exited(asked.int(0) as u8);
    ours.run(asked.actor, |k| k.exit(status)).expect("an LWP that nobody holds");
    Called::Answer(Answer::value(0))
}

/// `execve(2)`, of the same program.
pub fn exec(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    let begun = ours.run(asked.actor, |k| k.drain());
    if begun != Drain::Begun {
        return Called::Answer(Answer::error(Errno::EAGAIN));
    }
    // They have been told.
    for thread in ours.threads_of(asked.actor) {
        if thread != asked.actor {
            ours.deliver(thread);
        }
    }
    let done = ours.run(asked.actor, |k| {
        k.wait_alone()?;
        k.exec("actor")?;
        Ok::<_, Errno>(k.lid())
    });
    answer(done, |_lid| {
        ours.process_of(asked.actor).leader = asked.actor;
        ours.renumber(asked.actor);
        0
    })
}

/// `kill(2)`.
pub fn kill(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    let signo = signals::to_ours(asked.int(1));
    let target = KillTarget::from_raw(asked.int(0));
    let sent = ours.run(asked.actor, |k| k.signals().kill(target, signo));
    answer(sent, |()| 0)
}

/// `tkill(2)`.
pub fn tkill(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    if asked.int(0) <= 0 {
        return Called::Answer(Answer::error(Errno::EINVAL));
    }
    let (target, signo) = (KillTarget::Lwp(Lid(asked.int(0))), signals::to_ours(asked.int(1)));
    answer(ours.run(asked.actor, |k| k.signals().kill(target, signo)), |()| 0)
}

/// `rt_sigqueueinfo(2)`.
pub fn queue(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    if asked.int(0) <= 0 {
        return Called::Answer(Answer::error(Errno::ESRCH));
    }
    let (signo, value) = (signals::to_ours(asked.int(1)), asked.int(2));
    let sent = ours.run(asked.actor, |k| {
        let target = QueueTarget::Proc(asked.pid(0));
        k.signals().queue(target, signo, value)
    });
    answer(sent, |()| 0)
}

/// `rt_tgsigqueueinfo(2)`.
pub fn tqueue(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    let target = QueueTarget::LwpOf(asked.pid(0), Lid(asked.int(1)));
    let (signo, value) = (signals::to_ours(asked.int(2)), asked.int(3));
    answer(ours.run(asked.actor, |k| k.signals().queue(target, signo, value)), |()| 0)
}

/// `setpgid(2)`.
pub fn setpgid(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    let (pid, pgid) = (asked.pid(0), asked.pid(1));
    answer(ours.run(asked.actor, |k| k.groups().setpgid(pid, pgid)), |()| 0)
}

/// `setsid(2)`.
pub fn setsid(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    answer(ours.run(asked.actor, |k| k.groups().setsid()), number)
}

/// `getpgid(2)`.
pub fn getpgid(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    answer(ours.run(asked.actor, |k| k.groups().pgid_of(asked.pid(0))), number)
}

/// `getsid(2)`.
pub fn getsid(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    answer(ours.run(asked.actor, |k| k.groups().sid_of(asked.pid(0))), number)
}

/// `getppid(2)`.
pub fn getppid(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    Called::Answer(Answer::value(number(ours.run(asked.actor, |k| k.ppid()))))
}

/// `setuid(2)` and its kin.
pub fn set_cred(ours: &mut Ours, asked: &Asked<'_>, change: &CredChange) -> Called {
    answer(ours.run(asked.actor, |k| k.creds().set(change)), |()| 0)
}

/// `setrlimit(2)` of `RLIMIT_NPROC`.
pub fn limit(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    let limit = Limit { soft: asked.values[0] as u64, hard: MOST_PROCESSES };
    let set = ours.run(asked.actor, |k| k.resources().set_limit(Resource::Nproc, limit));
    answer(set, |_before| 0)
}

/// `/proc/sys/kernel/ns_last_pid`.
pub fn last(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    let last = asked.pid(0);
    let namespace = ours.run(asked.actor, |k| k.process().namespace());
    match namespace.level() {
        0 => answer(ours.set_last_number(last), |()| 0),
        // As the system's file: a number, below the end.
        _ if last.0 < 0 || namespace.max().is_none_or(|max| last.0 as u32 > max) => {
            Called::Answer(Answer::error(Errno::EINVAL))
        }
        _ => {
            namespace.set_last(last);
            Called::Answer(Answer::value(0))
        }
    }
}

/// `sigprocmask(2)`.
pub fn mask(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    let set = signals::set_to_ours(asked.values[1] as u64);
    let old = ours.run(asked.actor, |k| {
        let old = k.signals().blocked();
        let new = match asked.int(0) {
            0 => old | set,
            1 => old - set,
            _ => set,
        };
        k.signals().set_blocked(new)
    });
    match old {
        Ok(old) => {
            let out = signals::show(signals::set_of_ours(old));
            Called::Answer(Answer { out, ..Answer::value(0) })
        }
        Err(why) => Called::Answer(Answer::error(why.errno())),
    }
}

/// `sigaction(2)`.
pub fn action(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    let (does, flags) = verbs::action_of(asked.values[1]);
    let new = match does {
        0 => Disposition::Default,
        1 => Disposition::Ignore,
        _ => Disposition::Catch,
    };
    let signo = signals::to_ours(asked.int(0));
    let done = ours.run(asked.actor, |k| {
        if asked.int(0) == libc::SIGCHLD {
            let has = |flag: i32, ours| match flags & flag as u64 {
                0 => ChildFlags::NONE,
                _ => ours,
            };
            let no_wait = has(libc::SA_NOCLDWAIT, ChildFlags::NO_WAIT);
            let no_stop = has(libc::SA_NOCLDSTOP, ChildFlags::NO_STOP);
            k.signals().set_child_flags(no_wait | no_stop)?;
        }
        k.signals().set_disposition(signo, new)
    });
    answer(done, |_before| 0)
}

/// `sigtimedwait(2)` that does not wait.
pub fn take(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    let set = signals::set_to_ours(asked.values[0] as u64);
    let Some(taken) = ours.run(asked.actor, |k| k.signals().take_of(set)) else {
        return Called::Answer(Answer::error(Errno::EAGAIN));
    };
    let signo = signals::of_ours(taken.signo).map_or(0, |signal| i64::from(signal.linux));
    let out = taken.value.map_or(String::new(), signals::value);
    Called::Answer(Answer { out, ..Answer::value(signo) })
}

/// `sigsuspend(2)`.
pub fn suspend(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    let set = signals::set_to_ours(asked.values[0] as u64);
    match ours.run(asked.actor, |k| k.signals().set_blocked(set)) {
        Ok(before) => Called::Sleeps(Sleep::Suspend(before)),
        Err(why) => Called::Answer(Answer::error(why.errno())),
    }
}
