//! Each call of the table, by a client.

mod common;

use common::{Ask, World, errno};
use lwproc::{Entered, Errno, Limit, SigSet, Signo};
use lwproc_sysproxy::client::Client;
use lwproc_sysproxy::number::*;
use lwproc_sysproxy::{Answer, Call, Calls, Done, Host, Limits, Malformed, NetBsd, layout};

const EXITED_3: i32 = 3 << 8;
const WNOHANG: i64 = 1;
const WNOWAIT: i64 = 0x1_0000;

#[test]
fn a_guest_is_a_child_of_init() {
    let world = World::new();
    let mut client = world.client();
    let [pid, ppid] = client.ask(GETPID, &[]);
    assert_eq!((ppid, client.ask(GETPPID, &[])[0]), (1, 1));
    let proc = world.handle.processes().into_iter().find(|proc| i64::from(proc.pid) == pid);
    assert_eq!(proc.map(|proc| proc.comm).as_deref(), Some("test"));
    assert_eq!(client.ask(FCNTL, &[0, 11, 0])[0], 2, "0 to 2 are open");
    assert_eq!(client.write(1, b"x").unwrap(), 1);
    assert_eq!(client.read(0, 9).unwrap(), b"");
}

#[test]
fn ids_are_got_and_set_by_the_rules() {
    let world = World::new();
    let mut c = world.client();
    let gids: Vec<u8> = [7u32, 8].iter().flat_map(|gid| gid.to_ne_bytes()).collect();
    let at = c.space.put(&gids).cast_signed();
    assert_eq!(errno(c.call(SETGROUPS, &[17, at])), Errno::EINVAL);
    c.ask(SETGROUPS, &[2, at]);
    assert_eq!(c.ask(GETGROUPS, &[0, 0])[0], 2);
    assert_eq!(errno(c.call(GETGROUPS, &[1, at])), Errno::EINVAL);
    let to = c.space.room(8);
    assert_eq!(c.ask(GETGROUPS, &[16, to.cast_signed()])[0], 2);
    assert_eq!(c.space.get(to, 8), Some(&gids[..]));

    c.ask(SETREGID, &[30, 31]);
    c.ask(SETEGID, &[30]);
    assert_eq!((c.ask(GETGID, &[]), c.ask(GETEGID, &[])[0]), ([30, 30], 30));
    c.ask(SETGID, &[33]);
    c.ask(SETREUID, &[10, 11]);
    assert_eq!((c.ask(GETUID, &[]), c.ask(GETEUID, &[])[0]), ([10, 11], 11));
    assert_eq!(errno(c.call(SETUID, &[0])), Errno::EPERM);
    assert_eq!(errno(c.call(SETGROUPS, &[2, at])), Errno::EPERM);
    c.ask(SETEUID, &[10]);
    c.ask(SETREUID, &[-1, 11]); // the saved one
    assert_eq!(c.ask(GETUID, &[]), [10, 11]);
    assert_eq!(c.ask(ISSETUGID, &[]), [0, 0]);
}

#[test]
fn groups_and_sessions_are_made_and_found() {
    let world = World::new();
    let mut c = world.client();
    let pid = c.pid();
    assert_ne!(c.ask(GETPGRP, &[])[0], pid);
    assert_eq!(c.ask(SETSID, &[])[0], pid);
    assert_eq!(errno(c.call(SETSID, &[])), Errno::EPERM);
    let mut child = c.fork().unwrap();
    let child_pid = child.pid();
    assert_eq!(c.ask(GETPGID, &[child_pid])[0], pid);
    c.ask(SETPGID, &[child_pid, 0]);
    assert_eq!((child.ask(GETPGRP, &[])[0], child.ask(GETSID, &[0])[0]), (child_pid, pid));
    child.exec("other").unwrap();
    assert_eq!(errno(c.call(SETPGID, &[child_pid, pid])), Errno::EACCES);
    assert_eq!(errno(c.call(GETSID, &[9999])), Errno::ESRCH);
    drop(child);
    c.wait(child_pid, 0).unwrap();
}

