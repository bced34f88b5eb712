//! Foster parents that end, inits that wait, siblings, exit signals, and signals at the
//! parent's end.

use crate::full::{assert_empty, at_once, enter_as};
use crate::runner::{Model, pair};
use lwproc::{
    ChildKind, Disposition, Drain, ExitStatus, Kernel, Lwp, Pid, Rules, SigModel, SigSet, Signo,
    Subreaper, WaitError, WaitPolicy, WaitTarget,
};
use std::sync::Arc;

pub fn models() -> Vec<Model> {
    vec![
        pair("family_adoption_against_end_of_subreaper", || adoption_against_end(Ends::Foster))
            .bounded(2),
        pair("family_end_of_subreaper_against_adoption", || adoption_against_end(Ends::Parent))
            .bounded(2),
        pair("family_adoption_of_zombie_against_end_of_subreaper", zombie_against_end).bounded(2),
        pair("family_adoption_against_end_of_child", adoption_against_end_of_child).bounded(2),
        pair("family_wait_as_init_against_end_of_orphan", wait_as_init).bounded(2),
        pair("family_death_signal_against_end_of_parent", death_signal).bounded(3),
        pair("family_sibling_against_end_of_parent", sibling_against_end).bounded(2),
        pair("family_exec_of_child_against_exec_of_parent", exec_against_exec).bounded(2),
        pair("family_exec_of_parent_against_end_of_child", exec_against_end).bounded(2),
    ]
}

const USR1: i32 = 10;
const CHLD: i32 = 17;

fn signo(number: i32) -> Signo {
    Signo::new(number).unwrap()
}

fn kernel_of(policy: WaitPolicy) -> Arc<Kernel> {
    let builder = Kernel::builder().signal_model(SigModel::Record);
    Arc::new(builder.wait_policy(policy).id_capacity(7).build().unwrap())
}

fn linux() -> Arc<Kernel> {
    let builder = Kernel::builder().rules(Rules::LINUX).signal_model(SigModel::Record);
    Arc::new(builder.wait_policy(WaitPolicy::Wait).id_capacity(7).build().unwrap())
}

/// A process, its child, and the child of that; the first one is a subreaper.
fn line(kernel: &Kernel) -> [Lwp; 3] {
    let foster = kernel.spawn().start().unwrap();
    let mut e = enter_as(kernel, foster);
    e.process().set_subreaper(Subreaper::Yes);
    let parent = e.spawn().start().unwrap();
    let child = parent.proc_handle().spawn().start().unwrap();
    [e.unbind().unwrap().unwrap(), parent, child]
}

fn ppid(kernel: &Kernel, pid: Pid) -> Pid {
    kernel.pin().proc(pid).unwrap().ppid()
}

/// Who ends on the other thread.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    Foster,
    Parent,
}

/// A child is init's when its parent and the one that would take it in have ended, whoever was
/// first; it is nobody's who is gone.
fn adoption_against_end(there: Ends) {
    let kernel = kernel_of(WaitPolicy::AutoReap);
    let [foster, parent, child] = line(&kernel);
    let (there, here) = if there == Ends::Foster { (foster, parent) } else { (parent, foster) };
    at_once(&kernel, move || drop(there), move || drop(here));
    assert_eq!(ppid(&kernel, child.pid()), Pid::INIT);
    drop(child);
    assert_empty(&kernel);
}

/// The same of a zombie: somebody reaps it.
fn zombie_against_end() {
    let kernel = kernel_of(WaitPolicy::Wait);
    let [foster, parent, child] = line(&kernel);
    drop(child);
    at_once(&kernel, move || drop(foster), move || drop(parent));
    assert_empty(&kernel);
}

/// A subreaper waits for both that end, and is told of each.
fn adoption_against_end_of_child() {
    let kernel = kernel_of(WaitPolicy::Wait);
    let [foster, parent, child] = line(&kernel);
    let mut e = enter_as(&kernel, foster);
    let here = || {
        drop(parent);
        [e.wait(WaitTarget::Any), e.wait(WaitTarget::Any)].map(|found| found.is_ok())
    };
    let (_, found) = at_once(&kernel, move || drop(child), here);
    assert_eq!(found, [true; 2]);
    assert_eq!(e.try_wait(WaitTarget::Any), Err(WaitError::NoChild));
    drop(e.unbind());
    assert_empty(&kernel);
}

