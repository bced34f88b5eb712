//! The hot paths, each in a function of its own, for callgrind to count in:
//! `ci/bench.sh instructions` runs this under it, once for each operation.
//!
//! `instructions OP CALLS` makes its world, warms up, and makes the calls within
//! `measured`, where the counting is on. Without arguments it lists the
//! operations.

use lwproc::{Entered, Fd, Guard, Kernel, Lwp, LwpHandle, OnExec, Pid, Rfork};
use std::hint::black_box;
use std::process::ExitCode;

/// One thread's world.
struct Stage<'k> {
    kernel: &'k Kernel,
    entered: Option<Entered<'k>>,
    pid: Pid,
    other: Option<Lwp>,
    parked: Option<LwpHandle>,
    fd: Fd,
    pids: Vec<Pid>,
    next: usize,
    /// Kept for one operation only: nothing is freed meanwhile.
    guard: Option<Guard<'k>>,
}

impl<'k> Stage<'k> {
    /// Entered, in a process of its own with two LWPs and a descriptor, among a
    /// thousand others.
    fn new(kernel: &'k Kernel, others: &[Lwp]) -> Self {
        let mut k = kernel.enter().expect("a new thread");
        k.rfork(Rfork::Fresh).expect("ids");
        let pid = k.pid();
        let fd = k.files().open((), OnExec::Keep).expect("room");
        let other = kernel.new_lwp(pid).expect("ids");
        let parked = kernel.new_lwp(pid).expect("ids").unclaim();
        let pids = others.iter().map(Lwp::pid).collect();
        Self {
            kernel,
            entered: Some(k),
            pid,
            other: Some(other),
            parked: Some(parked),
            fd,
            pids,
            next: 0,
            guard: None,
        }
    }

    fn k(&mut self) -> &mut Entered<'k> {
        self.entered.as_mut().expect("entered")
    }

    fn pid(&mut self) -> Pid {
        self.next = (self.next + 1) % self.pids.len();
        self.pids[self.next]
    }
}

type Op = fn(&mut Stage<'_>);

fn nothing(stage: &mut Stage<'_>) {
    black_box(stage);
}

fn curlwp(stage: &mut Stage<'_>) {
    black_box(stage.k().curlwp().map(|lwp| lwp.lid()));
}

fn curlwp_host(stage: &mut Stage<'_>) {
    black_box(stage.kernel.host_curlwp());
}

/// Leaves first: the stage is entered.
fn leave_enter(stage: &mut Stage<'_>) {
    stage.entered = None;
    stage.entered = Some(stage.kernel.enter().expect("left"));
}

fn switch(stage: &mut Stage<'_>) {
    let new = stage.other.take().expect("the other one");
    stage.other = stage.k().switch(new).expect("the same kernel");
}

fn newlwp_release(stage: &mut Stage<'_>) {
    drop(stage.kernel.new_lwp(stage.pid).expect("ids"));
}

fn newproc_release(stage: &mut Stage<'_>) {
    drop(stage.kernel.spawn().start().expect("ids"));
}

fn rfork_release(stage: &mut Stage<'_>) {
    let k = stage.k();
    let parent = k.rfork(Rfork::Fresh).expect("ids").expect("the parent");
    k.release().expect("pertinent");
    k.switch(parent).expect("the same kernel");
}

fn find_borrowed(stage: &mut Stage<'_>) {
    let pid = stage.pid();
    let guard = stage.kernel.pin();
    black_box(guard.proc(pid).map(|proc| proc.nlwps()));
}

fn find_held(stage: &mut Stage<'_>) {
    let pid = stage.pid();
    let guard = stage.guard.as_ref().expect("kept");
    black_box(guard.proc(pid).map(|proc| proc.nlwps()));
}

fn find_counted(stage: &mut Stage<'_>) {
    let pid = stage.pid();
    let guard = stage.kernel.pin();
    drop(black_box(guard.proc(pid).and_then(|proc| proc.handle())));
}

fn claim_unclaim(stage: &mut Stage<'_>) {
    let parked = stage.parked.as_ref().expect("parked");
    parked.unclaim(parked.claim().expect("parked")).expect("its own");
}

fn hold_rele(stage: &mut Stage<'_>) {
    let k = stage.k();
    k.hold().expect("room");
    k.unhold().expect("held");
}

fn cred_check(stage: &mut Stage<'_>) {
    black_box(stage.k().cred().is_superuser());
}

fn fd_look_up(stage: &mut Stage<'_>) {
    let fd = stage.fd;
    black_box(stage.k().files().get(fd).is_ok());
}

/// Every operation, by name.
const OPS: &[(&str, Op)] = &[
    ("nothing", nothing),
    ("curlwp", curlwp),
    ("curlwp, from the host", curlwp_host),
    ("enter + leave, bound", leave_enter),
    ("enter + leave, implicit", leave_enter),
    ("switch", switch),
    ("newlwp + release", newlwp_release),
    ("newproc + release", newproc_release),
    ("rfork + release", rfork_release),
    ("find, borrowed", find_borrowed),
    ("find, guard held", find_held),
    ("find, counted", find_counted),
    ("claim + unclaim", claim_unclaim),
    ("hold + rele", hold_rele),
    ("credential check", cred_check),
    ("fd look-up", fd_look_up),
];

/// The counting is on in here.
#[inline(never)]
fn measured(op: Op, stage: &mut Stage<'_>, calls: u64) {
    for _ in 0..calls {
        op(stage);
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [name, calls] = args.as_slice() else {
        OPS.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    };
    let known = OPS.iter().find(|(known, _)| known == name);
    let (Some((_, op)), Ok(calls)) = (known, calls.parse()) else {
        eprintln!("instructions: no operation {name:?}, or {calls:?} calls");
        return ExitCode::FAILURE;
    };
    let kernel = Kernel::new();
    let others: Vec<Lwp> = (0..1000).map(|_| kernel.spawn().start().expect("ids")).collect();
    let mut stage = Stage::new(&kernel, &others);
    if name.ends_with("implicit") {
        stage.k().release().expect("pertinent");
        leave_enter(&mut stage);
    }
    if name.ends_with("held") {
        stage.guard = Some(kernel.pin());
    }
    // A whole number of rounds of the reclamation, before and within.
    for _ in 0..1024 {
        op(&mut stage);
    }
    measured(*op, black_box(&mut stage), calls);
    ExitCode::SUCCESS
}
