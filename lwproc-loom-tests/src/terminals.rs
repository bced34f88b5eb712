//! Controlling terminals: who gets one, and what comes of one that is lost.

use crate::full::{assert_empty, at_once, enter_as};
use crate::runner::{Model, pair};
use lwproc::{
    Entered, ExitStatus, Kernel, Lwp, Pid, Rules, SigModel, Signo, SpawnGroup, Terminal,
    TerminalError, WaitPolicy,
};
use std::sync::Arc;

pub fn models() -> Vec<Model> {
    vec![
        pair("terminal_acquire_against_acquire", acquire_against_acquire),
        pair("terminal_acquire_against_acquire_of_another", two_for_one_session),
        pair("terminal_set_foreground_against_end_of_leader", || end_against_set(Other::Meets)),
        pair("terminal_end_of_leader_against_set_foreground", || end_against_set(Other::Ends)),
        pair("terminal_set_foreground_against_end_of_group", set_against_end_of_group),
        pair("terminal_set_foreground_against_hang_up", set_against_hang_up),
        pair("terminal_hang_up_against_end_of_leader", || hang_up_against_end(Other::Meets)).long(),
        pair("terminal_end_of_leader_against_hang_up", || hang_up_against_end(Other::Ends)),
        pair("terminal_steal_against_end_of_leader", steal_against_end),
        pair("terminal_acquire_against_fork", acquire_against_fork),
    ]
}

const TTOU: i32 = 22;

/// Who runs on the other thread: the leader that ends, or who meets it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Other {
    Ends,
    Meets,
}

fn signo(number: i32) -> Signo {
    Signo::new(number).unwrap()
}

fn kernel() -> Arc<Kernel> {
    let rules = Rules::LINUX.job_control(lwproc::JobControl::Embedder);
    let builder = Kernel::builder().rules(rules).signal_model(SigModel::Record);
    Arc::new(builder.wait_policy(WaitPolicy::AutoReap).id_capacity(8).build().unwrap())
}