#[test]
fn limits_are_kept_by_number() {
    let world = World::new();
    let mut c = world.client();
    let (at, to) = (c.space.put(&layout::rlimit(Limit::NONE)), c.space.room(16));
    c.ask(SETRLIMIT, &[8, at.cast_signed()]);
    c.ask(GETRLIMIT, &[8, to.cast_signed()]);
    let most = c.space.array(to).map(|bytes| layout::from_rlimit(&bytes));
    assert_eq!(most, Some(Limit::both(lwproc_sysproxy::MAX_FILES)), "even the superuser");
    let at = c.space.put(&layout::rlimit(Limit { soft: 4, hard: 5 }));
    c.ask(SETRLIMIT, &[8, at.cast_signed()]);
    c.ask(GETRLIMIT, &[8, to.cast_signed()]);
    let got = c.space.array(to).map(|bytes| layout::from_rlimit(&bytes));
    assert_eq!(got, Some(Limit { soft: 4, hard: 5 }));
    // Descriptors 0 to 2, and one more.
    assert_eq!(c.ask(DUP, &[0])[0], 3);
    assert_eq!(errno(c.call(DUP, &[0])), Errno::EMFILE);
    c.ask(GETRLIMIT, &[0, to.cast_signed()]);
    assert_eq!(c.space.array(to).map(u64::from_ne_bytes), Some(layout::RLIM_INFINITY));
    for number in [12, -1] {
        assert_eq!(errno(c.call(GETRLIMIT, &[number, to.cast_signed()])), Errno::EINVAL);
        assert_eq!(errno(c.call(SETRLIMIT, &[number, to.cast_signed()])), Errno::EINVAL);
    }
}

#[test]
fn descriptors_are_numbered_as_the_system_does() {
    let world = World::new();
    let mut c = world.client();
    let [r, w] = c.pipe();
    assert_eq!([r, w], [3, 4]);
    assert_eq!(c.ask(DUP2, &[r, 9])[0], 9);
    assert_eq!(c.ask(DUP3, &[r, 8, 0x40_0000])[0], 8);
    assert_eq!(c.ask(FCNTL, &[8, 1])[0], 1);
    assert_eq!(c.ask(DUP3, &[r, r, 0x40_0000])[0], r, "done, on NetBSD 10");
    assert_eq!(c.ask(FCNTL, &[r, 1])[0], 0);
    assert_eq!(errno(c.call(DUP3, &[r, 8, 1])), Errno::EINVAL);
    assert_eq!(c.ask(FCNTL, &[r, 0, 20])[0], 20);
    assert_eq!(c.ask(FCNTL, &[r, 12, 20])[0], 21);
    assert_eq!(c.ask(FCNTL, &[21, 1])[0], 1);
    c.ask(FCNTL, &[21, 2, 0]);
    assert_eq!(c.ask(FCNTL, &[21, 1])[0], 0);
    assert_eq!((c.ask(FCNTL, &[r, 3])[0], c.ask(FCNTL, &[w, 3])[0]), (0, 1));
    c.ask(FCNTL, &[r, 4, 4 | 2]);
    assert_eq!(c.ask(FCNTL, &[9, 3])[0], 4, "of the open file, and no access");
    assert_eq!(errno(c.call(READ, &[9, 0, 1])), Errno::EAGAIN);
    assert_eq!(errno(c.call(FCNTL, &[r, 99])), Errno::EINVAL);
    assert_eq!(errno(c.call(FCNTL, &[77, 1])), Errno::EBADF);
    assert_eq!(c.ask(FCNTL, &[0, 11])[0], 21);
    c.ask(FCNTL, &[5, 10]);
    assert_eq!(c.ask(FCNTL, &[0, 11])[0], w);
    c.ask(CLOSE, &[r]);
    assert_eq!(errno(c.call(CLOSE, &[r])), Errno::EBADF);
    assert_eq!(c.pipe()[0], r, "the lowest that is free");

    let at = c.space.room(8);
    c.ask(PIPE2, &[at.cast_signed(), 0x40_0000 | 4]);
    let fds = c.space.array(at).map(u64::from_ne_bytes).unwrap();
    let (r, w) = ((fds & 0xffff_ffff) as i64, (fds >> 32) as i64);
    assert_eq!((c.ask(FCNTL, &[r, 1])[0], c.ask(FCNTL, &[w, 3])[0]), (1, 4 | 1));
    assert_eq!(errno(c.call(PIPE2, &[at.cast_signed(), 1])), Errno::EINVAL);
}

