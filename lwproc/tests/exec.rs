//! An exec by a further LWP: whose number it bears then, who finds it, and what is pending.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;
use std::sync::{Arc, Barrier, Mutex};

const HUP: Signo = Signo::HUP;
const INT: Signo = Signo::INT;
const TERM: Signo = Signo::TERM;

fn kernel(rules: Rules) -> Kernel {
    let builder = Kernel::builder().rules(rules).signal_model(SigModel::Record);
    builder.wait_policy(WaitPolicy::Wait).build().unwrap()
}

/// A process of two LWPs: the first one, and the thread as the further one.
fn further(kernel: &Kernel) -> (Entered<'_>, Lwp) {
    let first = kernel.spawn().start().unwrap();
    let mut k = kernel.enter().unwrap();
    k.switch(kernel.new_lwp(first.pid()).unwrap()).unwrap();
    (k, first)
}

fn exec(k: &mut Entered<'_>) {
    assert_eq!((k.wait_alone(), k.exec("new")), (Ok(()), Ok(())));
}

#[test]
fn it_takes_the_number_of_its_process() {
    let kernel = kernel(Rules::LINUX);
    let (mut k, first) = further(&kernel);
    let (pid, own, token) = (k.pid(), k.lid().unwrap(), k.curlwp().unwrap().token());
    let handle = kernel.pin().lwp(own).unwrap().handle().unwrap();
    assert_ne!(own.0, pid.0);
    let ids = kernel.counts().ids;
    assert_eq!(k.drain(), Drain::Begun);
    assert_eq!(k.exec("new"), Err(ExecError::NotAlone { nlwps: 2 }));
    assert_eq!(k.lid(), Some(own), "an exec that failed has changed nothing");
    drop(first);
    exec(&mut k);
    assert_eq!((k.pid(), k.lid()), (pid, Some(Lid(pid.0))));
    let guard = kernel.pin();
    assert!(guard.lwp(own).is_none(), "its own number finds nobody");
    let found = guard.lwp(Lid(pid.0)).unwrap();
    assert_eq!((found.pid(), found.lid()), (pid, Lid(pid.0)));
    assert_eq!(
        guard.proc(pid).unwrap().lwps().map(|lwp| lwp.lid()).collect::<Vec<_>>(),
        [Lid(pid.0)]
    );
    assert_eq!(guard.lwps().filter(|lwp| lwp.pid() == pid).count(), 1);
    drop(guard);
    assert_eq!(kernel.counts().ids, ids - 1, "and is free");
    // Who held it still means it.
    assert_eq!((handle.lid(), handle.state()), (Lid(pid.0), LwpState::Owned));
    let now = k.curlwp().unwrap().token();
    assert_eq!((now.lid(), now.serial()), (Lid(pid.0), token.serial()));
    // The process takes LWPs again, which get numbers of their own.
    let next = kernel.new_lwp(pid).unwrap();
    assert_ne!(next.lid().0, pid.0);
    // Again, by the first one: nothing changes.
    k.drain();
    drop(next);
    exec(&mut k);
    assert_eq!(k.lid(), Some(Lid(pid.0)));
    k.exit(ExitStatus::exited(3)).unwrap();
    drop((k, handle));
    let counts = kernel.counts();
    assert_eq!((counts.procs, counts.lwps, counts.ids), (2, 2, 2));
}

#[test]
fn by_the_rules_of_netbsd_it_keeps_its_own() {
    let kernel = kernel(Rules::NETBSD);
    let (mut k, first) = further(&kernel);
    let (pid, own) = (k.pid(), k.lid().unwrap());
    k.drain();
    drop(first);
    exec(&mut k);
    assert_eq!(k.lid(), Some(own));
    assert!(kernel.pin().lwp(own).is_some() && kernel.pin().lwp(Lid(pid.0)).is_none());
}

#[test]
fn what_is_pending_for_the_first_one_alone_is_lost() {
    let kernel = kernel(Rules::LINUX);
    let (mut k, first) = further(&kernel);
    let blocked = SigSet::ALL;
    k.signals().set_blocked(blocked).unwrap();
    let (pid, own) = (k.pid(), k.lid().unwrap());
    let send = |target, signo: Signo| k.signals().kill(target, signo.number().into()).unwrap();
    send(KillTarget::Lwp(first.lid()), HUP);
    send(KillTarget::Lwp(own), INT);
    send(KillTarget::Proc(pid), TERM);
    k.drain();
    drop(first);
    exec(&mut k);
    assert_eq!(k.signals().pending(), SigSet::from(INT).with(TERM));
    assert_eq!(kernel.pin().lwp(Lid(pid.0)).unwrap().pending(), SigSet::from(INT));
}

