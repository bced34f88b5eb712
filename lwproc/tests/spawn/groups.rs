//! The child's process group and session.

use crate::bench::{Bench, Counting};
use lwproc::*;

fn of(k: &Entered<'_, Counting>, lwp: &Lwp<Counting>) -> (i32, i32) {
    let guard = k.pin();
    let seen = guard.proc(lwp.pid()).unwrap();
    (seen.pgid().unwrap().0, seen.sid().unwrap().0)
}

#[test]
fn a_child_may_lead_a_group_or_a_session_or_join_one() {
    let bench = Bench::new();
    let mut k = bench.kernel.enter().unwrap();
    for own_session in [false, true] {
        k.rfork(Rfork::Fresh).unwrap();
        if own_session {
            k.groups().setsid().unwrap();
        }
        let (pgid, sid) = (k.groups().pgid().0, k.groups().sid().0);
        let same = k.spawn().group(SpawnGroup::Inherit).start().unwrap();
        assert_eq!(of(&k, &same), (pgid, sid));
        let leader = k.spawn().group(SpawnGroup::New).start().unwrap();
        assert_eq!(of(&k, &leader), (leader.pid().0, sid));
        let member = k.spawn().group(SpawnGroup::Join(leader.pid())).start().unwrap();
        assert_eq!(of(&k, &member), (leader.pid().0, sid));
        let lord = k.spawn().session().start().unwrap();
        assert_eq!(of(&k, &lord), (lord.pid().0, lord.pid().0));
        let also = k.spawn().session().group(SpawnGroup::New).start().unwrap();
        assert_eq!(of(&k, &also), (also.pid().0, also.pid().0));
        let guard = k.pin();
        let found: Vec<_> = guard.pgrp(leader.pid()).unwrap().members().map(|m| m.pid()).collect();
        assert_eq!(found, [member.pid(), leader.pid()]);
        drop(guard);

        // The group outlives its leader, and keeps its number.
        let number = leader.pid();
        drop(leader);
        assert_eq!(of(&k, &member), (number.0, sid));
        drop(member);
        assert!(k.pin().pgrp(number).is_none());
    }
}

#[test]
fn what_the_parent_may_not_join_the_child_may_not() {
    let bench = Bench::new();
    let mut k = bench.kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let stranger = k.spawn().session().start().unwrap();
    let gone = k.spawn().group(SpawnGroup::New).start().unwrap();
    let gone = {
        let number = gone.pid();
        drop(gone);
        number
    };
    let before = bench.seen();
    let rows = [
        (stranger.pid(), GroupError::OtherSession),
        (gone, GroupError::NoSuchGroup),
        (Pid(0), GroupError::NoSuchGroup),
        (Pid(-1), GroupError::BadNumber),
        (Pid(i32::MIN), GroupError::BadNumber),
        (Pid(i32::MAX), GroupError::NoSuchGroup),
    ];
    for (pgid, expected) in rows {
        let refused = k.spawn().files(Rfork::Copy).group(SpawnGroup::Join(pgid)).start();
        assert_eq!(refused.unwrap_err(), SpawnError::Group(expected), "{pgid}");
        assert_eq!(bench.seen(), before, "{pgid}");
    }
    let leads = k.spawn().session().group(SpawnGroup::Join(k.groups().pgid())).start();
    assert_eq!(leads.unwrap_err(), SpawnError::Group(GroupError::SessionLeader));
    assert_eq!(bench.seen(), before);
    // A step before it: what was taken for it is given back.
    let files = k.spawn().fd(Fd(0), Fd(1)).group(SpawnGroup::New).start();
    assert_eq!(files.unwrap_err(), SpawnError::Files(FdError::BadFd));
    assert_eq!(bench.seen(), before);
}

#[test]
fn numbers_come_back_when_group_and_session_have_gone() {
    let host = Counting::default();
    let kernel = Kernel::builder().host(host).id_capacity(8).build().unwrap();
    for round in 0..100 {
        let k = kernel.enter().unwrap();
        let leader = k.spawn().session().start().unwrap();
        let handle = leader.proc_handle();
        let member = handle.spawn().group(SpawnGroup::Join(leader.pid())).start().unwrap();
        drop(leader);
        assert_eq!(kernel.counts().ids, 4, "round {round}: the leader's number is its group's");
        drop(member);
        assert_eq!(kernel.counts().ids, 2, "round {round}");
    }
}
