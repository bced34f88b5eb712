//! A plain sequential model of a kernel, written from the description of the
//! behaviour, and a driver that runs the same operations on both and compares
//! every answer and the whole state after every step.

#[path = "../common/becoming.rs"]
mod becoming;
mod check;
mod creds;
mod data;
mod emul;
mod files;
mod host;
mod known;
mod limits;
mod names;
mod places;
mod procs;
mod services;
mod signals;
mod state;
mod thread;
mod watch;

pub use creds::CredOp;
pub use emul::EmulOp;
pub use files::FdOp;
use host::Embedder;
pub use known::HandleOp;
use known::Known;
pub use limits::LimitOp;
use lwproc::*;
pub use names::NameOp;
pub use services::ServiceOp;
use state::Model;
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
pub use thread::ThreadOp;
pub use watch::WatchOp;
use watch::Watchers;

/// One operation. Indices choose among what there is, modulo its number.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    Rfork(Rfork),
    RforkVmspace(Rfork),
    Newlwp(u8),
    NewlwpNumber(i32),
    Alloclwp,
    AlloclwpIn(u8),
    Switch(u8),
    Unbind,
    Release,
    Exit(u8),
    Hold,
    Rele,
    DropOwned(u8),
    Unclaim(u8),
    Claim(u8),
    Wait,
    WaitFor(u8),
    WaitForGroup(u8),
    GiveBack,
    Drain,
    Reopen,
    Rename(u8),
    AddUsage(u8),
    Cred(CredOp),
    Limit(LimitOp),
    Emul(EmulOp),
    Name(NameOp),
    Watch(WatchOp),
    Thread(ThreadOp),
    Handle(HandleOp),
    Fd(FdOp),
    Service(ServiceOp),
    LeaveAndEnter,
}

/// How a kernel is made.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub policy: WaitPolicy,
    pub capacity: usize,
    pub max_procs: Option<u64>,
    pub native_sysents: bool,
    pub signals: SigModel,
    /// Virtual CPUs, if there are any.
    pub cpus: Option<NonZeroUsize>,
}

/// A kernel and its model, run in step.
struct Driver<'k> {
    kernel: &'k Kernel<Embedder>,
    k: Option<Entered<'k, Embedder>>,
    owned: Vec<Lwp<Embedder>>,
    handles: Vec<LwpHandle<Embedder>>,
    files: Vec<FileHandle<Embedder>>,
    emuls: Vec<EmulId>,
    known: Vec<Known>,
    keys: data::Keys,
    watchers: Watchers,
    model: Model,
}

fn pick<T: Copy>(from: impl Iterator<Item = T>, index: u8) -> Option<T> {
    let all: Vec<T> = from.collect();
    (!all.is_empty()).then(|| all[usize::from(index) % all.len()])
}

/// Runs the operations on a new kernel and on the model.
pub fn run(settings: Settings, ops: &[Op]) {
    let Settings { policy, capacity, max_procs, native_sysents, signals, cpus } = settings;
    let builder = Kernel::builder().wait_policy(policy).id_capacity(capacity);
    let mut builder = builder.signal_model(signals);
    if let Some(max) = max_procs {
        builder = builder.max_procs(max);
    }
    if let Some(count) = cpus {
        builder = builder.virtual_cpus(count);
    }
    if native_sysents {
        builder = builder.allow_native_emul();
    }
    let embedder = Embedder::default();
    let kernel = builder.host(embedder.clone()).build().unwrap();
    run_in(&kernel, Model::new(settings), ops);
    kernel.flush();
    let stats = kernel.reclaim_stats();
    assert_eq!(stats.retired, stats.freed, "everything retired is freed");
    assert!(kernel.shutdown().is_clean());
    embedder.expect_nothing_left();
}

fn run_in(kernel: &Kernel<Embedder>, model: Model, ops: &[Op]) {
    let mut driver = Driver {
        kernel,
        k: Some(kernel.enter().unwrap()),
        owned: Vec::new(),
        handles: Vec::new(),
        files: Vec::new(),
        emuls: vec![kernel.native_emul()],
        known: Vec::new(),
        keys: data::Keys::new(kernel),
        watchers: Watchers::default(),
        model,
    };
    driver.check();
    driver.watch_step(WatchOp::Establish);
    for op in ops {
        driver.step(*op);
        driver.check();
    }
    let Driver { k, owned, handles, .. } = driver;
    drop((k, owned));
    drop(handles.iter().map(|h| h.claim().unwrap()).collect::<Vec<_>>());
    let mut k = kernel.enter().unwrap();
    drop(k.unbind().unwrap());
    drop(k);
    let counts = kernel.counts();
    // init may be in a group that another process made: it keeps that id.
    let guard = kernel.pin();
    let init = guard.proc(Pid::INIT).unwrap();
    let ids = BTreeSet::from([Some(Pid(0)), Some(Pid(1)), init.pgid(), init.sid()]);
    assert_eq!((counts.procs, counts.lwps, counts.zombies), (2, 2, 0));
    assert_eq!(counts.ids, ids.len());
}
