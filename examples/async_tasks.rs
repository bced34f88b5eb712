//! Tasks as processes, under tokio: each guest is a future that runs as an LWP, on whatever
//! thread polls it.
//!
//! cargo run -p lwproc-examples --example async_tasks

use lwproc::{ExitStatus, Kernel, Lwp, SpawnError, WaitPolicy, current};
use std::error::Error;
use tokio::task::{JoinHandle, yield_now};

/// A guest that finds out who it is wherever it stands.
async fn guest(code: u8) {
    let pid = current(|k| k.pid()).expect("in a scope");
    yield_now().await;
    assert_eq!(current(|k| k.pid()), Ok(pid));
    let ended = current(|k| k.exit(ExitStatus::exited(code))).expect("in a scope");
    ended.expect("it has an LWP");
}

/// A child of the current process, as a task of its own.
fn spawn(code: u8) -> Result<(Lwp, u8), SpawnError> {
    current(|k| k.spawn().start()).expect("in a scope").map(|lwp| (lwp, code))
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let kernel = Kernel::builder().wait_policy(WaitPolicy::Wait).build()?;
    let parent = kernel.spawn().name("parent").start()?;
    let statuses = parent.scope(async {
        let mut tasks: Vec<(_, JoinHandle<()>)> = Vec::new();
        for code in 1..=3 {
            let (lwp, code) = spawn(code)?;
            tasks.push((lwp.proc_handle(), tokio::spawn(lwp.scope(guest(code)))));
        }
        let mut statuses = Vec::new();
        for (child, task) in tasks {
            let reaped = child.wait().await?; // as its parent: this scope
            task.await?;
            statuses.push(reaped.status.exit_code());
        }
        Ok::<_, Box<dyn Error>>(statuses)
    });
    let statuses = statuses.await?;
    println!("{statuses:?}");
    assert_eq!(statuses, [Some(1), Some(2), Some(3)]);
    assert_eq!(kernel.counts().procs, 2); // proc0 and init
    Ok(())
}
