//! Limits, use, and what a virtual CPU tells: changes against readers, forks,
//! ends and each other.

use crate::full::{assert_empty, at_once, enter_as, kernel};
use crate::runner::{Model, pair};
use lwproc::{
    CredChange, Enforcement, Entered, Kernel, Lid, Limit, Limits, LimitsPolicy, Lwp, Pid, Resource,
    Rfork, Usage,
};
use std::num::NonZeroUsize;
use std::sync::Arc;

pub fn models() -> Vec<Model> {
    vec![
        pair("limit_set_against_set", set_against_set),
        pair("limit_set_against_fork", set_against_fork),
        pair("limit_set_against_reader", set_against_reader),
        pair("limit_end_against_reader", end_against_reader),
        pair("usage_first_against_first", first_use_against_first_use),
        pair("usage_first_against_reader", first_use_against_reader),
        pair("cpu_curlwp_against_release", curlwp_against_release),
        pair("cpu_curlwp_against_fork", curlwp_against_fork),
        pair("nproc_fork_against_fork_at_the_limit", fork_against_fork_at_the_limit),
    ]
}

fn two_lwps(kernel: &Kernel) -> (Lwp, Lwp, Pid) {
    let a = kernel.spawn().start().unwrap();
    let pid = a.pid();
    (a, kernel.new_lwp(pid).unwrap(), pid)
}

fn release(mut k: Entered<'_>) {
    k.release().unwrap();
}

fn set(k: &Entered<'_>, resource: Resource, value: u64) {
    k.resources().set_limit(resource, Limit::both(value)).unwrap();
}

/// Two LWPs change two limits: neither change is lost.
fn set_against_set() {
    let kernel = kernel();
    let (a, b, _) = two_lwps(&kernel);
    let k = kernel.clone();
    let there = move || {
        let e = enter_as(&k, a);
        set(&e, Resource::Cpu, 1);
        release(e);
    };
    let here = || {
        let e = enter_as(&kernel, b);
        set(&e, Resource::Data, 2);
        e
    };
    let ((), e) = at_once(&kernel, there, here);
    assert_eq!(e.resources().limit(Resource::Cpu), Limit::both(1));
    assert_eq!(e.resources().limit(Resource::Data), Limit::both(2));
    release(e);
    assert_empty(&kernel);
}

/// A child has its parent's limits from before or after the change, and no later
/// change of the parent's.
fn set_against_fork() {
    let kernel = kernel();
    let (a, b, _) = two_lwps(&kernel);
    let k = kernel.clone();
    let there = move || {
        let e = enter_as(&k, a);
        set(&e, Resource::Cpu, 1);
        set(&e, Resource::Cpu, 2);
        release(e);
    };
    let here = || {
        let mut e = enter_as(&kernel, b);
        let parent = e.rfork(Rfork::Fresh).unwrap().unwrap();
        let seen = e.resources().limit(Resource::Cpu);
        (e, parent, seen)
    };
    let ((), (mut e, parent, seen)) = at_once(&kernel, there, here);
    assert!([Limit::NONE, Limit::both(1), Limit::both(2)].contains(&seen));
    assert_eq!(e.resources().limit(Resource::Cpu), seen);
    set(&e, Resource::Cpu, 0);
    e.release().unwrap();
    e.switch(parent).unwrap();
    assert_eq!(e.resources().limit(Resource::Cpu), Limit::both(2));
    release(e);
    assert_empty(&kernel);
}

/// A reader sees the old or the new limit, and both parts of it.
fn set_against_reader() {
    let kernel = kernel();
    let a = kernel.spawn().start().unwrap();
    let pid = a.pid();
    let k = kernel.clone();
    let there = move || {
        let guard = k.pin();
        let proc = guard.proc(pid).expect("it lives");
        let seen = proc.rlimit(Resource::Cpu).expect("it lives");
        assert!(seen == Limit::NONE || seen == Limit::both(1));
    };
    let here = || {
        let e = enter_as(&kernel, a);
        set(&e, Resource::Cpu, 1);
        e
    };
    let ((), e) = at_once(&kernel, there, here);
    release(e);
    assert_empty(&kernel);
}

/// A reader that finds an ending process sees its limits, or none.
fn end_against_reader() {
    let kernel = kernel();
    let a = kernel.spawn().start().unwrap();
    let pid = a.pid();
    let e = enter_as(&kernel, a);
    set(&e, Resource::Cpu, 1);
    let k = kernel.clone();
    let there = move || {
        let guard = k.pin();
        if let Some(proc) = guard.proc(pid) {
            let seen = proc.rlimit(Resource::Cpu);
            assert!(seen.is_none() || seen == Some(Limit::both(1)));
        }
    };
    at_once(&kernel, there, || release(e));
    assert_empty(&kernel);
}

