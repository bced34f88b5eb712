//! A kernel by Linux's rules, a shell in it, and its jobs.

#![allow(dead_code)]

use lwproc::*;

pub fn linux() -> Kernel {
    let builder = Kernel::builder().rules(Rules::LINUX).signal_model(SigModel::Record);
    builder.wait_policy(WaitPolicy::Wait).build().unwrap()
}

pub fn signo(number: i32) -> Signo {
    Signo::new(number).unwrap()
}

/// A shell: the leader of a session, which the thread runs as from now on.
pub fn shell(kernel: &Kernel) -> Entered<'_> {
    let mut k = kernel.enter().unwrap();
    k.switch(kernel.spawn().start().unwrap()).unwrap();
    k.groups().setsid().unwrap();
    k
}

/// A job of it: a child in a group of its own.
pub fn job(k: &mut Entered<'_>) -> Lwp {
    let child = k.spawn().start().unwrap();
    k.groups().setpgid(child.pid(), child.pid()).unwrap();
    child
}

pub fn kill(k: &Entered<'_>, pid: Pid, signo: i32) {
    k.signals().kill(KillTarget::Proc(pid), signo).unwrap();
}

pub fn state(kernel: &Kernel, pid: Pid) -> ProcState {
    kernel.pin().proc(pid).unwrap().state()
}
