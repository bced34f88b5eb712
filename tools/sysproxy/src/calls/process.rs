//! Ends, waits, signals, limits, usage.

use super::ids::nothing;
use super::{Answer, Call, Done, Malformed, Values};
use crate::layout::{self, RESOURCES, RLIMIT, SIGSET};
use crate::wire::Memory;
use crate::{Host, MAX_FILES};
use lwproc::{
    Entered, Errno, ExitStatus, KillTarget, Limit, Reaped, Resource, SigSet, WaitTarget, current_of,
};

type Made = Result<Answer, Malformed>;

/// `exit(2)`: the server answers it, and ends the connection.
pub(super) fn exit(k: &mut Entered<'_, Host>, call: &Call<'_>) -> Made {
    // What a parent sees of it are the low 8 bits.
    let status = ExitStatus::exited(call.int(0)? as u8);
    Ok(nothing(k.exit_group(status)))
}

/// `reboot(2)`.
pub(super) fn reboot(k: &mut Entered<'_, Host>) -> Answer {
    if k.cred().is_superuser() { Answer::Shutdown } else { Answer::Now(Err(Errno::EPERM)) }
}

pub(super) fn kill(k: &mut Entered<'_, Host>, call: &Call<'_>) -> Made {
    Ok(nothing(k.signals().kill(KillTarget::from_raw(call.int(0)?), call.int(1)?)))
}

/// Options of `wait4(2)`: `sys/sys/wait.h`. Stopped and continued children are the client
/// programs' own affair, and are asked for in vain.
mod options {
    pub(super) const WNOHANG: i32 = 0x1;
    const WUNTRACED: i32 = 0x2;
    const WALTSIG: i32 = 0x4;
    const WALLSIG: i32 = 0x8;
    const WCONTINUED: i32 = 0x10;
    const WEXITED: i32 = 0x20;
    pub(super) const WNOWAIT: i32 = 0x1_0000;
    pub(super) const ALL: i32 =
        WNOHANG | WUNTRACED | WALTSIG | WALLSIG | WCONTINUED | WEXITED | WNOWAIT;
}

pub(super) fn wait4(k: &mut Entered<'_, Host>, call: &Call<'_>) -> Made {
    let (pid, status, flags, usage) = (call.int(0)?, call.long(1)?, call.int(2)?, call.long(3)?);
    if flags & !options::ALL != 0 {
        return Ok(Answer::Now(Err(Errno::EINVAL)));
    }
    let target = WaitTarget::from_raw(pid);
    let what = if flags & options::WNOWAIT != 0 { target.peek() } else { target.into() };
    let memory = call.memory().clone();
    let tell = move |reaped: Reaped| -> Values {
        if status != 0 {
            memory.write(status, &reaped.status.as_wait_status().to_ne_bytes());
        }
        if usage != 0 {
            memory.write(usage, &layout::rusage(&reaped.usage));
        }
        [reaped.pid.0.into(), 0]
    };
    Ok(match k.try_wait(what) {
        Ok(Some(reaped)) => Answer::Now(Ok(tell(reaped))),
        Ok(None) if flags & options::WNOHANG != 0 => Answer::Now(Ok([0, 0])),
        Ok(None) => Answer::later(async move {
            let wait = current_of::<Host, _>(|k| k.process().wait(what))?;
            Ok(Done::Values(tell(wait.await?)))
        }),
        Err(error) => Answer::Now(Err(error.into())),
    })
}

pub(super) fn getrusage(k: &mut Entered<'_, Host>, call: &Call<'_>) -> Made {
    let usage = match call.int(0)? {
        0 => k.resources().usage(),
        -1 => k.resources().children_usage(),
        _ => return Ok(Answer::Now(Err(Errno::EINVAL))),
    };
    call.memory().write(call.long(1)?, &layout::rusage(&usage));
    Ok(Answer::Now(Ok([0, 0])))
}

fn resource(call: &Call<'_>) -> Result<Result<Resource, Errno>, Malformed> {
    let number = usize::try_from(call.int(0)?).ok();
    Ok(number.and_then(|number| RESOURCES.get(number).copied()).ok_or(Errno::EINVAL))
}

pub(super) fn getrlimit(k: &mut Entered<'_, Host>, call: &Call<'_>) -> Made {
    let (resource, address) = (resource(call)?, call.long(1)?);
    Ok(nothing(resource.map(|resource| {
        call.memory().write(address, &layout::rlimit(k.resources().limit(resource)));
    })))
}

pub(super) fn setrlimit(call: &Call<'_>) -> Made {
    let (resource, address, memory) = (resource(call)?, call.long(1)?, call.memory().clone());
    let resource = match resource {
        Ok(resource) => resource,
        Err(errno) => return Ok(Answer::Now(Err(errno))),
    };
    Ok(Answer::later(async move {
        let mut limit = layout::from_rlimit(&read::<RLIMIT>(&memory, address).await?);
        if resource == Resource::Nofile {
            // As `dosetrlimit` of NetBSD's `sys/kern/kern_resource.c`, for the superuser too.
            limit = Limit { soft: limit.soft.min(MAX_FILES), hard: limit.hard.min(MAX_FILES) };
        }
        Ok(Done::then(move |k| {
            k.resources().set_limit(resource, limit)?;
            Ok([0, 0])
        }))
    }))
}

async fn read<const N: usize>(memory: &Memory, address: u64) -> Result<[u8; N], Errno> {
    memory.read(address, N).await?.try_into().map_err(|_| Errno::EFAULT)
}

pub(super) fn sigpending(k: &mut Entered<'_, Host>, call: &Call<'_>) -> Made {
    call.memory().write(call.long(0)?, &layout::sigset(k.signals().pending()));
    Ok(Answer::Now(Ok([0, 0])))
}

/// What `sigprocmask(2)` makes of a mask (`SIG_*`, `sys/sys/signal.h`).
fn masked(how: i32, old: SigSet, set: SigSet) -> Option<SigSet> {
    match how {
        1 => Some(old | set),
        2 => Some(old - set),
        3 => Some(set),
        _ => None,
    }
}

/// The mask is the main LWP's, and so the process's.
pub(super) fn sigprocmask(k: &mut Entered<'_, Host>, call: &Call<'_>) -> Made {
    let (how, set, before) = (call.int(0)?, call.long(1)?, call.long(2)?);
    let memory = call.memory().clone();
    let tell = move |mask: SigSet| {
        if before != 0 {
            memory.write(before, &layout::sigset(mask));
        }
    };
    if set == 0 {
        tell(k.signals().blocked());
        return Ok(Answer::Now(Ok([0, 0])));
    }
    let memory = call.memory().clone();
    Ok(Answer::later(async move {
        let set = layout::from_sigset(&read::<SIGSET>(&memory, set).await?);
        Ok(Done::then(move |k| {
            let old = k.signals().blocked();
            k.signals().set_blocked(masked(how, old, set).ok_or(Errno::EINVAL)?)?;
            tell(old);
            Ok([0, 0])
        }))
    }))
}
