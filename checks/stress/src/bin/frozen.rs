//! Frozen threads: each freeze stops some threads at whatever instruction they are,
//! and lets them go on only when every other thread has done every lock-free operation
//! at least once. In between everything must add up.
//!
//! `frozen [FREEZES] [SEED] [with-a-lock]`. The last adds an operation that takes a lock,
//! and the run must then fail: the harness's own test.
//!
//! **Actors** do the operations that are documented as lock-free or better. **Sleepers**
//! do what is documented as blocking (`wait`, `wait_alone`, `sleep_on`), so that actors
//! wake threads that are frozen anywhere on the way to sleep and back; they may be
//! frozen, and need not get on. Exempt beside these: `enter` with virtual CPUs, the big
//! lock, building and ending a kernel. Host calls and drops of files do not block here.
//!
//! The allocator is `OwnArenas`: with one that locks, a thread frozen inside it would
//! stop the others, as the documentation says ("but for the allocator").

#[cfg(any(not(target_os = "linux"), lwproc_loom))]
fn main() {}

#[cfg(all(target_os = "linux", not(lwproc_loom)))]
fn main() -> std::process::ExitCode {
    run::main()
}

#[cfg(all(target_os = "linux", not(lwproc_loom)))]
#[global_allocator]
static ALLOCATOR: lwproc_stress::alloc::OwnArenas = lwproc_stress::alloc::OwnArenas;

