//! Groups that nobody joined, founded or left.

use crate::bench::{Lwp, *};
use lwproc::*;

/// Runs as `lwp` for the time of `f`.
fn run_as(k: &mut K<'_>, lwp: Lwp, f: impl FnOnce(&mut K<'_>)) -> Lwp {
    let before = k.switch(lwp).unwrap().unwrap();
    f(k);
    k.switch(before).unwrap().unwrap()
}

fn exec(k: &mut K<'_>) {
    k.drain();
    k.exec("other").unwrap();
}

pub fn group(forced: &mut Forced) {
    use GroupError::*;
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    let own = k.pid();
    let outsider = kernel.spawn().start().unwrap();
    let [ordinary, execed, leader, zombie] = [(); 4].map(|()| child(&mut k));
    let execed = run_as(&mut k, execed, exec);
    let leader = run_as(&mut k, leader, |k| _ = k.groups().setsid().unwrap());
    let pid_of_zombie = zombie.pid();
    drop(zombie);
    let cases = [
        (Pid(0), Pid(-1), BadNumber),
        (ordinary.pid(), Pid(i32::MIN), BadNumber),
        (Pid(-1), Pid(0), NoSuchProcess),
        (Pid(1 << 30), Pid(0), NoSuchProcess),
        (outsider.pid(), Pid(0), NoSuchProcess),
        (pid_of_zombie, Pid(0), NoSuchProcess),
        (execed.pid(), Pid(0), HasExeced),
        (execed.pid(), own, HasExeced),
        (leader.pid(), Pid(0), OtherSession),
        (Pid(0), leader.pid(), OtherSession),
        (ordinary.pid(), leader.pid(), OtherSession),
        (Pid(0), ordinary.pid(), NoSuchGroup),
        (ordinary.pid(), Pid(1 << 30), NoSuchGroup),
    ];
    for (pid, pgid, why) in cases {
        forced.refused(&kernel, &mut k, why, |k| k.groups().setpgid(pid, pgid));
    }
    for pid in [Pid(-1), Pid(1 << 30)] {
        forced.refused(&kernel, &mut k, NoSuchProcess, |k| k.groups().pgid_of(pid));
        forced.refused(&kernel, &mut k, NoSuchProcess, |k| k.groups().sid_of(pid));
    }
    let leader = run_as(&mut k, leader, |k| {
        forced.refused(&kernel, k, SessionLeader, |k| k.groups().setpgid(Pid(0), Pid(0)));
        forced.refused(&kernel, k, SessionLeader, |k| k.groups().setpgid(k.pid(), own));
        forced.refused(&kernel, k, GroupExists, |k| k.groups().setsid());
    });
    k.groups().setpgid(Pid(0), Pid(0)).unwrap();
    forced.refused(&kernel, &mut k, GroupExists, |k| k.groups().setsid());
    drop((outsider, ordinary, execed, leader));
    while k.try_wait(WaitTarget::Any).is_ok() {}
    leave(k);
    assert_empty(kernel);
    number_of_lwp(forced);
}

fn number_of_lwp(forced: &mut Forced) {
    let kernel = plain_by(Rules::LINUX);
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    let child = child(&mut k);
    let further = kernel.new_lwp(child.pid()).unwrap();
    let number = Pid(further.lid().0);
    let why = GroupError::NumberOfLwp;
    forced.refused(&kernel, &mut k, why, |k| k.groups().setpgid(number, Pid(0)));
    drop((child, further));
    while k.try_wait(WaitTarget::Any).is_ok() {}
    leave(k);
    assert_empty(kernel);
}

/// Linux looks at the session first.
#[test]
fn a_child_that_left_the_session_and_execed_is_in_another_session() {
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    let first = child(&mut k);
    let gone = run_as(&mut k, first, |k| {
        k.groups().setsid().unwrap();
        exec(k);
    });
    assert_eq!(k.groups().setpgid(gone.pid(), Pid(0)), Err(GroupError::OtherSession));
    let stayed = child(&mut k);
    let stayed = run_as(&mut k, stayed, exec);
    assert_eq!(k.groups().setpgid(stayed.pid(), Pid(0)), Err(GroupError::HasExeced));
    drop((gone, stayed));
}
