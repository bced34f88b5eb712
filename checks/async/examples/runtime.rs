//! What the author of a runtime writes: guests are processes, their tasks are LWPs.
//!
//! The runtime spawns each guest on tokio as a process of its own with a user of its
//! own. A guest's system calls find out who is calling; nothing is passed down. A guest
//! can spawn threads, which are further LWPs of its process; it ends when the last of
//! them does, by itself, or because the runtime kills it. A supervisor holds handles,
//! awaits the ends, and reads how each guest has ended.
//!
//! `cargo run -p lwproc-async-tests --example runtime`

use lwproc::{
    CredChange, Entered, ExitStatus, Kernel, Lwp, Pid, ProcHandle, Reaped, Rfork, SigModel, Signo,
    WaitPolicy, current,
};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// The system calls of a guest. No call has a parameter that says who calls.
mod sys {
    use super::*;

    fn context<R>(f: impl FnOnce(&mut Entered<'_>) -> R) -> R {
        current(f).expect("system calls are made by guests")
    }

    pub fn getpid() -> Pid {
        context(|cx| cx.pid())
    }

    pub fn getuid() -> u32 {
        context(|cx| cx.cred().users().real)
    }

    pub fn exit(code: u8) {
        context(|cx| cx.exit(ExitStatus::exited(code))).expect("a guest has an LWP");
    }

    /// Sleeps, unless a signal comes first.
    pub async fn sleep(time: Duration) -> Result<(), Signo> {
        let deadline = tokio::time::Instant::now() + time;
        while tokio::time::Instant::now() < deadline {
            if let Some(signo) = context(|cx| cx.signals().take()) {
                return Err(signo);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }
}

/// The runtime: a kernel, and the process that its guests are children of.
struct Runtime {
    kernel: Arc<Kernel>,
    supervisor: ProcHandle,
}

impl Runtime {
    fn new() -> Result<(Self, Lwp), Box<dyn Error>> {
        let kernel = Kernel::builder()
            .wait_policy(WaitPolicy::Wait)
            .signal_model(SigModel::Record)
            .build()?;
        let lwp = kernel.spawn().start()?;
        let supervisor = handle_of(&kernel, lwp.pid());
        Ok((Self { kernel: Arc::new(kernel), supervisor }, lwp))
    }

    /// A guest: a child of the supervisor, which is who calls this.
    fn spawn<F>(&self, uid: u32, main: F) -> Result<ProcHandle, Box<dyn Error>>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let lwp = current(|cx| -> Result<Lwp, Box<dyn Error>> {
            let supervisor = cx.rfork(Rfork::Fresh)?.expect("the supervisor's LWP");
            cx.creds().set(&CredChange::SetUid(uid))?;
            Ok(cx.switch(supervisor)?.expect("the guest's LWP"))
        })??;
        let guest = handle_of(&self.kernel, lwp.pid());
        tokio::spawn(lwp.scope(main));
        Ok(guest)
    }

    /// A further thread of a guest.
    fn spawn_thread<F>(&self, guest: &ProcHandle, thread: F) -> Result<(), Box<dyn Error>>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        tokio::spawn(guest.new_lwp()?.scope(thread));
        Ok(())
    }
}

fn handle_of(kernel: &Kernel, pid: Pid) -> ProcHandle {
    let guard = kernel.pin();
    guard.proc(pid).and_then(|proc| proc.handle()).expect("its LWP is ours")
}

/// A guest that counts, and exits with what it counted.
async fn counter(to: u8) {
    for _ in 0..to {
        if sys::sleep(Duration::from_millis(2)).await.is_err() {
            return sys::exit(255);
        }
    }
    println!("guest {}: counted to {to}, as user {}", sys::getpid(), sys::getuid());
    sys::exit(to);
}

/// A guest that goes on until somebody ends it.
async fn daemon() {
    while sys::sleep(Duration::from_secs(1)).await.is_ok() {}
    println!("guest {}: told to end", sys::getpid());
    sys::exit(0);
}

/// Starts guests, ends one of them, and reaps all.
async fn supervise(runtime: &Runtime) -> Result<Vec<Reaped>, Box<dyn Error>> {
    assert_eq!(sys::getpid(), runtime.supervisor.pid());
    let counters = [3, 5, 8].map(|to| runtime.spawn(1000 + u32::from(to), counter(to)));
    let service = runtime.spawn(2000, daemon())?;
    runtime.spawn_thread(&service, daemon())?;

    let mut ends = Vec::new();
    for guest in counters {
        ends.push(guest?.wait().await?);
    }
    // One signal for each thread: whoever takes it ends.
    while service.is_alive() {
        current(|cx| service.signal(cx, Signo::TERM.number().into()))??;
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    ends.push(service.wait().await?);
    Ok(ends)
}

fn main() -> Result<(), Box<dyn Error>> {
    let tokio = tokio::runtime::Runtime::new()?;
    let (runtime, lwp) = Runtime::new()?;
    let ends = tokio.block_on(lwp.scope(supervise(&runtime)))?;
    for end in &ends {
        println!("guest {}: {}", end.pid, end.status);
    }
    let codes: Vec<_> = ends.iter().map(|end| end.status.exit_code()).collect();
    assert_eq!(codes, [Some(3), Some(5), Some(8), Some(0)]);

    drop(tokio);
    let Runtime { kernel, supervisor } = runtime;
    assert_eq!(supervisor.exited().block(), ExitStatus::exited(0));
    let left = Arc::into_inner(kernel).expect("no task is left").shutdown();
    println!("the kernel: {left}");
    assert!(left.is_clean());
    Ok(())
}
