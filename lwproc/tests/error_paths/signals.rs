//! Signals that were not sent, masks that were not set.

use crate::bench::*;
use lwproc::*;

const TERM: i32 = 15;

pub fn kill(forced: &mut Forced) {
    let (kernel, other) = (plain(), plain());
    let mut k = kernel.enter().unwrap();
    let of_root = kernel.spawn().start().unwrap();
    start_as(&mut k, 5);
    let handle = kernel.pin().proc(of_root.pid()).unwrap().handle().unwrap();
    for signo in [-1, 65, i32::MIN, i32::MAX] {
        let why = KillError::BadSignal { signo };
        forced
            .refused(&kernel, &mut k, why, |k| k.signals().kill(KillTarget::Proc(k.pid()), signo));
        forced.refused(&kernel, &mut k, why, |k| k.signals().kill(KillTarget::All, signo));
        forced.refused(&kernel, &mut k, why, |k| handle.signal(k, signo));
    }
    for signo in [0, TERM] {
        for target in [
            KillTarget::Proc(Pid(1000)),
            KillTarget::Proc(Pid(-1)),
            KillTarget::Lwp(Lid(1000)),
            KillTarget::Pgrp(Pid(1000)),
            KillTarget::Pgrp(Pid(i32::MIN)),
        ] {
            forced.refused(&kernel, &mut k, KillError::NoSuchProcess, |k| {
                k.signals().kill(target, signo)
            });
        }
        for target in [
            KillTarget::Proc(of_root.pid()),
            KillTarget::Lwp(of_root.lid()),
            KillTarget::All,
            KillTarget::Proc(Pid::KERNEL),
        ] {
            forced.refused(&kernel, &mut k, KillError::NotPermitted, |k| {
                k.signals().kill(target, signo)
            });
        }
        forced.refused(&kernel, &mut k, KillError::NotPermitted, |k| handle.signal(k, signo));
    }
    let foreign = other.spawn().start().unwrap();
    let theirs = other.pin().proc(foreign.pid()).unwrap().handle().unwrap();
    let there = Snapshot::of(&other, None);
    forced.refused(&kernel, &mut k, KillError::WrongKernel, |k| theirs.signal(k, TERM));
    Snapshot::of(&other, None).assert_eq(&there, "a refusal of the other kernel");
    drop(of_root);
    forced.refused(&kernel, &mut k, KillError::NoSuchProcess, |k| handle.signal(k, TERM));
    drop((handle, theirs, foreign));
    leave(k);
    assert_empty(kernel);
    assert_empty(other);
}

pub fn queue(forced: &mut Forced) {
    let kernel = kernel(|builder| builder.signal_model(SigModel::Record).max_queued_signals(1));
    let mut k = kernel.enter().unwrap();
    let of_root = kernel.spawn().start().unwrap();
    start_as(&mut k, 5);
    let (host, own) = (kernel.host(), QueueTarget::Proc(k.pid()));
    for signo in [-1, 65, i32::MAX] {
        let why = QueueError::BadSignal { signo };
        forced.refused(&kernel, &mut k, why, |k| k.signals().queue(own, signo, host.other()));
    }
    for signo in [0, TERM, 40] {
        for target in [
            QueueTarget::Proc(Pid(1000)),
            QueueTarget::Lwp(Lid(-1)),
            QueueTarget::LwpOf(of_root.pid(), k.lid().unwrap()),
        ] {
            forced.refused(&kernel, &mut k, QueueError::NoSuchProcess, |k| {
                k.signals().queue(target, signo, host.other())
            });
        }
        for target in [QueueTarget::Proc(of_root.pid()), QueueTarget::Lwp(of_root.lid())] {
            forced.refused(&kernel, &mut k, QueueError::NotPermitted, |k| {
                k.signals().queue(target, signo, host.other())
            });
        }
    }
    k.signals().queue(own, 40, host.other()).unwrap();
    for signo in [40, 41] {
        forced.refused(&kernel, &mut k, QueueError::Full, |k| {
            k.signals().queue(own, signo, host.other())
        });
    }
    k.signals().discard(SigSet::ALL);
    drop(of_root);
    leave(k);
    assert_empty(kernel);
}

/// One that may be signalled is enough, and none is not.
#[test]
fn a_group_of_others_is_not_permitted() {
    let kernel = kernel(|builder| builder.signal_model(SigModel::Record));
    let mut k = kernel.enter().unwrap();
    // A group of two of root's, and one of user 5's.
    k.rfork(Rfork::Fresh).unwrap();
    k.groups().setpgid(Pid(0), Pid(0)).unwrap();
    let pgid = k.pid();
    let (second, third) = (child(&mut k), child(&mut k));
    let first = k.switch(third).unwrap().unwrap();
    k.creds().set(&CredChange::SetUid(5)).unwrap();
    let third = k.switch(kernel.spawn().start().unwrap()).unwrap().unwrap();
    k.creds().set(&CredChange::SetUid(5)).unwrap();
    assert_eq!(k.signals().kill(KillTarget::Pgrp(pgid), TERM), Ok(()));
    let pending = |pid| !kernel.pin().proc(pid).unwrap().pending().is_empty();
    assert_eq!([&first, &second, &third].map(|l| pending(l.pid())), [false, false, true]);
    drop(third);
    let before = Snapshot::of(&kernel, Some(&k));
    for signo in [0, TERM] {
        assert_eq!(k.signals().kill(KillTarget::Pgrp(pgid), signo), Err(KillError::NotPermitted));
    }
    Snapshot::of(&kernel, Some(&k)).assert_eq(&before, "a kill of others");
    drop((first, second));
    leave(k);
}

pub fn mask(forced: &mut Forced) {
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    let all = SigSet::from_bits(u64::MAX);
    forced.refused(&kernel, &mut k, MaskError::Implicit, |k| k.signals().set_blocked(all));
    drop(k);
    assert_empty(kernel);
}

pub fn disposition(forced: &mut Forced) {
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    let catch =
        |k: &mut Entered<'_, _>, signo| k.signals().set_disposition(signo, Disposition::Catch);
    forced.refused(&kernel, &mut k, DispositionError::NotKept, |k| catch(k, TERM));
    drop(k);
    assert_empty(kernel);
    let kernel = self::kernel(|b| b.rules(Rules::LINUX).signal_model(SigModel::Record));
    let mut k = kernel.enter().unwrap();
    let bad = DispositionError::BadSignal { signo: 9 };
    forced.refused(&kernel, &mut k, bad, |k| catch(k, 9));
    drop(k);
    assert_empty(kernel);
}

pub fn death_signal(forced: &mut Forced) {
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    let ask = |k: &mut Entered<'_, _>| k.signals().set_death_signal(Signo::new(TERM));
    forced.refused(&kernel, &mut k, DeathSignalError::Implicit, ask);
    drop(k);
    assert_empty(kernel);
}