fn faults(minor_faults: u64) -> Usage {
    Usage { minor_faults, ..Usage::default() }
}

/// Two LWPs report the first use: both count.
fn first_use_against_first_use() {
    let kernel = kernel();
    let (a, b, _) = two_lwps(&kernel);
    let k = kernel.clone();
    let there = move || {
        let e = enter_as(&k, a);
        e.resources().add_usage(faults(1));
        release(e);
    };
    let here = || {
        let e = enter_as(&kernel, b);
        e.resources().add_usage(faults(2));
        e
    };
    let ((), e) = at_once(&kernel, there, here);
    assert_eq!(e.resources().usage(), faults(3));
    release(e);
    assert_empty(&kernel);
}

/// Who sees that there is a sum sees the sum.
fn first_use_against_reader() {
    let kernel = kernel();
    let a = kernel.spawn().start().unwrap();
    let pid = a.pid();
    let k = kernel.clone();
    let there = move || {
        let guard = k.pin();
        let seen = guard.proc(pid).expect("it lives").usage();
        assert!(seen == faults(0) || seen == faults(1));
    };
    let here = || {
        let e = enter_as(&kernel, a);
        e.resources().add_usage(faults(1));
        e
    };
    let ((), e) = at_once(&kernel, there, here);
    release(e);
    assert_empty(&kernel);
}

/// A CPU's current LWP can be looked at while it is switched away and freed.
fn curlwp_against_release() {
    let cpus = NonZeroUsize::new(1).unwrap();
    let kernel = Arc::new(Kernel::builder().virtual_cpus(cpus).id_capacity(6).build().unwrap());
    let a = kernel.spawn().start().unwrap();
    let pid = a.pid();
    let k = kernel.clone();
    let there = move || {
        let guard = k.pin();
        if let Some(lwp) = guard.cpu_lwp(0) {
            assert_eq!((lwp.pid(), lwp.lid().0), (pid, pid.0));
        }
    };
    at_once(&kernel, there, || release(enter_as(&kernel, a)));
    assert_empty(&kernel);
}

/// Who finds a new LWP on a CPU finds it whole.
fn curlwp_against_fork() {
    let cpus = NonZeroUsize::new(1).unwrap();
    let kernel = Arc::new(Kernel::builder().virtual_cpus(cpus).id_capacity(6).build().unwrap());
    let k = kernel.clone();
    let there = move || {
        let guard = k.pin();
        if let Some(lwp) = guard.cpu_lwp(0) {
            assert_eq!((lwp.pid(), lwp.lid()), (Pid(2), Lid(2)));
        }
    };
    let here = || {
        let mut e = kernel.enter().unwrap();
        e.rfork(Rfork::Fresh).unwrap();
        release(e);
    };
    at_once(&kernel, there, here);
    assert_empty(&kernel);
}

/// Two fork where their user may have one process more: never both, and what is
/// refused is given back.
fn fork_against_fork_at_the_limit() {
    let limits = Limits::unlimited().with(Resource::Nproc, Limit::both(3)).unwrap();
    let policy = LimitsPolicy::default().with_nproc(Enforcement::Enforced);
    let builder = Kernel::builder().limits(limits).limits_policy(policy).id_capacity(8);
    let kernel = Arc::new(builder.build().unwrap());
    let user = |lwp: Lwp| {
        let mut e = enter_as(&kernel, lwp);
        e.creds().set(&CredChange::SetUid(7)).unwrap();
        e.unbind().unwrap().unwrap()
    };
    let [a, b] = [(), ()].map(|()| user(kernel.spawn().start().unwrap()));
    let k = kernel.clone();
    let there = move || {
        let mut e = enter_as(&k, a);
        let parent = e.rfork(Rfork::Fresh);
        (e.unbind().unwrap(), parent)
    };
    let here = || {
        let mut e = enter_as(&kernel, b);
        let parent = e.rfork(Rfork::Fresh);
        (e.unbind().unwrap(), parent)
    };
    let ((a, there), (b, here)) = at_once(&kernel, there, here);
    assert!(there.is_err() || here.is_err(), "one place, and two got it");
    drop((a, b, there, here));
    assert_empty(&kernel);
}
