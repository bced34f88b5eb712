//! Calls that sleep: what wakes them, and that they hold nobody up.

mod common;

use common::{Ask, World, errno, refused, until};
use lwproc::{Entered, Errno};
use lwproc_sysproxy::client::{Client, Error};
use lwproc_sysproxy::frame::{Fault, Kind};
use lwproc_sysproxy::number::*;
use lwproc_sysproxy::{Answer, Call, Calls, Done, Host, Limits, Malformed, NetBsd};
use std::sync::Arc;
use std::thread;
use tokio::sync::Notify;

/// Begins reads of a pipe in which nothing is.
fn sleepers(c: &mut Client, count: usize) -> (Vec<u64>, [i64; 2]) {
    let [r, w] = c.pipe();
    let reads = (0..count).map(|_| c.begin(READ, &[r, 0x1_0000, 1]).unwrap()).collect();
    // Answered after all of them have begun.
    c.pid();
    (reads, [r, w])
}

fn lwps_of(world: &World, pid: i64) -> u64 {
    let all = world.handle.processes();
    all.iter().find(|proc| i64::from(proc.pid) == pid).map_or(0, |proc| proc.nlwps)
}

#[test]
fn a_sleeping_call_is_an_lwp_and_holds_nobody_up() {
    let world = World::new();
    let mut c = world.client();
    let pid = c.pid();
    let (reads, [_, w]) = sleepers(&mut c, 126);
    assert_eq!(lwps_of(&world, pid), 127);
    assert_ne!(world.client().pid(), pid, "another client is served");
    c.write(w, &[b'x'; 126]).unwrap();
    for read in reads {
        assert_eq!(c.finish(read).unwrap()[0], 1);
    }
    assert_eq!(lwps_of(&world, pid), 1);
}

#[test]
fn a_signal_ends_the_sleep() {
    let world = World::new();
    let mut c = world.client();
    let pid = c.pid();
    let (reads, _) = sleepers(&mut c, 3);
    let child = c.fork().unwrap();
    let wait = c.begin(WAIT4, &[-1, 0, 0, 0]).unwrap();
    c.pid();
    world.client().ask(KILL, &[pid, 30]);
    for read in reads.into_iter().chain([wait]) {
        assert_eq!(errno(c.finish(read)), Errno::EINTR);
    }
    assert_eq!(c.raised(), [30]);
    assert_eq!(lwps_of(&world, pid), 1);
    drop(child);
    c.wait(-1, 0).unwrap();
}

/// It cannot be blocked, by the LWPs of the calls neither.
#[test]
fn sigstop_is_raised_while_calls_sleep() {
    let world = World::new();
    let mut c = world.client();
    let pid = c.pid();
    let (reads, _) = sleepers(&mut c, 3);
    world.client().ask(KILL, &[pid, 17]);
    for read in reads {
        assert_eq!(errno(c.finish(read)), Errno::EINTR);
    }
    assert_eq!(c.raised(), [17]);
}

#[test]
fn a_blocked_signal_does_not() {
    let world = World::new();
    let mut c = world.client();
    let pid = c.pid();
    let set = c.space.put(&[0xff; 16]).cast_signed();
    c.ask(SIGPROCMASK, &[3, set, 0]);
    let (reads, [_, w]) = sleepers(&mut c, 1);
    world.client().ask(KILL, &[pid, 30]);
    c.space.clear();
    let at = c.space.put(b"x").cast_signed();
    c.ask(WRITE, &[w, at, 1]);
    assert_eq!(c.finish(reads[0]).unwrap()[0], 1);
    assert!(c.raised().is_empty());
}

#[test]
fn a_disconnect_ends_it() {
    let world = World::new();
    let mut c = world.client();
    let pid = c.pid();
    let _ = sleepers(&mut c, 50);
    let _asked_and_not_answered = c.begin(WRITE, &[1, 0x1_0000, 1]).unwrap();
    drop(c);
    until("the process has ended", || lwps_of(&world, pid) == 0);
    until("no LWP is left", || world.kernel.counts().lwps == 2);
}

