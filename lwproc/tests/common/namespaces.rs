//! What the tests of pid namespaces have in common.

use lwproc::*;

/// Linux's `pid_max`.
pub const MAX: u32 = 32768;

pub fn linux() -> Kernel {
    let builder = Kernel::builder().rules(Rules::LINUX).signal_model(SigModel::Record);
    builder.wait_policy(WaitPolicy::Wait).build().unwrap()
}

/// The thread as a process of the kernel's own namespace.
pub fn shell(kernel: &Kernel) -> Entered<'_> {
    let mut k = kernel.enter().unwrap();
    // So that no number of the kernel's is one of a namespace, too.
    (0..100).for_each(|_| drop(kernel.spawn().start().unwrap()));
    k.switch(kernel.spawn().start().unwrap()).unwrap();
    k
}

/// Does something as that LWP, which comes back.
pub fn act<R>(k: &mut Entered<'_>, lwp: Lwp, f: impl FnOnce(&mut Entered<'_>) -> R) -> (Lwp, R) {
    let own = k.switch(lwp).unwrap().unwrap();
    let result = f(k);
    (k.switch(own).unwrap().unwrap(), result)
}

/// Ends the process of that LWP.
pub fn end(k: &mut Entered<'_>, lwp: Lwp, code: u8) {
    let own = k.switch(lwp).unwrap().unwrap();
    k.exit(ExitStatus::exited(code)).unwrap();
    assert!(k.switch(own).unwrap().is_none());
}

/// The init of a new namespace, with so many children.
pub fn namespace(k: &mut Entered<'_>, children: usize) -> (Lwp, Vec<Lwp>) {
    let init = k.spawn().new_namespace(MAX).start().unwrap();
    act(k, init, |k| (0..children).map(|_| k.spawn().start().unwrap()).collect())
}

pub fn root(kernel: &Kernel, lwp: &Lwp) -> ProcHandle {
    kernel.pin().proc(lwp.pid()).unwrap().handle().unwrap()
}

pub fn here(k: &Entered<'_>, lwp: &Lwp) -> Option<Pid> {
    let guard = k.pin();
    k.process().namespace().pid_of(&guard.proc(lwp.pid())?)
}

pub fn state(kernel: &Kernel, pid: Pid) -> Option<ProcState> {
    kernel.pin().proc(pid).map(|proc| proc.state())
}

pub fn signo(number: i32) -> Signo {
    Signo::new(number).unwrap()
}