#[test]
fn devices_are_opened_by_name() {
    let world = World::new();
    let mut c = world.client();
    let zero = c.space.put(b"/dev/zero\0").cast_signed();
    let fd = c.ask(OPEN, &[zero, 0, 0])[0];
    assert_eq!(c.read(fd, 3).unwrap(), [0, 0, 0]);
    assert_eq!(errno(c.call(WRITE, &[fd, 0, 0])), Errno::EBADF);
    let none = c.space.put(b"/etc/passwd\0").cast_signed();
    assert_eq!(errno(c.call(OPEN, &[none, 0, 0])), Errno::ENOENT);
    assert_eq!(errno(c.call(OPEN, &[none, 3, 0])), Errno::EINVAL);
    let long = c.space.put(&[b'a'; 2000]).cast_signed();
    assert_eq!(errno(c.call(OPEN, &[long, 0, 0])), Errno::ENAMETOOLONG);
    assert_eq!(errno(c.call(OPEN, &[8, 0, 0])), Errno::EFAULT);
}

#[test]
fn bytes_go_through_a_pipe_to_a_child() {
    let world = World::new();
    let mut c = world.client();
    let [r, w] = c.pipe();
    let mut child = c.fork().unwrap();
    c.ask(CLOSE, &[w]);
    let much = vec![7; 100_000];
    let writer = std::thread::spawn(move || {
        assert_eq!(child.write(w, b"hello").unwrap(), 5);
        assert_eq!(child.write(w, &much).unwrap(), much.len() as i64);
        child
    });
    assert_eq!(c.read(r, 5).unwrap(), b"hello");
    let mut got = 0;
    while got < 100_000 {
        let part = c.read(r, 30_000).unwrap();
        assert!(!part.is_empty() && part.iter().all(|byte| *byte == 7));
        got += part.len();
    }
    drop(writer.join().unwrap());
    assert_eq!(c.read(r, 5).unwrap(), b"", "the last writer has gone");
    c.wait(-1, 0).unwrap();
}

#[test]
fn ends_are_waited_for() {
    let world = World::new();
    let mut c = world.client();
    assert!(matches!(c.wait(-1, 0), Err(lwproc_sysproxy::client::Error::Errno(Errno::ECHILD))));
    let mut child = c.fork().unwrap();
    let pid = child.pid();
    assert_eq!(c.wait(-1, WNOHANG).unwrap().0, 0);
    child.ask(EXIT, &[3]);
    // The answer comes when the process has ended.
    assert_eq!(c.wait(pid, WNOHANG | WNOWAIT).unwrap(), (pid, EXITED_3));
    let (status, usage) = (c.space.room(8).cast_signed(), c.space.room(layout::RUSAGE));
    assert_eq!(c.ask(WAIT4, &[pid, status, 0, usage.cast_signed()])[0], pid);
    assert_eq!(errno(c.call(WAIT4, &[-1, 0, 0x80, 0])), Errno::EINVAL);

    // A client that only goes has ended well.
    let child = c.fork().unwrap();
    drop(child);
    assert_eq!(c.wait(0, 0).unwrap().1, 0);
}

#[test]
fn usage_counts_signals_of_own_and_of_children() {
    let world = World::new();
    let mut c = world.client();
    let signals = |c: &mut Client, who: i64| {
        let at = c.space.room(layout::RUSAGE);
        c.ask(GETRUSAGE, &[who, at.cast_signed()]);
        u64::from_ne_bytes(c.space.array(at + 120).unwrap())
    };
    let mut child = c.fork().unwrap();
    let pid = child.pid();
    child.ask(KILL, &[pid, 30]);
    assert_eq!((signals(&mut child, 0), signals(&mut c, -1)), (1, 0));
    drop(child);
    c.wait(pid, 0).unwrap();
    assert_eq!((signals(&mut c, 0), signals(&mut c, -1)), (0, 1));
    assert_eq!(errno(c.call(GETRUSAGE, &[5, 0])), Errno::EINVAL);
}