/// What a host is told, with the number and the serial of the LWP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    Create(LwpToken),
    Destroy(LwpToken),
    Renumber(LwpToken, LwpToken),
}

#[derive(Default)]
struct Host_ {
    told: Arc<Mutex<Vec<Told>>>,
    panics: bool,
}

impl Host for Host_ {
    type SigValue = ();
    type VmSpace = ();
    type File = ();
    type Emul = ();
    type Vfs = ();
    fn create(&self, lwp: LwpToken) {
        self.told.lock().unwrap().push(Told::Create(lwp));
    }
    fn destroy(&self, lwp: LwpToken) {
        self.told.lock().unwrap().push(Told::Destroy(lwp));
    }
    fn renumber(&self, old: LwpToken, new: LwpToken) {
        self.told.lock().unwrap().push(Told::Renumber(old, new));
        if self.current() == Some(old) {
            self.switch(old, new);
        }
        assert!(!self.panics, "the host panics");
    }
}

#[test]
fn the_host_and_the_sinks_are_told() {
    let host = Host_::default();
    let told = host.told.clone();
    let events = Arc::new(Mutex::new(vec![]));
    let kernel = Kernel::builder().rules(Rules::LINUX).host(host).build().unwrap();
    kernel.set_trace(Some(Arc::new(Sink(events.clone()))));
    let first = kernel.spawn().start().unwrap();
    let pid = first.pid();
    let mut k = kernel.enter().unwrap();
    k.switch(kernel.new_lwp(pid).unwrap()).unwrap();
    let old = k.curlwp().unwrap().token();
    assert_eq!(kernel.host().current(), Some(old));
    k.drain();
    drop(first);
    told.lock().unwrap().clear();
    events.lock().unwrap().clear();
    k.exec("new").unwrap();
    let new = k.curlwp().unwrap().token();
    assert_eq!(kernel.host().current(), Some(new));
    assert_eq!(*told.lock().unwrap(), [Told::Renumber(old, new)]);
    let renumber = TraceEvent::LwpRenumber { pid, lid: Lid(pid.0), was: old.lid() };
    let exec = TraceEvent::Exec { pid, comm: k.process().comm() };
    assert_eq!(*events.lock().unwrap(), [renumber, exec]);
    k.release().unwrap();
    drop(k);
    assert_eq!(told.lock().unwrap().last(), Some(&Told::Destroy(new)));
    assert_eq!(kernel.host().current(), None);
}

struct Sink(Arc<Mutex<Vec<TraceEvent>>>);

impl TraceSink for Sink {
    fn event(&self, event: &TraceEvent) {
        self.0.lock().unwrap().push(*event);
    }
}

#[test]
fn a_panic_of_the_host_does_not_undo_it() {
    let host = Host_ { panics: true, ..Host_::default() };
    let kernel = Kernel::builder().rules(Rules::LINUX).host(host).build().unwrap();
    let first = kernel.spawn().start().unwrap();
    let pid = first.pid();
    let mut k = kernel.enter().unwrap();
    k.switch(kernel.new_lwp(pid).unwrap()).unwrap();
    k.drain();
    drop(first);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| k.exec("new")));
    assert!(panicked.is_err());
    assert_eq!((k.lid(), k.process().comm().as_str()), (Some(Lid(pid.0)), "new"));
    drop(kernel.new_lwp(pid).unwrap());
}

#[test]
fn of_two_that_exec_at_once_exactly_one_goes_on() {
    let kernel = kernel(Rules::LINUX);
    for _ in 0..200 {
        let lwps = {
            let first = kernel.spawn().start().unwrap();
            let other = kernel.new_lwp(first.pid()).unwrap();
            [first, other]
        };
        let (pid, start) = (lwps[0].pid(), Barrier::new(2));
        let execs = |lwp: Lwp| {
            let mut k = kernel.enter_as(lwp).unwrap();
            start.wait();
            if k.drain() == Drain::Already {
                k.release().unwrap();
                return None;
            }
            exec(&mut k);
            assert_eq!(k.lid(), Some(Lid(pid.0)));
            Some(Kernel::leave(k).unwrap())
        };
        let done = std::thread::scope(|s| {
            let threads = lwps.map(|lwp| s.spawn(|| execs(lwp)));
            threads.map(|thread| thread.join().unwrap())
        });
        let winner = done.into_iter().flatten().collect::<Vec<_>>();
        assert_eq!(winner.len(), 1);
        assert_eq!(kernel.pin().proc(pid).unwrap().nlwps(), 1);
    }
    let counts = kernel.counts();
    assert_eq!((counts.lwps, counts.ids), (2, 2));
}
