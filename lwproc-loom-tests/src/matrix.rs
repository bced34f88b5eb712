//! Every operation against every operation, itself included: two threads, in one
//! scene where they meet ([`scene`](crate::scene)).
//!
//! `pair_A_B` runs A on the spawned thread and B on the main one, and both come:
//! `pair_B_A` too (loom does not see the same of both, `docs/ORDERING.md`, "Blind
//! spots"). Exhaustive, but for those in [`BOUNDED`]; in the short run those in
//! [`LONG`] are bounded, too.
//!
//! An operation that runs as an LWP of P keeps it to the end: against it the last
//! release is one of two, and P ends afterwards. The end of P itself is in the race
//! where the other operation has no LWP of P, or ends its own.
//!
//! # Left out
//! Teardown of the kernel ([`DROPS`]) is paired with what needs no borrow of the
//! kernel: the end of an owned LWP, its parking, the claim through a handle, the
//! end of a parent and of a child. All other operations borrow the kernel: the
//! compiler does not let it be torn down at that time (a compile-fail test in
//! `lwproc/src/kernel/teardown.rs`). There is one teardown; it has no pair with itself.

use crate::becoming::Become;
use crate::full::enter_as;
use crate::runner::{Model, pair};
use crate::scene::{
    C, FD, FD2, Kept, LP, Lwp, Needs, Op, Outlives, P, Scene, USER, World, as_lwp, run,
    run_against_drop,
};
use lwproc::{
    CredChange, Entered, FdError, GroupError, Interrupted, KillTarget, Lid, NewLwpError, Pid,
    Rfork, SyncObject, WaitError, WaitTarget,
};
use std::sync::Arc;

const NONE: Needs = Needs {
    child: false,
    files: false,
    zombie: false,
    full_table: false,
    keeper: false,
    parked: false,
};
const CHILD: Needs = Needs { child: true, ..NONE };
const FILES: Needs = Needs { files: true, ..NONE };

macro_rules! op {
    ($prepare:ident, $needs:expr) => {
        op!($prepare, $needs, false)
    };
    ($prepare:ident, $needs:expr, $ends:expr) => {
        Op { name: stringify!($prepare), needs: $needs, ends: $ends, prepare: $prepare }
    };
}

/// The operations.
pub const OPS: [Op; 27] = [
    op!(attach, NONE),
    op!(newlwp, NONE),
    op!(release, Needs { keeper: true, ..NONE }),
    op!(last_release, NONE, true),
    op!(switch, NONE),
    op!(unbind, NONE),
    op!(claim, Needs { parked: true, ..NONE }),
    op!(hold, NONE),
    op!(enter, NONE),
    op!(rfork, NONE),
    op!(exit_parent, CHILD, true),
    op!(exit_child, CHILD),
    op!(wait, Needs { zombie: true, ..CHILD }),
    op!(find, NONE),
    op!(iterate, NONE),
    op!(setcred, NONE),
    op!(setpgid, CHILD),
    op!(setsid, CHILD),
    op!(fd_get, FILES),
    op!(fd_close, FILES),
    op!(dup2, FILES),
    op!(post, NONE),
    op!(drain, NONE),
    op!(sleep, NONE),
    op!(unsleep, NONE),
    op!(ids, NONE),
    op!(grow, Needs { full_table: true, ..NONE }),
];

type Job = crate::scene::Job;

/// A job that needs nothing but the kernel.
fn job(f: impl FnOnce(&World) -> Vec<Kept> + Send + 'static) -> Job {
    Box::new(f)
}

