//! What /proc says of a task.

use crate::state::{Ids, Stage, Task};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// The files of one task, which stay open: who comes after with the same number is
/// another one.
#[derive(Debug)]
pub(super) struct Files {
    stat: File,
    status: File,
    syscall: File,
}

/// The first words of `stat`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stat {
    /// `R`, `S`, `Z`, ...; `-` when it is gone.
    pub(super) state: char,
    pub(super) ppid: i32,
    pub(super) pgid: i32,
    pub(super) sid: i32,
    /// The group in the foreground of its terminal; -1: it has none.
    pub(super) foreground: i32,
    /// It has begun to end.
    pub(super) is_exiting: bool,
}

const GONE: Stat = Stat { state: '-', ppid: 0, pgid: 0, sid: 0, foreground: -1, is_exiting: false };
const PF_EXITING: u64 = 4;

fn read(file: &File, buffer: &mut [u8]) -> Option<usize> {
    // ESRCH: it is gone.
    file.read_at(buffer, 0).ok().filter(|&len| len > 0)
}

/// The numbers of each process, or of each thread of that process: in each pid namespace, the
/// outermost first.
pub(super) fn numbers(proc: &File, process: Option<i32>) -> io::Result<Vec<Vec<i32>>> {
    let tasks = process.map_or(String::new(), |process| format!("{process}/task"));
    let dir = PathBuf::from(format!("/proc/self/fd/{}/{tasks}", proc.as_raw_fd()));
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        // Others may be on their way out.
        let Ok(text) = std::fs::read_to_string(entry?.path().join("status")) else { continue };
        let line = text.lines().find_map(|line| line.strip_prefix("NSpid:"));
        let each = line.into_iter().flat_map(str::split_whitespace).map(str::parse);
        all.extend(each.collect::<Result<Vec<_>, _>>().ok().filter(|each| !each.is_empty()));
    }
    Ok(all)
}

impl Files {
    /// Those of the thread `tid` of a process.
    pub(super) fn open(proc: &File, pid: i32, tid: i32) -> io::Result<Self> {
        let dir = PathBuf::from(format!("/proc/self/fd/{}/{pid}/task/{tid}", proc.as_raw_fd()));
        let open = |name| File::open(dir.join(name));
        Ok(Self { stat: open("stat")?, status: open("status")?, syscall: open("syscall")? })
    }

    /// Whether it is off its processor, and not about to be on one. (`S` does not say so: a
    /// call is in that state while it looks for what it would wait for.)
    pub(super) fn is_asleep(&self) -> bool {
        let mut buffer = [0; 256];
        read(&self.syscall, &mut buffer).is_some_and(|len| !buffer[..len].starts_with(b"running"))
    }

    pub(super) fn stat(&self) -> Stat {
        let mut buffer = [0; 512];
        let Some(len) = read(&self.stat, &mut buffer) else { return GONE };
        let text = String::from_utf8_lossy(&buffer[..len]);
        // The name may have anything in it but is the last that ends so.
        let Some((_, rest)) = text.rsplit_once(") ") else { return GONE };
        let mut words = rest.split(' ');
        let state = words.next().and_then(|word| word.chars().next()).unwrap_or('-');
        let mut number = || words.next().and_then(|word| word.parse::<i64>().ok()).unwrap_or(-1);
        let [ppid, pgid, sid, _, foreground, flags] = std::array::from_fn(|_| number());
        Stat {
            state,
            ppid: ppid as i32,
            pgid: pgid as i32,
            sid: sid as i32,
            foreground: foreground as i32,
            is_exiting: flags as u64 & PF_EXITING != 0,
        }
    }

    /// The whole state, of a task that is still.
    pub(super) fn task(&self, stat: Stat) -> Task {
        let stage = match stat.state {
            'Z' => Stage::Zombie,
            'T' | 't' => Stage::Stopped,
            '-' => return Task::default(),
            _ => Stage::Living,
        };
        let mut task =
            Task { stage, ppid: stat.ppid, pgid: stat.pgid, sid: stat.sid, ..Task::default() };
        task.foreground = (stat.foreground != -1).then_some(stat.foreground);
        let mut buffer = [0; 4096];
        let Some(len) = read(&self.status, &mut buffer) else { return Task::default() };
        for line in String::from_utf8_lossy(&buffer[..len]).lines() {
            let Some((key, value)) = line.split_once(':') else { continue };
            let set = || u64::from_str_radix(value.trim(), 16).unwrap_or(0);
            match key {
                "Uid" => task.users = ids(value),
                "Gid" => task.groups = ids(value),
                "SigPnd" => task.own_pending = set(),
                "ShdPnd" => task.pending = set(),
                "SigBlk" => task.blocked = set(),
                _ => {}
            }
        }
        task
    }
}

/// Real, effective, saved.
fn ids(value: &str) -> Ids {
    let mut words = value.split_whitespace().map(|word| word.parse().unwrap_or(u32::MAX));
    std::array::from_fn(|_| words.next().unwrap_or(u32::MAX))
}