fn run_as<R>(kernel: &Kernel, lwp: Lwp, f: impl FnOnce(&mut Entered<'_>) -> R) -> (Lwp, R) {
    let mut k = enter_as(kernel, lwp);
    let result = f(&mut k);
    (k.unbind().unwrap().unwrap(), result)
}

fn leader(kernel: &Kernel) -> Lwp {
    let lwp = kernel.spawn().start().unwrap();
    run_as(kernel, lwp, |k| k.groups().setsid().unwrap()).0
}

/// A leader with the terminal, and a job of it in a group of its own, which may change it.
fn session(kernel: &Kernel, tty: &Terminal) -> (Lwp, Lwp) {
    let (leader, job) = run_as(kernel, leader(kernel), |k| {
        k.terminal(tty).acquire().unwrap();
        k.spawn().group(SpawnGroup::New).start().unwrap()
    });
    let (job, _) = run_as(kernel, job, |k| k.signals().set_blocked(signo(TTOU).into()).unwrap());
    (leader, job)
}

fn acquire(kernel: &Kernel, lwp: Lwp, tty: &Terminal) -> (Lwp, Result<(), TerminalError>) {
    run_as(kernel, lwp, |k| k.terminal(tty).acquire())
}

fn was_hung_up(kernel: &Kernel, pid: Pid) -> bool {
    kernel.pin().proc(pid).unwrap().pending().contains(Signo::HUP)
}

fn end(lwp: Lwp) {
    lwp.exit(ExitStatus::exited(0));
}

/// One of two sessions gets it, and the other can have another one.
fn acquire_against_acquire() {
    let kernel = kernel();
    let (tty, other) = (kernel.new_terminal(), kernel.new_terminal());
    let (a, b) = (leader(&kernel), leader(&kernel));
    let (k, t) = (kernel.clone(), tty.clone());
    let there = move || acquire(&k, a, &t);
    let ((a, first), (b, second)) = at_once(&kernel, there, || acquire(&kernel, b, &tty));
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    let (won, lost) = if first.is_ok() { (a, b) } else { (b, a) };
    assert_eq!(tty.session(), Some(won.pid()));
    let (lost, again) = acquire(&kernel, lost, &other);
    assert_eq!(again, Ok(()), "nobody holds its place");
    drop((won, lost));
    assert_eq!((tty.session(), other.session()), (None, None));
    assert_empty(&kernel);
}

/// A session gets one of two, which two LWPs of its leader acquire.
fn two_for_one_session() {
    let kernel = kernel();
    let (one, two) = (kernel.new_terminal(), kernel.new_terminal());
    let a = leader(&kernel);
    let (b, sid) = (kernel.new_lwp(a.pid()).unwrap(), a.pid());
    let (k, t) = (kernel.clone(), one.clone());
    let there = move || acquire(&k, a, &t);
    let ((a, first), (b, second)) = at_once(&kernel, there, || acquire(&kernel, b, &two));
    let sessions = [&one, &two].map(|tty| tty.session());
    match (first, second) {
        (Ok(()), why) => {
            assert_eq!((why, sessions), (Err(TerminalError::HasTerminal), [Some(sid), None]));
        }
        (why, done) => {
            assert_eq!((why, done), (Err(TerminalError::HasTerminal), Ok(())));
            assert_eq!(sessions, [None, Some(sid)]);
        }
    }
    drop((a, b));
    assert_eq!([&one, &two].map(|tty| tty.session()), [None, None]);
    assert_empty(&kernel);
}

/// The group is put in the foreground and told of the end, or neither.
fn end_against_set(there: Other) {
    let kernel = kernel();
    let tty = kernel.new_terminal();
    let (leader, job) = session(&kernel, &tty);
    let (k, t, pid) = (kernel.clone(), tty.clone(), job.pid());
    let set = move || run_as(&k, job, |k| k.terminal(&t).set_foreground(pid));
    let (job, done) = match there {
        Other::Meets => at_once(&kernel, set, move || end(leader)).0,
        Other::Ends => at_once(&kernel, move || end(leader), set).1,
    };
    assert!(matches!(done, Ok(()) | Err(TerminalError::NotControlling)), "{done:?}");
    assert_eq!(was_hung_up(&kernel, pid), done.is_ok());
    assert_eq!((tty.session(), tty.foreground()), (None, None), "its leader has ended");
    drop(job);
    assert_empty(&kernel);
}

/// A group ends as it is put in the foreground: it is named, and nobody is signalled.
fn set_against_end_of_group() {
    let kernel = kernel();
    let tty = kernel.new_terminal();
    let (leader, job) = session(&kernel, &tty);
    let (leader, _) =
        run_as(&kernel, leader, |k| k.signals().set_blocked(signo(TTOU).into()).unwrap());
    let (k, t, pid, own) = (kernel.clone(), tty.clone(), job.pid(), leader.pid());
    let set = move || run_as(&k, leader, |k| k.terminal(&t).set_foreground(pid));
    let ((leader, done), ()) = at_once(&kernel, set, move || end(job));
    match done {
        Ok(()) => assert_eq!(tty.foreground(), Some(pid)),
        Err(why) => {
            assert!(matches!(why, TerminalError::NoSuchGroup | TerminalError::OtherSession));
            assert_eq!(tty.foreground(), Some(own));
        }
    }
    kernel.enter().unwrap().terminal(&tty).hang_up().unwrap();
    assert!(was_hung_up(&kernel, own));
    drop(leader);
    assert_empty(&kernel);
}

/// What is hung up stays so.
fn set_against_hang_up() {
    let kernel = kernel();
    let tty = kernel.new_terminal();
    let (leader, job) = session(&kernel, &tty);
    let (k, t, pid) = (kernel.clone(), tty.clone(), job.pid());
    let set = move || run_as(&k, job, |k| k.terminal(&t).set_foreground(pid));
    let hang_up = || kernel.enter().unwrap().terminal(&tty).hang_up().unwrap();
    let ((job, done), ()) = at_once(&kernel, set, hang_up);
    assert_eq!((tty.session(), tty.foreground()), (None, None));
    assert!(was_hung_up(&kernel, leader.pid()) && !was_hung_up(&kernel, pid));
    // The leader owes it to whom the terminal had in the foreground.
    end(leader);
    assert_eq!(was_hung_up(&kernel, pid), done.is_ok(), "{done:?}");
    drop(job);
    assert_empty(&kernel);
}

/// The foreground is told by one of the two.
fn hang_up_against_end(there: Other) {
    let kernel = kernel();
    let tty = kernel.new_terminal();
    let (leader, job) = session(&kernel, &tty);
    let (leader, ()) = run_as(&kernel, leader, |k| {
        k.signals().set_blocked(signo(TTOU).into()).unwrap();
        k.terminal(&tty).set_foreground(job.pid()).unwrap();
    });
    let (k, t) = (kernel.clone(), tty.clone());
    let hang_up = move || k.enter().unwrap().terminal(&t).hang_up().unwrap();
    match there {
        Other::Meets => drop(at_once(&kernel, hang_up, move || end(leader))),
        Other::Ends => drop(at_once(&kernel, move || end(leader), hang_up)),
    }
    assert!(was_hung_up(&kernel, job.pid()));
    assert_eq!((tty.session(), tty.foreground()), (None, None));
    drop(job);
    assert_empty(&kernel);
}

/// It is the thief's, whether the leader has lost it or freed it.
fn steal_against_end() {
    let kernel = kernel();
    let tty = kernel.new_terminal();
    let (leader, job) = session(&kernel, &tty);
    let (thief, _) = run_as(&kernel, kernel.spawn().start().unwrap(), |k| k.groups().setsid());
    let (k, t) = (kernel.clone(), tty.clone());
    let there = move || run_as(&k, thief, |k| k.terminal(&t).steal());
    let ((thief, stolen), ()) = at_once(&kernel, there, move || end(leader));
    assert_eq!((stolen, tty.session()), (Ok(()), Some(thief.pid())));
    drop((thief, job));
    assert_eq!(tty.session(), None);
    assert_empty(&kernel);
}

/// A child that is forked meanwhile by a member that is not to have the terminal: whichever it
/// is, it is one that the session has, and the member has none.
fn acquire_against_fork() {
    let kernel = kernel();
    let tty = kernel.new_terminal();
    let (leader, member) = run_as(&kernel, leader(&kernel), |k| {
        k.terminal(&tty).acquire().unwrap();
        let member = k.spawn().start().unwrap();
        k.terminal(&tty).give_up().unwrap();
        member
    });
    let (k, t) = (kernel.clone(), tty.clone());
    let there = move || acquire(&k, leader, &t);
    let here = || run_as(&kernel, member, |k| k.spawn().start().unwrap());
    let ((leader, done), (member, child)) = at_once(&kernel, there, here);
    assert_eq!((done, tty.session()), (Ok(()), Some(leader.pid())));
    let (member, its) = run_as(&kernel, member, |k| k.terminal(&tty).foreground());
    assert_eq!(its, Err(TerminalError::NotControlling));
    drop((leader, member, child));
    assert_empty(&kernel);
}
