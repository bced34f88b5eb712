//! Threads that sleep until others wake them. A wake-up that is lost is a deadlock, which
//! shuttle sees.

use crate::common::becoming::Become;
use crate::runner::Test;
use lwproc::{
    AloneError, ExitStatus, Interrupted, Kernel, KillTarget, Lwp, NewLwpError, Rfork, SigModel,
    WaitChannel, WaitError, WaitPolicy, WaitTarget,
};
use shuttle::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::Mutex;

pub fn tests() -> Vec<Test> {
    let test = |name, threads, body| Test { name, threads, schedules: 10_000, body };
    vec![
        test("sleep_tokens", 6, |_| sleep_tokens()),
        test("sleep_and_leave", 6, |_| sleep_and_leave()),
        test("wait_for_children", 6, |_| wait_for_children()),
        test("drain_and_wait_alone", 5, |_| drain_and_wait_alone()),
    ]
}

/// Threads that are given an LWP each, run as it, and give it back.
fn run(kernel: &Kernel, lwps: Vec<Lwp>, body: impl Fn(usize, &mut lwproc::Entered<'_>) + Sync) {
    let kept = Mutex::new(Vec::new());
    shuttle::thread::scope(|s| {
        for (me, lwp) in lwps.into_iter().enumerate() {
            let (kept, body) = (&kept, &body);
            s.spawn(move || {
                let mut k = kernel.enter().unwrap();
                k.switch(lwp).unwrap();
                body(me, &mut k);
                // Not of one that has ended.
                let own = k.unbind().ok().flatten();
                kept.lock().unwrap().extend(own);
            });
        }
    });
    drop(kept);
    let counts = kernel.counts();
    assert_eq!((counts.procs, counts.lwps, counts.zombies, counts.ids), (2, 2, 0, 2));
}

/// A process, and as many LWPs of it.
fn lwps(kernel: &Kernel, count: usize) -> Vec<Lwp> {
    let first = kernel.spawn().start().unwrap();
    let pid = first.pid();
    let mut lwps = vec![first];
    lwps.extend((1..count).map(|_| kernel.new_lwp(pid).unwrap()));
    lwps
}

/// Three take what two bring, one waking for each; a sixth sends signals to the process, which
/// end somebody's sleep: then what that one was woken for goes to another.
fn sleep_tokens() {
    const EACH: usize = 4;
    let kernel = Kernel::builder().signal_model(SigModel::Record).build().unwrap();
    let (channel, tokens) = (WaitChannel::new(), AtomicUsize::new(0));
    let take = || tokens.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).ok();
    run(&kernel, lwps(&kernel, 6), |me, k| match me {
        0..3 => {
            let mut taken = 0;
            while taken < EACH {
                match k.sleep_on(&channel, take) {
                    Ok(_) => taken += 1,
                    Err(Interrupted::Signal) => drop(k.signals().take()),
                    Err(other) => panic!("{other}"),
                }
            }
        }
        3 | 4 => {
            for _ in 0..EACH * 3 / 2 {
                tokens.fetch_add(1, SeqCst);
                channel.wake_one();
            }
        }
        _ => {
            for signo in 1..4 {
                k.signals().kill(KillTarget::Proc(k.pid()), signo).unwrap();
            }
        }
    });
    assert_eq!(tokens.load(SeqCst), 0);
}

/// Two take one each, and two come for a look only: a signal makes those leave, and what
/// one was woken for at that moment goes to another.
fn sleep_and_leave() {
    let kernel = Kernel::builder().signal_model(SigModel::Record).build().unwrap();
    let (channel, tokens) = (WaitChannel::new(), AtomicUsize::new(0));
    let take = || tokens.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).ok();
    let bring = || {
        tokens.fetch_add(1, SeqCst);
        channel.wake_one();
    };
    let lwps = lwps(&kernel, 6);
    let visitors = [lwps[2].lid(), lwps[3].lid()];
    run(&kernel, lwps, |me, k| match me {
        0 | 1 => assert!(k.sleep_on(&channel, take).is_ok()),
        2 | 3 => match k.sleep_on(&channel, take) {
            Ok(_) => bring(),
            Err(Interrupted::Signal) => {}
            Err(other) => panic!("{other}"),
        },
        4 => (0..2).for_each(|_| bring()),
        // One may have left.
        _ => visitors
            .into_iter()
            .for_each(|lwp| k.signals().kill(KillTarget::Lwp(lwp), 1).unwrap_or_default()),
    });
    assert_eq!(tokens.load(SeqCst), 0);
}

/// Three children end while two of their parent's LWPs wait for any of them, and a third
/// starts one more: each is reaped once, and nobody sleeps for ever.
fn wait_for_children() {
    let kernel = Kernel::builder().wait_policy(WaitPolicy::Wait).build().unwrap();
    let mut all = lwps(&kernel, 3);
    let mut k = kernel.enter().unwrap();
    let mut parent = all.pop().unwrap();
    for _ in 0..3 {
        k.switch(parent).unwrap();
        parent = k.rfork(Rfork::Fresh).unwrap().unwrap();
        all.push(k.switch(parent).unwrap().unwrap());
        parent = k.unbind().unwrap().unwrap();
    }
    all.push(parent);
    drop(k);
    let reaped = AtomicUsize::new(0);
    run(&kernel, all, |me, k| match me {
        0 | 1 => loop {
            match k.wait(WaitTarget::Any) {
                Ok(child) => {
                    assert!(child.status.exit_code().is_some_and(|code| code >= 2));
                    reaped.fetch_add(1, SeqCst);
                }
                Err(WaitError::NoChild) => break,
                Err(other) => panic!("{other}"),
            }
        },
        2..5 => k.exit(ExitStatus::exited(me as u8)).unwrap(),
        _ => {
            let own = k.rfork(Rfork::Fresh).unwrap().unwrap();
            k.exit(ExitStatus::exited(9)).unwrap();
            k.switch(own).unwrap();
        }
    });
    // Who started the fourth may have done so after both had gone.
    assert!((3..=4).contains(&reaped.load(SeqCst)));
}

/// One LWP drains its process and waits until it is alone, then it is another program; the
/// others sleep, work or are about to sleep, and go when they are told. One is replaced by new
/// ones as long as they can be made: each of them is told, too.
fn drain_and_wait_alone() {
    let kernel = Kernel::builder().signal_model(SigModel::Record).build().unwrap();
    let never = WaitChannel::new();
    run(&kernel, lwps(&kernel, 5), |me, k| {
        if me == 0 {
            k.drain();
            match k.wait_alone() {
                Ok(()) => k.exec("alone").unwrap(),
                Err(AloneError::Interrupted) => panic!("by nobody"),
                Err(other) => panic!("{other}"),
            }
            return;
        }
        if me != 3 {
            let pid = k.pid();
            for _ in 0..if me == 4 { 2 } else { 0 } {
                match k.become_new_lwp(pid) {
                    Ok(old) => drop(old),
                    Err(NewLwpError::Draining) => break,
                    Err(other) => panic!("{other}"),
                }
            }
            match k.sleep_on(&never, || None::<()>) {
                Err(Interrupted::Exit) => {}
                other => panic!("{other:?}"),
            }
        } else {
            while !k.must_exit() {
                shuttle::thread::yield_now();
            }
        }
        k.release().unwrap();
    });
}
