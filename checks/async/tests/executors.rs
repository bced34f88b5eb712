//! Many tasks as LWPs of many processes, under executors that move them between
//! threads, and cancelled at random: each sees itself at every poll, and nothing is left.
#![allow(missing_docs)]

use lwproc::*;
use lwproc_async_tests::{assert_empty, yield_now};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const PROCS: u32 = 100;
const TASKS: u32 = 10_000;

/// A sequence of numbers that do not look like one.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// What came of it.
#[derive(Default)]
struct Tally {
    polls: AtomicUsize,
    done: AtomicUsize,
    dropped: AtomicUsize,
    moved: AtomicUsize,
}

/// Says when a task goes, and that it goes as itself.
struct Task {
    tally: Arc<Tally>,
    pid: Pid,
}

impl Drop for Task {
    fn drop(&mut self) {
        assert_eq!(current(|cx| cx.pid()), Ok(self.pid));
        self.tally.dropped.fetch_add(1, Relaxed);
    }
}

/// One task: at each poll it is who it was made to be.
async fn task(task: Task, lid: Lid, uid: u32, seed: u64) {
    let mut random = Random(seed | 1);
    let mut thread = std::thread::current().id();
    for _ in 0..1 + random.below(20) {
        let seen = current(|cx| (cx.pid(), cx.lid(), cx.cred().users().real));
        assert_eq!(seen, Ok((task.pid, Some(lid), uid)));
        task.tally.polls.fetch_add(1, Relaxed);
        if std::thread::current().id() != thread {
            task.tally.moved.fetch_add(1, Relaxed);
            thread = std::thread::current().id();
        }
        match random.below(8) {
            // A child, which goes at once.
            0 => current(|cx| {
                let own = cx.rfork(Rfork::Copy).unwrap().unwrap();
                assert_eq!(cx.ppid(), task.pid);
                cx.exit(ExitStatus::exited(1)).unwrap();
                assert!(cx.switch(own).unwrap().is_none());
            })
            .unwrap(),
            // A scope in the scope, in a process of its own, over an await.
            1 => {
                let inner = current(|cx| {
                    let own = cx.rfork(Rfork::Fresh).unwrap().unwrap();
                    cx.switch(own).unwrap().unwrap()
                })
                .unwrap();
                let pid = inner.pid();
                let seen = inner
                    .scope(async {
                        yield_now().await;
                        current(|cx| (cx.pid(), cx.cred().users().real)).unwrap()
                    })
                    .await;
                assert_eq!(seen, (pid, uid));
            }
            _ => {}
        }
        yield_now().await;
    }
    task.tally.done.fetch_add(1, Relaxed);
}

/// A kernel with its processes, each with a uid of its own: their handles and uids.
fn world() -> (Arc<Kernel>, Vec<(ProcHandle, u32, Lwp)>) {
    let kernel = Arc::new(Kernel::new());
    let procs = (0..PROCS).map(|i| {
        let mut k = kernel.enter().unwrap();
        k.switch(kernel.spawn().start().unwrap()).unwrap();
        k.creds().set(&CredChange::SetUid(1000 + i)).unwrap();
        let guard = kernel.pin();
        let handle = guard.proc(k.pid()).unwrap().handle().unwrap();
        drop(guard);
        (handle, 1000 + i, k.unbind().unwrap().unwrap())
    });
    let procs = procs.collect();
    (kernel, procs)
}

/// Each task's future, as the LWP that it runs as.
fn tasks<'a>(
    procs: &'a [(ProcHandle, u32, Lwp)],
    tally: &'a Arc<Tally>,
) -> impl Iterator<Item = Scope<impl Future<Output = ()> + use<>>> + 'a {
    (0..TASKS).map(move |i| {
        let (proc, uid, _) = &procs[(i % PROCS) as usize];
        let lwp = proc.new_lwp().unwrap();
        let (pid, lid, uid) = (lwp.pid(), lwp.lid(), *uid);
        let guarded = Task { tally: tally.clone(), pid };
        lwp.scope(task(guarded, lid, uid, u64::from(i) * 0x9e37_79b9))
    })
}

fn report(name: &str, tally: &Tally) {
    let [polls, done, dropped, moved] =
        [&tally.polls, &tally.done, &tally.dropped, &tally.moved].map(|n| n.load(Relaxed));
    println!("{name}: {polls} polls, {moved} of them on another thread, {done} tasks to the end");
    assert_eq!(dropped, TASKS as usize);
    assert!(done > 0 && done < dropped, "{done} of {dropped}: some are cancelled");
}

/// The first LWP of each process goes last: how it ends is seen by an awaited handle.
async fn end(procs: Vec<(ProcHandle, u32, Lwp)>) {
    for (handle, _, lwp) in procs {
        let exited = handle.exited();
        lwp.scope(async { current(|cx| cx.exit(ExitStatus::exited(7))).unwrap().unwrap() }).await;
        assert_eq!(exited.await, ExitStatus::exited(7));
    }
}

#[test]
fn tokio_moves_them_between_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .unwrap();
    let (kernel, procs) = world();
    let tally = Arc::new(Tally::default());
    runtime.block_on(async {
        let mut random = Random(42);
        let mut handles: Vec<_> = tasks(&procs, &tally).map(tokio::spawn).collect();
        while handles.len() > TASKS as usize / 2 {
            let at = random.below(handles.len() as u64) as usize;
            handles.swap_remove(at).abort();
            if handles.len().is_multiple_of(64) {
                tokio::task::yield_now().await;
            }
        }
        for handle in handles {
            handle.await.expect("a task that was not cancelled");
        }
        // Those that were aborted go in their own time, while their process lives.
        while tally.dropped.load(Relaxed) < TASKS as usize {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        end(procs).await;
    });
    drop(runtime);
    report("tokio", &tally);
    assert_empty(&kernel);
    assert!(Arc::into_inner(kernel).unwrap().shutdown().is_clean());
}

#[test]
fn async_executor_moves_them_between_threads() {
    let executor = async_executor::Executor::new();
    let (kernel, procs) = world();
    let tally = Arc::new(Tally::default());
    let over = tokio::sync::Notify::new();
    std::thread::scope(|s| {
        let on_a_thread = || {
            let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
            rt.block_on(executor.run(over.notified()));
        };
        for _ in 0..4 {
            s.spawn(on_a_thread);
        }
        let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
        rt.block_on(async {
            let mut random = Random(43);
            let mut handles: Vec<_> =
                tasks(&procs, &tally).map(|task| executor.spawn(task)).collect();
            while handles.len() > TASKS as usize / 2 {
                let at = random.below(handles.len() as u64) as usize;
                // Dropping a task cancels it.
                drop(handles.swap_remove(at));
            }
            for handle in handles {
                handle.await;
            }
            while tally.dropped.load(Relaxed) < TASKS as usize {
                yield_now().await;
            }
            end(procs).await;
        });
        over.notify_waiters();
    });
    drop(executor);
    report("async-executor", &tally);
    assert_empty(&kernel);
    assert!(Arc::into_inner(kernel).unwrap().shutdown().is_clean());
}