#[test]
fn signals_are_raised_by_number_unless_they_are_blocked() {
    let world = World::new();
    let (mut a, mut b) = (world.client(), world.client());
    let (a_pid, b_pid) = (a.pid(), b.pid());
    a.ask(KILL, &[a_pid, 30]);
    assert_eq!(a.raised(), [30], "before the answer");
    assert_eq!(errno(a.call(KILL, &[b_pid, 64 + 1])), Errno::EINVAL);
    assert_eq!(errno(a.call(KILL, &[9999, 1])), Errno::ESRCH);
    a.ask(KILL, &[b_pid, 0]);

    let usr1 = SigSet::from(Signo::new(30).unwrap());
    let (set, old) = (b.space.put(&layout::sigset(usr1)), b.space.room(16));
    let (set, old) = (set.cast_signed(), old.cast_signed());
    let in_old = |b: &Client| layout::from_sigset(&b.space.array(old.cast_unsigned()).unwrap());
    b.ask(SIGPROCMASK, &[1, set, 0]);
    a.ask(KILL, &[b_pid, 30]);
    a.ask(KILL, &[b_pid, 15]);
    b.receive().unwrap();
    assert_eq!(b.raised(), [15]);
    b.ask(SIGPENDING, &[old]);
    assert_eq!(in_old(&b), usr1);
    b.ask(SIGPROCMASK, &[0, 0, old]);
    assert_eq!(in_old(&b), usr1, "no set: only told");
    assert_eq!(errno(b.call(SIGPROCMASK, &[4, set, 0])), Errno::EINVAL);
    b.ask(SIGPROCMASK, &[2, set, old]);
    assert_eq!((in_old(&b), b.raised()), (usr1, vec![30]), "raised before the answer");

    b.ask(SETUID, &[5]);
    assert_eq!(errno(b.call(KILL, &[a_pid, 15])), Errno::EPERM);
}

#[test]
fn a_write_to_a_pipe_without_a_reader_raises_sigpipe() {
    let world = World::new();
    let mut c = world.client();
    let [r, w] = c.pipe();
    c.ask(CLOSE, &[r]);
    c.space.clear();
    let at = c.space.put(b"x").cast_signed();
    assert_eq!(errno(c.call(WRITE, &[w, at, 1])), Errno::EPIPE);
    assert_eq!(c.raised(), [13]);
    c.ask(FCNTL, &[w, 14, 1]);
    assert_eq!(c.ask(FCNTL, &[w, 13])[0], 1);
    assert_eq!(errno(c.call(WRITE, &[w, at, 1])), Errno::EPIPE);
    assert!(c.raised().is_empty());
}

fn sysctl(c: &mut Client, name: &[i32], room: usize, new: &[u8]) -> (Vec<u8>, Option<Errno>) {
    c.space.clear();
    let bytes: Vec<u8> = name.iter().flat_map(|int| int.to_ne_bytes()).collect();
    let name_at = c.space.put(&bytes).cast_signed();
    let (old, len) = (c.space.room(room), c.space.put(&(room as u64).to_ne_bytes()));
    let new_at = if new.is_empty() { 0 } else { c.space.put(new).cast_signed() };
    let args = [
        name_at,
        name.len() as i64,
        old.cast_signed(),
        len.cast_signed(),
        new_at,
        new.len() as i64,
    ];
    let error = c.call(SYSCTL, &args).err().map(|error| errno(Err(error)));
    let used = u64::from_ne_bytes(c.space.array(len).unwrap()) as usize;
    (c.space.get(old, used.min(room)).unwrap().to_vec(), error)
}

#[test]
fn the_system_says_what_it_is() {
    let world = World::new();
    let mut c = world.client();
    assert_eq!(sysctl(&mut c, &[1, 1], 64, b""), (b"NetBSD\0".to_vec(), None));
    assert_eq!(sysctl(&mut c, &[1, 18], 4, b""), (16i32.to_ne_bytes().to_vec(), None));
    assert_eq!(sysctl(&mut c, &[1, 10], 64, b"box\0").0, b"lwproc\0");
    assert_eq!(sysctl(&mut c, &[1, 10], 64, b"").0, b"box\0");
    let short = sysctl(&mut c, &[1, 10], 2, b"");
    assert_eq!(short, (b"bo".to_vec(), Some(Errno::ENOMEM)));
    assert_eq!(sysctl(&mut c, &[1, 1], 64, b"x").1, Some(Errno::EPERM));
    assert_eq!(sysctl(&mut c, &[1, 10], 64, &[b'x'; 300]).1, Some(Errno::EINVAL));
    assert_eq!(sysctl(&mut c, &[99, 1], 64, b"").1, Some(Errno::ENOENT));
    c.ask(SETUID, &[5]);
    assert_eq!(sysctl(&mut c, &[1, 10], 64, b"y").1, Some(Errno::EPERM));
}