#[test]
fn an_exec_ends_it_eleven_times_over() {
    let world = World::new();
    let mut c = world.client();
    let pid = c.pid();
    let marked = c.ask(FCNTL, &[0, 12, 50])[0];
    for round in 0..11 {
        let (mut calls, [r, w]) = sleepers(&mut c, 126);
        let at = c.space.put(b"x").cast_signed();
        // Its question to the client is answered too late.
        calls.push(c.begin(WRITE, &[w, at, 1]).unwrap());
        c.exec(&format!("image {round}")).unwrap();
        for call in calls {
            assert_eq!(errno(c.finish(call)), Errno::EINTR);
        }
        assert_eq!((c.pid(), lwps_of(&world, pid)), (pid, 1));
        c.ask(CLOSE, &[r]);
        c.ask(CLOSE, &[w]);
    }
    assert_eq!(errno(c.call(FCNTL, &[marked, 1])), Errno::EBADF);
    assert!(world.handle.processes().iter().any(|proc| proc.comm == "image 10"));
}

/// Call 600 sleeps until it is told, and is not interrupted.
struct Stubborn(Arc<Notify>);

impl Calls for Stubborn {
    fn call(&self, k: &mut Entered<'_, Host>, call: &Call<'_>) -> Result<Answer, Malformed> {
        match call.number() {
            600 => {
                let told = self.0.clone();
                Ok(Answer::later(async move {
                    told.notified().await;
                    Ok(Done::Values([600, 1]))
                }))
            }
            _ => NetBsd::default().call(k, call),
        }
    }
}

#[test]
fn until_all_are_answered_an_exec_keeps_other_requests_out() {
    let told = Arc::new(Notify::new());
    let world = World::with(Stubborn(told.clone()), Limits::default());
    let mut c = world.client();
    let stubborn = c.begin(600, &[]).unwrap();
    let exec = c.send(Kind::Handshake, 3, b"new\0").unwrap();
    assert_eq!(refused(c.call(GETPID, &[])), Fault::InExec as u32);
    assert!(matches!(c.prefork(), Err(Error::Refused(5))));
    assert!(matches!(c.exec("twice"), Err(Error::Refused(5))));
    told.notify_one();
    assert_eq!(c.finish(stubborn).unwrap(), [600, 1]);
    // An int, and no answer to a call.
    assert!(matches!(c.finish(exec), Err(Error::Protocol)));
    c.pid();
    assert!(world.handle.processes().iter().any(|proc| proc.comm == "new"));
}

#[test]
fn sigkill_ends_the_process_and_tells_the_client() {
    let world = World::new();
    let mut c = world.client();
    let mut child = c.fork().unwrap();
    let pid = child.pid();
    let (reads, _) = sleepers(&mut child, 3);
    c.ask(KILL, &[pid, 9]);
    assert_eq!(c.wait(pid, 0).unwrap(), (pid, 9));
    assert!(matches!(child.finish(reads[0]), Err(Error::Io(_))));
    assert_eq!(child.raised(), [9]);
}

#[test]
fn a_client_that_goes_by_a_signal_has_ended_by_it() {
    let world = World::new();
    let mut c = world.client();
    let mut status = |signo: i64, speaks: fn(&mut Client)| {
        let mut child = c.fork().unwrap();
        let pid = child.pid();
        c.ask(KILL, &[pid, signo]);
        child.receive().unwrap();
        speaks(&mut child);
        drop(child);
        c.wait(pid, 0).unwrap().1
    };
    assert_eq!(status(15, |_| ()), 15);
    assert_eq!(status(20, |_| ()), 0, "SIGCHLD does nothing by default");
    assert_eq!(status(15, |child| assert!(child.pid() > 0)), 0, "it has handled it");
}

#[test]
fn a_wait_sleeps_until_a_child_ends() {
    let world = World::new();
    let mut c = world.client();
    let mut child = c.fork().unwrap();
    let pid = child.pid();
    let status = c.space.room(8);
    let wait = c.begin(WAIT4, &[pid, status.cast_signed(), 0, 0]).unwrap();
    c.pid();
    let ends = thread::spawn(move || child.ask(EXIT, &[7]));
    assert_eq!(c.finish(wait).unwrap()[0], pid);
    assert_eq!(c.space.array(status).map(i64::from_ne_bytes), Some(7 << 8));
    ends.join().unwrap();
}

#[test]
fn an_exit_ends_the_calls_of_the_process() {
    let world = World::new();
    let mut c = world.client();
    let mut child = c.fork().unwrap();
    let pid = child.pid();
    let _ = sleepers(&mut child, 9);
    child.ask(EXIT, &[2]);
    assert_eq!(c.wait(pid, 1).unwrap(), (pid, 2 << 8));
    assert!(child.call(GETPID, &[]).is_err());
}
