//! `__sysctl(2)`: what small programs ask, and listings of processes.

use super::{Answer, Call, Done, Malformed, NetBsd, sysctl_proc};
use crate::Host;
use crate::layout::NGROUPS_MAX;
use crate::{MACHINE, OS_RELEASE, OS_TYPE};
use lwproc::{Entered, Errno};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// `CTL_MAXNAME`, `sys/sys/sysctl.h`.
const CTL_MAXNAME: usize = 12;

/// The most of a name of a host, its NUL included (`MAXHOSTNAMELEN`, `sys/sys/param.h`).
const MAXHOSTNAMELEN: usize = 256;

/// What a name means.
enum Node {
    Int(i32),
    Text(String),
    Hostname,
    Procs([i32; 4]),
}

/// Names by their numbers: `sys/sys/sysctl.h`.
fn node(name: &[i32]) -> Result<Node, Errno> {
    Ok(match name {
        [1, 1] => Node::Text(OS_TYPE.into()),
        [1, 2] => Node::Text(OS_RELEASE.into()),
        // kern.osrevision: as `__NetBSD_Version__`.
        [1, 3] => Node::Int(1_000_000_000),
        [1, 4] => Node::Text(format!("{OS_TYPE} {OS_RELEASE} (lwproc)\n")),
        [1, 10] => Node::Hostname,
        [1, 18] => Node::Int(NGROUPS_MAX as i32),
        [1, 19] | [1, 20] => Node::Int(1), // kern.job_control, kern.saved_ids
        [1, 47, op, arg, size, count] => Node::Procs([*op, *arg, *size, *count]),
        [1, 47, ..] => return Err(Errno::EINVAL),
        [6, 1] => Node::Text(MACHINE.into()),
        [6, 7] => Node::Int(4096), // hw.pagesize
        [] => return Err(Errno::EINVAL),
        _ => return Err(Errno::ENOENT),
    })
}

pub(super) fn sysctl(calls: &NetBsd, call: &Call<'_>) -> Result<Answer, Malformed> {
    let (name, namelen) = (call.long(0)?, call.int(1)?);
    let (old, oldlen, new, newlen) = (call.long(2)?, call.long(3)?, call.long(4)?, call.len(5)?);
    let memory = call.memory().clone();
    let hostname = calls.hostname.clone();
    let count = match usize::try_from(namelen) {
        Ok(count @ 1..=CTL_MAXNAME) => count,
        _ => return Ok(Answer::Now(Err(Errno::EINVAL))),
    };
    Ok(Answer::later(async move {
        let name = memory.read(name, 4 * count).await?;
        let name: Vec<i32> =
            name.as_chunks().0.iter().map(|int| i32::from_ne_bytes(*int)).collect();
        let node = node(&name)?;
        let room = match oldlen {
            0 => 0,
            at => {
                let bytes = memory.read(at, 8).await?;
                crate::frame::u64_at(&bytes, 0).ok_or(Errno::EFAULT)?
            }
        };
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let new = match new {
            0 => None,
            at if newlen < MAXHOSTNAMELEN => Some(memory.read(at, newlen).await?),
            _ => return Err(Errno::EINVAL),
        };
        Ok(Done::then(move |k| {
            let found = match &node {
                Node::Procs(asked) => sysctl_proc::list(k, *asked, (old != 0).then_some(room))?,
                Node::Int(int) => Found::new(int.to_ne_bytes().to_vec()),
                Node::Text(text) => Found::text(text),
                Node::Hostname => Found::text(&lock(&hostname)),
            };
            if let Some(new) = new {
                set(k, &node, &hostname, &new)?;
            }
            if old != 0 {
                memory.write(old, &found.bytes[..found.bytes.len().min(room)]);
            }
            if oldlen != 0 {
                memory.write(oldlen, &(found.told as u64).to_ne_bytes());
            }
            match old != 0 && found.needed > room {
                true => Err(Errno::ENOMEM),
                false => Ok([0, 0]),
            }
        }))
    }))
}

/// What a node has for the client.
pub(super) struct Found {
    pub(super) bytes: Vec<u8>,
    /// How much room the client must have.
    pub(super) needed: usize,
    /// What the client is told of that.
    pub(super) told: usize,
}

impl Found {
    fn new(bytes: Vec<u8>) -> Self {
        Self { needed: bytes.len(), told: bytes.len(), bytes }
    }

    fn text(text: &str) -> Self {
        Self::new(text.bytes().chain([0]).collect())
    }
}

fn lock(name: &Mutex<String>) -> MutexGuard<'_, String> {
    name.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Only the name of the host can be set, and by the superuser.
fn set(
    k: &Entered<'_, Host>,
    node: &Node,
    hostname: &Mutex<String>,
    new: &[u8],
) -> Result<(), Errno> {
    if !matches!(node, Node::Hostname) || !k.cred().is_superuser() {
        return Err(Errno::EPERM);
    }
    let name = new.split(|byte| *byte == 0).next().unwrap_or_default();
    *lock(hostname) = crate::printable(name);
    Ok(())
}