#[test]
fn processes_are_listed_by_what_they_are() {
    let world = World::new();
    let mut c = world.client();
    let mut child = c.fork().unwrap();
    let (pid, child_pid) = (c.pid() as i32, child.pid() as i32);
    child.ask(SETUID, &[5]);
    child.ask(EXIT, &[0]);
    let all = lwproc_sysproxy::command::processes(&mut c).unwrap();
    assert_eq!(all, world.handle.processes());
    let of = |pid: i32| all.iter().find(|proc| proc.pid == pid).unwrap();
    assert_eq!(all.iter().map(|proc| proc.pid).take(2).collect::<Vec<_>>(), [0, 1]);
    assert_eq!((of(child_pid).ppid, of(child_pid).realstat, of(child_pid).uids.real), (pid, 5, 5));
    assert_eq!((of(pid).comm.as_str(), of(pid).realstat), ("test", 2));

    let size = layout::KINFO_PROC2 as i32;
    let mut count =
        |op: i32, arg: i32| sysctl(&mut c, &[1, 47, op, arg, size, 99], 9999, b"").0.len();
    assert_eq!(count(1, pid), layout::KINFO_PROC2);
    assert_eq!(count(1, 9999), 0);
    assert_eq!(count(6, 5), layout::KINFO_PROC2);
    // Part of each structure, and less room than there are processes.
    let (part, error) = sysctl(&mut c, &[1, 47, 0, 0, 124, 99], 124 * 2 + 9, b"");
    assert_eq!((part.len(), error), (124 * 2, Some(Errno::ENOMEM)));
    for name in [&[1, 47, 0, 0][..], &[1, 47, 42, 0, size, 9], &[1, 47, 0, 0, -1, 9]] {
        assert_eq!(sysctl(&mut c, name, 9999, b"").1, Some(Errno::EINVAL));
    }
    c.wait(child_pid.into(), 0).unwrap();
}

#[test]
fn what_is_not_there_is_counted() {
    let world = World::new();
    let mut c = world.client();
    for _ in 0..3 {
        assert_eq!(errno(c.call(2, &[])), Errno::ENOSYS, "fork is by prefork");
    }
    assert_eq!(world.handle.unknown_calls().into_iter().collect::<Vec<_>>(), [(2, 3)]);
}

/// Call 600 takes new memory of the client's, writes there, and reads it back.
struct Mapper;

impl Calls for Mapper {
    fn call(&self, k: &mut Entered<'_, Host>, call: &Call<'_>) -> Result<Answer, Malformed> {
        if call.number() != 600 {
            return NetBsd::default().call(k, call);
        }
        let (memory, most) = (call.memory().clone(), call.len(0)?);
        Ok(Answer::later(async move {
            let at = memory.map(most).await?;
            memory.write(at, b"mapped\0");
            let text = memory.read_str(at, most).await?;
            Ok(Done::Values([at.cast_signed(), text.len() as i64]))
        }))
    }
}

#[test]
fn an_embedders_call_has_the_clients_memory() {
    let world = World::with(Mapper, Limits::default());
    let mut c = world.client();
    let [at, len] = c.ask(600, &[64]);
    assert_eq!((c.space.get(at.cast_unsigned(), 7), len), (Some(&b"mapped\0"[..]), 6));
    assert_eq!(errno(c.call(600, &[3])), Errno::ENAMETOOLONG);
    assert_eq!(errno(c.call(600, &[1 << 40])), Errno::ENOMEM);
    assert!(c.pid() > 1, "its other calls are NetBSD's");
}

#[test]
fn the_superuser_reboots() {
    let mut world = World::new();
    let (mut c, mut user) = (world.client(), world.client());
    user.ask(SETUID, &[5]);
    assert_eq!(errno(user.call(REBOOT, &[0, 0])), Errno::EPERM);
    c.ask(REBOOT, &[0, 0]);
    assert!(world.ends());
    assert!(user.call(GETPID, &[]).is_err());
}
