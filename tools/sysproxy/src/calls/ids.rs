//! Who a process is, and the groups around it.

use super::Done;
use super::{Answer, Call, Malformed, Values};
use crate::Host;
use crate::layout::NGROUPS_MAX;
use lwproc::{CredChange, Entered, Errno, IdSet, Pid};

type Made = Result<Answer, Malformed>;

pub(super) fn pair(first: i32, second: i32) -> Answer {
    Answer::Now(Ok([first.into(), second.into()]))
}

pub(super) fn of(ids: IdSet, which: impl Fn(IdSet) -> (u32, u32)) -> Answer {
    let (first, second) = which(ids);
    // As a C `int` register has them.
    pair(first.cast_signed(), second.cast_signed())
}

/// 0, when a change was made.
pub(super) fn nothing<T, E: Into<Errno>>(done: Result<T, E>) -> Answer {
    done.map(|_| -> Values { [0, 0] }).into()
}

fn change(k: &mut Entered<'_, Host>, change: CredChange) -> Made {
    Ok(nothing(k.creds().set(&change)))
}

fn id(call: &Call<'_>, n: usize) -> Result<u32, Malformed> {
    Ok(call.int(n)?.cast_unsigned())
}

/// -1: it stays as it is.
fn id_or_same(call: &Call<'_>, n: usize) -> Result<Option<u32>, Malformed> {
    Ok(Some(id(call, n)?).filter(|id| *id != u32::MAX))
}

pub(super) fn setuid(k: &mut Entered<'_, Host>, call: &Call<'_>) -> Made {
    change(k, CredChange::SetUid(id(call, 0)?))
}

pub(super) fn seteuid(k: &mut Entered<'_, Host>, call: &Call<'_>) -> Made {
    change(k, CredChange::SetEuid(id(call, 0)?))
}

pub(super) fn setgid(k: &mut Entered<'_, Host>, call: &Call<'_>) -> Made {
    change(k, CredChange::SetGid(id(call, 0)?))
}

pub(super) fn setegid(k: &mut Entered<'_, Host>, call: &Call<'_>) -> Made {
    change(k, CredChange::SetEgid(id(call, 0)?))
}

pub(super) fn setreuid(k: &mut Entered<'_, Host>, call: &Call<'_>) -> Made {
    change(k, CredChange::SetReuid(id_or_same(call, 0)?, id_or_same(call, 1)?))
}

pub(super) fn setregid(k: &mut Entered<'_, Host>, call: &Call<'_>) -> Made {
    change(k, CredChange::SetRegid(id_or_same(call, 0)?, id_or_same(call, 1)?))
}

/// `getgroups(2)`: a size of 0 asks how many there are.
pub(super) fn getgroups(k: &mut Entered<'_, Host>, call: &Call<'_>) -> Made {
    let (room, address) = (call.int(0)?, call.long(1)?);
    let groups = k.cred().supplementary();
    let count = groups.len() as i64;
    if room != 0 {
        if i64::from(room) < count {
            return Ok(Answer::Now(Err(Errno::EINVAL)));
        }
        let bytes: Vec<u8> = groups.iter().flat_map(|gid| gid.to_ne_bytes()).collect();
        call.memory().write(address, &bytes);
    }
    Ok(Answer::Now(Ok([count, 0])))
}

/// `setgroups(2)`: NetBSD takes at most NGROUPS_MAX.
pub(super) fn setgroups(call: &Call<'_>) -> Made {
    let (count, address, memory) = (call.int(0)?, call.long(1)?, call.memory().clone());
    Ok(match usize::try_from(count) {
        Ok(count) if count <= NGROUPS_MAX => Answer::later(async move {
            let bytes = memory.read(address, 4 * count).await?;
            let gid = |gid: &[u8; 4]| u32::from_ne_bytes(*gid);
            let groups = bytes.as_chunks().0.iter().map(gid).collect();
            Ok(Done::then(move |k| {
                k.creds().set(&CredChange::SetGroups(groups))?;
                Ok([0, 0])
            }))
        }),
        _ => Answer::Now(Err(Errno::EINVAL)),
    })
}

pub(super) fn setpgid(k: &mut Entered<'_, Host>, call: &Call<'_>) -> Made {
    Ok(nothing(k.groups().setpgid(Pid(call.int(0)?), Pid(call.int(1)?))))
}

pub(super) fn getpgid(k: &mut Entered<'_, Host>, call: &Call<'_>) -> Made {
    Ok(k.groups().pgid_of(Pid(call.int(0)?)).map(|pgid| [pgid.0.into(), 0]).into())
}

pub(super) fn getsid(k: &mut Entered<'_, Host>, call: &Call<'_>) -> Made {
    Ok(k.groups().sid_of(Pid(call.int(0)?)).map(|sid| [sid.0.into(), 0]).into())
}