/// A job of an LWP of P, which it keeps.
fn as_p(
    scene: &mut Scene,
    f: impl FnOnce(&mut Entered<'_, crate::files::Files>) + Send + 'static,
) -> Job {
    let lwp = scene.lwp();
    job(move |k| as_lwp(k, lwp, f))
}

fn refused(why: NewLwpError) -> Vec<Kept> {
    assert!(matches!(why, NewLwpError::NoSuchProcess | NewLwpError::Draining), "{why:?}");
    vec![]
}

/// A new LWP of P, bound to no thread.
fn attach(_: &mut Scene) -> Job {
    job(|k| match k.new_lwp(P) {
        Ok(lwp) => vec![Kept::Owned(lwp)],
        Err(why) => refused(why),
    })
}

/// A new LWP of P, and the thread runs as it.
fn newlwp(_: &mut Scene) -> Job {
    job(|k| {
        let mut e = k.enter().unwrap();
        match e.become_new_lwp(P) {
            Ok(_) => vec![Kept::Owned(e.unbind().unwrap().unwrap())],
            Err(why) => refused(why),
        }
    })
}

/// A current LWP is released, and goes as its thread leaves.
fn release(scene: &mut Scene) -> Job {
    let lwp = scene.lwp();
    job(move |k| {
        enter_as(k, lwp).release().unwrap();
        vec![]
    })
}

/// An owned LWP goes; with it, if it is the last, P (`proc_free`).
fn last_release(scene: &mut Scene) -> Job {
    let lwp = scene.lwp();
    job(move |_| {
        drop(lwp);
        vec![]
    })
}

/// In, out of the kernel, in again, and off.
fn switch(scene: &mut Scene) -> Job {
    let lwp = scene.lwp();
    job(move |k| {
        drop(enter_as(k, lwp));
        vec![Kept::Owned(k.enter().unwrap().unbind().unwrap().unwrap())]
    })
}

/// `switch(NULL)`, and whoever wants the LWP may have it.
fn unbind(scene: &mut Scene) -> Job {
    let lwp = scene.lwp();
    job(move |k| {
        let lwp = enter_as(k, lwp).unbind().unwrap().unwrap();
        vec![Kept::Parked(lwp.unclaim())]
    })
}

/// P's first LWP, by its number.
fn claim(_: &mut Scene) -> Job {
    job(|k| {
        let guard = k.pin();
        let claimed = guard.lwp(LP).and_then(|l| l.claim().ok());
        claimed.into_iter().map(Kept::Owned).collect()
    })
}

fn hold(scene: &mut Scene) -> Job {
    as_p(scene, |e| {
        e.hold().unwrap();
        e.unhold().unwrap();
    })
}

/// An implicit context comes and goes.
fn enter(_: &mut Scene) -> Job {
    job(|k| {
        let e = k.enter().unwrap();
        assert!(e.curlwp().is_none() && e.pid() == Pid::INIT);
        vec![]
    })
}

fn rfork(scene: &mut Scene) -> Job {
    let lwp = scene.lwp();
    job(move |k| {
        let mut e = enter_as(k, lwp);
        let parent = e.rfork(Rfork::Share).unwrap().unwrap();
        assert_eq!(e.ppid(), P);
        [parent, e.unbind().unwrap().unwrap()].map(Kept::Owned).into()
    })
}

/// As the last release; and there is a child to pass to init.
fn exit_parent(scene: &mut Scene) -> Job {
    last_release(scene)
}

fn exit_child(scene: &mut Scene) -> Job {
    let lwp = scene.lwp_of_child();
    job(move |_| {
        drop(lwp);
        vec![]
    })
}

/// For any child, without blocking.
fn wait(scene: &mut Scene) -> Job {
    as_p(scene, |e| match e.try_wait(WaitTarget::Any) {
        Ok(Some(reaped)) => assert_eq!(reaped.pid, C),
        Ok(None) | Err(WaitError::NoChild) => {}
        Err(why) => panic!("{why:?}"),
    })
}

fn find(_: &mut Scene) -> Job {
    job(|k| {
        let guard = k.pin();
        if let Some(p) = guard.proc(P) {
            assert_eq!(p.pid(), P);
            assert!([Pid::INIT, Pid::KERNEL].contains(&p.ppid()));
        }
        if let Some(l) = guard.lwp(LP) {
            assert_eq!((l.lid(), l.pid()), (LP, P));
        }
        vec![]
    })
}

fn iterate(_: &mut Scene) -> Job {
    job(|k| {
        let guard = k.pin();
        let mut pids: Vec<Pid> = vec![];
        for p in guard.procs() {
            assert!(!pids.contains(&p.pid()), "met twice");
            pids.push(p.pid());
            let lids: Vec<Lid> = p.lwps().map(|l| l.lid()).collect();
            assert!(lids.iter().filter(|l| l.0 == p.pid().0).count() <= 1);
            assert!(p.children().all(|c| c.pid() != p.pid()));
        }
        assert!(pids.starts_with(&[Pid::KERNEL, Pid::INIT]), "they are always there");
        vec![]
    })
}

fn setcred(scene: &mut Scene) -> Job {
    as_p(scene, |e| {
        e.creds().set(&CredChange::SetResuid(Some(USER), None, None)).unwrap();
        assert_eq!(e.cred().users().real, USER);
    })
}

/// P moves C to a group of its own.
fn setpgid(scene: &mut Scene) -> Job {
    as_p(scene, |e| match e.groups().setpgid(C, C) {
        Ok(()) | Err(GroupError::NoSuchProcess | GroupError::OtherSession) => {}
        Err(why) => panic!("{why:?}"),
    })
}

/// C makes a session of its own.
fn setsid(scene: &mut Scene) -> Job {
    let lwp = scene.lwp_of_child();
    job(move |k| {
        as_lwp(k, lwp, |e| {
            let sid = e.groups().setsid();
            assert!(sid == Ok(C) || sid == Err(GroupError::GroupExists), "{sid:?}");
        })
    })
}

fn fd_get(scene: &mut Scene) -> Job {
    as_p(scene, |e| {
        let found = e.files().get(FD).map(|file| file.handle());
        assert!(matches!(found, Ok(_) | Err(FdError::BadFd)));
    })
}

fn fd_close(scene: &mut Scene) -> Job {
    as_p(scene, |e| {
        let closed = e.files().close(FD);
        assert!(matches!(closed, Ok(()) | Err(FdError::BadFd)));
    })
}

/// Onto the descriptor that the others look at.
fn dup2(scene: &mut Scene) -> Job {
    as_p(scene, |e| {
        assert_eq!(e.files().dup2(FD2, FD).ok(), Some(FD));
        assert!(e.files().get(FD2).is_ok());
    })
}

/// A signal for P, from init.
fn post(_: &mut Scene) -> Job {
    job(|k| {
        // A zombie or a process that has just gone takes none.
        let _ = k.enter().unwrap().signals().kill(KillTarget::Proc(P), 15);
        vec![]
    })
}

fn drain(scene: &mut Scene) -> Job {
    as_p(scene, |e| {
        e.drain();
        e.reopen();
    })
}

struct Bell;

impl SyncObject for Bell {
    fn unsleep(&self, _: Lid) {}
}

/// An LWP of P falls asleep by an object of the embedder's, and wakes.
fn sleep(scene: &mut Scene) -> Job {
    as_p(scene, |e| match e.sleep_with(Arc::new(Bell), || ()) {
        Ok(()) | Err(Interrupted::Signal | Interrupted::Exit | Interrupted::Unslept) => {}
        Err(why) => panic!("{why:?}"),
    })
}

/// The sleep of P's first LWP is ended.
fn unsleep(_: &mut Scene) -> Job {
    job(|k| {
        let guard = k.pin();
        if let Some(lwp) = guard.lwp(LP) {
            let _ = lwp.unsleep();
        }
        vec![]
    })
}

/// A process is made and ends: its id is taken and given back.
fn ids(_: &mut Scene) -> Job {
    job(|k| {
        drop(k.spawn().start().unwrap());
        vec![]
    })
}

/// An LWP whose id is taken together with one in a part of the table that has to be made.
fn grow(scene: &mut Scene) -> Job {
    attach(scene)
}

/// Against the teardown of the kernel.
type Drop = (&'static str, Needs, fn(&mut Scene) -> Outlives);

const DROPS: [Drop; 5] = [
    ("last_release", NONE, drop_of_lwp),
    ("unbind", NONE, |scene| {
        let lwp = scene.lwp();
        Box::new(move || drop(lwp.unclaim()))
    }),
    ("claim", NONE, |scene| {
        let parked = scene.lwp().unclaim();
        Box::new(move || drop(parked.claim()))
    }),
    ("exit_parent", CHILD, drop_of_lwp),
    ("exit_child", CHILD, |scene| {
        let lwp = scene.lwp_of_child();
        Box::new(move || drop(lwp))
    }),
];

fn drop_of_lwp(scene: &mut Scene) -> Outlives {
    let lwp: Lwp = scene.lwp();
    Box::new(move || drop(lwp))
}

/// What does not end in a reasonable time without a bound (40 s on the machine that
/// it was tried on; most would take minutes to hours): the most preemptions. In the
/// short run one less.
const BOUND: usize = 3;
const BOUNDED: &[&str] = &[
    "pair_attach_grow",
    "pair_newlwp_setcred",
    "pair_newlwp_grow",
    "pair_release_drain",
    "pair_last_release_exit_child",
    "pair_rfork_rfork",
    "pair_exit_parent_exit_child",
    "pair_exit_child_last_release",
    "pair_exit_child_exit_parent",
    "pair_setcred_newlwp",
    "pair_setcred_setcred",
    "pair_dup2_dup2",
    "pair_drain_release",
    "pair_ids_ids",
    "pair_grow_attach",
    "pair_grow_newlwp",
    "pair_grow_grow",
    "pair_last_release_kernel_drop",
    "pair_claim_kernel_drop",
    "pair_unbind_kernel_drop",
    "pair_exit_parent_kernel_drop",
    "pair_exit_child_kernel_drop",
];

/// What takes up to half a minute: in the short run bounded, too.
const LONG: &[&str] = &[
    "pair_rfork_setcred",
    "pair_iterate_exit_parent",
    "pair_setcred_rfork",
    "pair_setpgid_exit_child",
    "pair_setpgid_setpgid",
    "pair_setsid_setsid",
    "pair_drain_setcred",
    "pair_drain_drain",
    "pair_fd_get_dup2",
    "pair_post_exit_parent",
    "pair_post_last_release",
    "pair_exit_child_ids",
    "pair_exit_parent_ids",
    "pair_last_release_ids",
    "pair_setpgid_setsid",
    "pair_wait_ids",
    "pair_drain_exit_parent",
    "pair_drain_last_release",
    "pair_iterate_exit_child",
    "pair_iterate_last_release",
    "pair_attach_attach",
    "pair_attach_newlwp",
    "pair_newlwp_attach",
    "pair_newlwp_newlwp",
    "pair_drain_newlwp",
    "pair_setcred_drain",
    "pair_iterate_ids",
    "pair_rfork_exit_child",
    "pair_ids_rfork",
];

fn model(name: String, body: impl Fn() + Send + Sync + 'static) -> Model {
    // Once in a program's run.
    let name: &'static str = name.leak();
    let model = pair(name, body);
    if BOUNDED.contains(&name) {
        model.bounded(BOUND).long()
    } else if LONG.contains(&name) {
        model.long()
    } else {
        model
    }
}

pub fn models() -> Vec<Model> {
    let mut models = vec![];
    for there in OPS {
        for here in OPS {
            let name = format!("pair_{}_{}", there.name, here.name);
            models.push(model(name, move || run(&[there, here])));
        }
    }
    for (name, needs, prepare) in DROPS {
        let name = format!("pair_{name}_kernel_drop");
        models.push(model(name, move || run_against_drop(needs, prepare)));
    }
    models
}