/// So does an init that waits.
fn wait_as_init() {
    let builder = Kernel::builder().wait_policy(WaitPolicy::Wait).id_capacity(6);
    let kernel = Arc::new(builder.init_waits().build().unwrap());
    let parent = kernel.enter().unwrap().spawn().start().unwrap();
    let child = parent.proc_handle().spawn().start().unwrap();
    let k = kernel.enter().unwrap();
    let here = || {
        drop(parent);
        [k.wait(WaitTarget::Any), k.wait(WaitTarget::Any)].map(|found| found.is_ok())
    };
    let (_, found) = at_once(&kernel, move || drop(child), here);
    assert_eq!(found, [true; 2]);
    drop(k);
    assert_empty(&kernel);
}

/// Who has asked, and still sees its parent, is sent the signal when that ends.
fn death_signal() {
    let kernel = kernel_of(WaitPolicy::AutoReap);
    let parent = kernel.spawn().start().unwrap();
    let child = parent.proc_handle().spawn().start().unwrap();
    let mut e = enter_as(&kernel, child);
    let own = parent.pid();
    let here = || {
        e.signals().set_death_signal(Some(signo(USR1))).unwrap();
        e.ppid()
    };
    let (_, seen) = at_once(&kernel, move || drop(parent), here);
    if seen == own {
        assert_eq!(e.signals().take(), Some(signo(USR1)));
    }
    drop(e.unbind());
    assert_empty(&kernel);
}

/// A sibling that is born as its parent ends is the child of who lives.
fn sibling_against_end() {
    let kernel = kernel_of(WaitPolicy::AutoReap);
    let parent = kernel.spawn().start().unwrap();
    let child = parent.proc_handle().spawn().start().unwrap();
    let here = || child.proc_handle().spawn().sibling().start().unwrap();
    let (_, sibling) = at_once(&kernel, move || drop(parent), here);
    assert_eq!(ppid(&kernel, sibling.pid()), Pid::INIT);
    drop((child, sibling));
    assert_empty(&kernel);
}

/// A clone child that has become another program is an ordinary one, though its parent has
/// at the same time.
fn exec_against_exec() {
    let kernel = linux();
    let parent = kernel.spawn().start().unwrap();
    let child = parent.proc_handle().spawn().exit_signal(None).start().unwrap();
    let mut e = enter_as(&kernel, parent);
    let k = kernel.clone();
    let there = move || {
        let mut c = enter_as(&k, child);
        assert_eq!(c.drain(), Drain::Begun);
        c.exec("c").unwrap();
        c.unbind().unwrap().unwrap()
    };
    let here = || {
        assert_eq!(e.drain(), Drain::Begun);
        e.exec("p").unwrap();
    };
    let (child, ()) = at_once(&kernel, there, here);
    assert_eq!(e.try_wait(WaitTarget::Any), Ok(None));
    drop(child);
    assert!(e.try_wait(WaitTarget::Any).unwrap().is_some());
    drop(e.unbind());
    assert_empty(&kernel);
}

/// A parent that execs is told of a clone child that ends by the one signal or by the other.
fn exec_against_end() {
    let kernel = linux();
    let parent = kernel.spawn().start().unwrap();
    let child = parent.proc_handle().spawn().exit_signal(Some(signo(USR1))).start().unwrap();
    let mut e = enter_as(&kernel, parent);
    e.signals().set_blocked(SigSet::ALL).unwrap();
    let here = || {
        assert_eq!(e.drain(), Drain::Begun);
        e.exec("p").unwrap();
        e.signals().set_disposition(CHLD, Disposition::Catch).unwrap();
        e.wait(WaitTarget::Any.kind(ChildKind::Clone)).unwrap()
    };
    let (_, found) = at_once(&kernel, move || child.exit(ExitStatus::exited(3)), here);
    assert_eq!(found.status, ExitStatus::exited(3));
    // It may have been sent before the exec, and then SIGCHLD was not caught yet.
    e.signals().set_blocked(SigSet::EMPTY).unwrap();
    let sent = e.signals().take();
    assert!(sent.is_none_or(|sent| [signo(USR1), signo(CHLD)].contains(&sent)), "{sent:?}");
    drop(e.unbind());
    assert_empty(&kernel);
}