#[cfg(all(target_os = "linux", not(lwproc_loom)))]
mod run {
    use lwproc::*;
    use lwproc_stress::common::becoming::Become;
    use lwproc_stress::common::invariants::{check, check_host};
    use lwproc_stress::common::worker::{Board, Counting, Gear, KINDS, Random, Worker};
    use lwproc_stress::freeze::{self, Freezable};
    use std::collections::HashSet;
    use std::process::ExitCode;
    use std::ptr::null_mut;
    use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, AtomicUsize, Ordering::SeqCst};
    use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
    use std::time::{Duration, Instant};

    type Lwp = lwproc::Lwp<Counting>;
    type Kernel = lwproc::Kernel<Counting>;
    type Entered<'k> = lwproc::Entered<'k, Counting>;

    const ACTORS: usize = 3;
    const SLEEPERS: usize = 2;
    const THREADS: usize = ACTORS + SLEEPERS;
    /// Operations beside those of [`Worker`].
    const EXTRAS: usize = 14;
    /// How long a pass may take before it counts as blocked.
    const PATIENCE: Duration = Duration::from_secs(20);
    /// After how long a thread that was to stop is taken to sleep.
    const AWAKE: Duration = Duration::from_millis(200);
    /// How many instructions a thread goes on, at most, from where a signal meets it.
    const MOST_STEPS: usize = 800;
    /// How long the one who waits for others leaves the processor to them.
    const MOMENT: Duration = Duration::from_micros(20);
    /// Freezes between two looks at whether everything adds up.
    const BETWEEN_CHECKS: usize = 100;

    /// What the threads are to do.
    const RUN: usize = 0;
    const SLEEPERS_REST: usize = 1;
    const ALL_REST: usize = 2;
    const END: usize = 3;

    struct Shared {
        kernel: Kernel,
        host: Counting,
        gear: Gear,
        board: Board,
        channel: WaitChannel,
        events: AtomicU64,
        /// LWPs that sleepers wait to see gone.
        mail: [AtomicPtr<Lwp>; 2],
        /// The LWP that sleeps on the channel, and its process.
        asleep: [AtomicI32; 2],
        phase: AtomicUsize,
        resting: AtomicUsize,
        /// Of each actor: passes through all operations, and which it is in.
        passes: [AtomicUsize; ACTORS],
        at: [AtomicUsize; ACTORS],
        lock: Option<Mutex<u64>>,
        threads: [OnceLock<Freezable>; THREADS],
    }

    struct Silent;

    impl TraceSink for Silent {
        fn event(&self, _: &TraceEvent) {}
    }

    impl Shared {
        fn put(&self, at: usize, lwp: Option<Lwp>) {
            let new = lwp.map_or(null_mut(), |lwp| Box::into_raw(Box::new(lwp)));
            let old = self.mail[at].swap(new, SeqCst);
            if !old.is_null() {
                #[allow(unsafe_code)]
                // SAFETY: from `Box::into_raw` above, taken out once.
                drop(unsafe { Box::from_raw(old) });
            }
        }

        /// Rests while the phase is at least `phase`; whether to go on afterwards.
        fn rest(&self, phase: usize) -> bool {
            if self.phase.load(SeqCst) >= phase {
                self.resting.fetch_add(1, SeqCst);
                loop {
                    match self.phase.load(SeqCst) {
                        RUN => break,
                        END => return false,
                        _ => std::thread::sleep(MOMENT),
                    }
                }
                self.resting.fetch_sub(1, SeqCst);
            }
            true
        }

        fn actor(&self, me: usize, seed: u64) {
            let (kernel, board) = (&self.kernel, &self.board);
            let mut w = Worker::new(kernel, board, Random(seed), self.gear);
            while self.rest(ALL_REST) {
                for kind in 0..KINDS + EXTRAS {
                    self.at[me].store(kind, SeqCst);
                    let mut k = kernel.enter().expect("not entered");
                    match kind.checked_sub(KINDS) {
                        None => w.perform(&mut k, kind),
                        Some(extra) => self.extra(&mut k, extra),
                    }
                }
                self.passes[me].fetch_add(1, SeqCst);
            }
        }

        /// One of the operations that [`Worker`] does not do.
        fn extra(&self, k: &mut Entered<'_>, which: usize) {
            let kernel = &self.kernel;
            match which {
                0 | 1 => self.put(which, None),
                2 => {
                    self.events.fetch_add(1, SeqCst);
                    self.channel.wake_one();
                }
                3 => {
                    self.events.fetch_add(1, SeqCst);
                    self.channel.wake_all();
                }
                4 => {
                    let guard = kernel.pin();
                    let lid = Lid(self.asleep[1].load(SeqCst));
                    let _ = guard.lwp(lid).map(|lwp| lwp.unsleep());
                }
                5 => drop(k.signals().kill(KillTarget::Proc(Pid(self.asleep[0].load(SeqCst))), 1)),
                6 => {
                    let hook = kernel.add_exit_hook(|_| ());
                    kernel.remove_exit_hook(hook).expect("just established");
                }
                7 => {
                    let _ = (kernel.counts(), kernel.reclaim_stats());
                    kernel.flush();
                }
                8 => {
                    let init = kernel.pin().proc(Pid::INIT).expect("init").handle();
                    let handle = init.expect("init never dies");
                    drop(handle.clone());
                    drop(handle.new_lwp());
                }
                9 => {
                    let fd =
                        k.files().open(self.host.new_one(), OnExec::Close).map_err(FdError::from);
                    let _ = fd.and_then(|fd| k.files().dup(fd));
                    let _ = fd.and_then(|fd| k.files().dup_from(fd, Fd(8), OnExec::Keep));
                    let _ = fd.and_then(|fd| k.files().on_exec(fd));
                    let file = fd.and_then(|fd| Ok(k.files().get(fd)?.handle()));
                    let _ = file.and_then(|file| k.files().install(&file, OnExec::Keep));
                    let _ = k.files().reserve(OnExec::Keep).map(|fd| fd.fill(self.host.new_one()));
                    drop(k.files().reserve(OnExec::Keep));
                    drop((k.files().list(), k.files().table_users()));
                }
                10 => k.files_mut().close_on_exec(),
                11 => drop(k.files().close_range(Fd(4), Fd(12), CloseRange::Close)),
                12 => {
                    kernel.set_trace(Some(Arc::new(Silent)));
                    k.process().set_trace(Some(Arc::new(Silent)));
                    kernel.set_trace(None);
                    k.process().set_trace(None);
                }
                _ => {
                    drop(k.claim_zombie(WaitTarget::Any));
                    let _ = k.try_wait(WaitTarget::Any.peek());
                    drop(k.data().proc(self.gear.proc));
                    let _ = k.data().lwp(self.gear.lwp).is_some();
                    let _ = (
                        k.must_exit(),
                        k.signals().pending(),
                        k.ppid(),
                        k.process().comm(),
                        k.groups().sid(),
                    );
                    drop(self.locked());
                }
            }
        }

        /// For the test of the harness itself.
        fn locked(&self) -> Option<MutexGuard<'_, u64>> {
            let mut lock = self.lock.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
            for i in 0..20_000 {
                *lock = std::hint::black_box(*lock ^ i);
            }
            Some(lock)
        }

        /// Waits for children, and to be the only LWP, over and over.
        fn waiter(&self) {
            let kernel = &self.kernel;
            let mut k = kernel.enter().expect("not entered");
            while k.rfork(Rfork::Fresh).is_err() {}
            while self.rest(SLEEPERS_REST) {
                if let Ok(own) = k.rfork(Rfork::Share) {
                    let pid = k.pid();
                    let child = k.switch(own.expect("was bound")).expect("this kernel's");
                    self.put(0, child);
                    while let Err(WaitError::Interrupted) = k.wait(WaitTarget::Pid(pid)) {
                        while k.signals().take().is_some() {}
                    }
                }
                if let Ok(own) = k.become_new_lwp(k.pid()) {
                    let other = k.switch(own.expect("was bound")).expect("this kernel's");
                    self.put(1, other);
                    k.drain();
                    while k.wait_alone().is_err() {
                        while k.signals().take().is_some() {}
                    }
                    k.reopen();
                }
            }
        }

        /// Sleeps on the channel, over and over.
        fn sleeper(&self) {
            let mut k = self.kernel.enter().expect("not entered");
            while k.rfork(Rfork::Fresh).is_err() {}
            self.asleep[0].store(k.pid().0, SeqCst);
            self.asleep[1].store(k.lid().expect("bound").0, SeqCst);
            while self.rest(SLEEPERS_REST) {
                let seen = self.events.load(SeqCst);
                let changed = || (self.events.load(SeqCst) != seen).then_some(());
                if k.sleep_on(&self.channel, changed).is_err() {
                    while k.signals().take().is_some() {}
                }
            }
        }

        fn await_resting(&self, phase: usize, count: usize) {
            self.phase.store(phase, SeqCst);
            let start = Instant::now();
            while self.resting.load(SeqCst) != count {
                let resting = self.resting.load(SeqCst);
                assert!(
                    start.elapsed() < PATIENCE,
                    "{resting} rest instead of {count}; the actors are in {:?}",
                    self.at
                );
                if phase == SLEEPERS_REST {
                    // One of them may be what a sleeper waits to see gone.
                    self.end_ownerless();
                }
                std::thread::sleep(MOMENT);
            }
        }

        /// Ends the LWPs that nobody owns.
        fn end_ownerless(&self) {
            let guard = self.kernel.pin();
            guard.lwps().for_each(|lwp| drop(lwp.claim()));
        }

        /// Everybody rests, and everything adds up. Then ownerless LWPs go, so that ids
        /// are left for the next round.
        fn check(&self) {
            self.await_resting(SLEEPERS_REST, SLEEPERS);
            self.await_resting(ALL_REST, THREADS);
            check(&self.kernel);
            check_host(&self.kernel, &self.gear);
            self.end_ownerless();
        }

        fn thread(&self, i: usize) -> Freezable {
            *self.threads[i].get().expect("has started")
        }

        /// Stops `victims`, waits until each of the other actors has done everything,
        /// and lets them go on.
        fn freeze(
            &self,
            victims: &[(usize, u32)],
            stopped_at: &mut HashSet<usize>,
        ) -> Result<(), String> {
            victims.iter().for_each(|(v, steps)| self.thread(*v).ask(*steps));
            let victims: Vec<usize> = victims.iter().map(|(v, _)| *v).collect();
            for &v in &victims {
                let (start, mut asked) = (Instant::now(), Instant::now());
                stopped_at.insert(loop {
                    if let Some(instruction) = self.thread(v).stands_at() {
                        break instruction;
                    }
                    if start.elapsed() > PATIENCE {
                        return Err(format!("{v} of {victims:?} was to stop, and does not"));
                    }
                    if asked.elapsed() > AWAKE {
                        // A sleeper may wait for what another victim is to do.
                        self.thread(v).ask(0);
                        asked = Instant::now();
                    }
                    std::thread::sleep(MOMENT);
                });
            }
            let start = Instant::now();
            for a in (0..ACTORS).filter(|a| !victims.contains(a)) {
                // The pass that is under way, and a whole one.
                let goal = self.passes[a].load(SeqCst) + 2;
                while self.passes[a].load(SeqCst) < goal {
                    if start.elapsed() > PATIENCE {
                        let at = self.at[a].load(SeqCst);
                        let stand: Vec<_> = victims.iter().map(|v| self.thread(*v)).collect();
                        let stand: Vec<_> = stand.iter().map(|v| v.stands_at()).collect();
                        let in_them: Vec<_> = victims
                            .iter()
                            .map(|v| self.at.get(*v).map(|at| at.load(SeqCst)))
                            .collect();
                        return Err(format!(
                            "actor {a} is stuck in operation {at}; frozen are {victims:?} \
                             in operations {in_them:?} at {stand:x?}"
                        ));
                    }
                    std::thread::sleep(MOMENT);
                }
            }
            victims.iter().for_each(|v| self.thread(*v).thaw());
            Ok(())
        }
    }

    pub(crate) fn main() -> ExitCode {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let number = |i: usize| args.get(i).and_then(|arg| arg.parse::<usize>().ok());
        let (freezes, seed) = (number(0).unwrap_or(10_000), number(1).unwrap_or(1));
        let lock = args.iter().any(|arg| arg == "with-a-lock").then(|| Mutex::new(0));
        freeze::install();
        let host = Counting::default();
        let builder = lwproc::Kernel::builder().wait_policy(WaitPolicy::Wait).id_capacity(400);
        let builder = builder.signal_model(SigModel::Record).host(host.clone());
        let kernel = builder.build().expect("valid");
        let shared = Shared {
            gear: Gear::new(&kernel),
            kernel,
            host,
            board: Board(std::array::from_fn(|_| AtomicI32::new(1))),
            channel: WaitChannel::new(),
            events: AtomicU64::new(0),
            mail: [const { AtomicPtr::new(null_mut()) }; 2],
            asleep: [const { AtomicI32::new(0) }; 2],
            phase: AtomicUsize::new(RUN),
            resting: AtomicUsize::new(0),
            passes: [const { AtomicUsize::new(0) }; ACTORS],
            at: [const { AtomicUsize::new(0) }; ACTORS],
            lock,
            threads: [const { OnceLock::new() }; THREADS],
        };
        run(&shared, freezes, seed as u64)
    }

    fn run(shared: &Shared, freezes: usize, seed: u64) -> ExitCode {
        let start = Instant::now();
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut stopped_at = HashSet::new();
        let mut most_garbage = 0;
        let mut stops = 0;
        std::thread::scope(|s| {
            for i in 0..THREADS {
                s.spawn(move || {
                    let _abort = AbortOnPanic;
                    let _ = shared.threads[i].set(Freezable::me(i));
                    match i {
                        ..ACTORS => shared.actor(i, seed * 31 + i as u64 + 1),
                        ACTORS => shared.waiter(),
                        _ => shared.sleeper(),
                    }
                });
            }
            let _abort = AbortOnPanic;
            while shared.threads.iter().any(|t| t.get().is_none()) {
                std::thread::yield_now();
            }
            while stops < freezes {
                for _ in 0..random.below(20_000) {
                    std::hint::spin_loop();
                }
                // One thread mostly; sometimes all but one actor.
                let mut all: Vec<usize> = (0..THREADS).collect();
                all.swap_remove(random.below(ACTORS));
                let count = if random.below(4) == 0 { 1 + random.below(all.len()) } else { 1 };
                while all.len() > count {
                    all.swap_remove(random.below(all.len()));
                }
                let mut steps =
                    |_: usize| random.below(4).min(1) as u32 * random.below(MOST_STEPS) as u32;
                let all: Vec<(usize, u32)> = all.into_iter().map(|v| (v, steps(v))).collect();
                if let Err(why) = shared.freeze(&all, &mut stopped_at) {
                    eprintln!("blocked after {stops} freezes: {why}");
                    std::process::exit(1);
                }
                stops += all.len();
                let stats = shared.kernel.reclaim_stats();
                most_garbage = most_garbage.max(stats.retired - stats.freed);
                if stops % BETWEEN_CHECKS < all.len() {
                    shared.check();
                    shared.await_resting(RUN, 0);
                }
            }
            shared.check();
            shared.phase.store(END, SeqCst);
        });
        (0..2).for_each(|at| shared.put(at, None));
        let passes: usize = shared.passes.iter().map(|p| p.load(SeqCst)).sum();
        println!(
            "freezes {stops} at {} instructions, passes {passes} of {} operations, \
             garbage at most {most_garbage} objects, secs {:.1}: ok",
            stopped_at.len(),
            KINDS + EXTRAS,
            start.elapsed().as_secs_f64(),
        );
        ExitCode::SUCCESS
    }

    /// A thread that fails must not leave the others waiting for it.
    struct AbortOnPanic;

    impl Drop for AbortOnPanic {
        fn drop(&mut self) {
            if std::thread::panicking() {
                std::process::abort();
            }
        }
    }
}
