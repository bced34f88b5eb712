//! A spawn that comes to nothing leaves nothing.

use crate::bench::{Bench, Counted, Counting};
use lwproc::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

/// What an attempt to spawn comes to.
type Started = Result<Lwp<Counting>, SpawnError>;

/// A spawn with all that it can have, which takes a group, files, data.
fn full<'a>(
    spawn: Spawn<'a, Counting>,
    bench: &Bench,
    key: ProcKey<Counted>,
) -> Spawn<'a, Counting> {
    spawn
        .files(Rfork::Copy)
        .fd(Fd(0), Fd(3))
        .change_cred(&CredChange::SetUid(8))
        .group(SpawnGroup::New)
        .name("child")
        .blocked(SigSet::ALL)
        .vmspace(bench.host.value())
        .data(key, bench.host.value())
}

#[test]
fn each_error_leaves_what_was() {
    let host = Counting::default();
    let kernel = Kernel::builder().host(host.clone()).id_capacity(6).max_procs(6);
    let bench = Bench { kernel: kernel.build().unwrap(), host };
    let key = bench.kernel.proc_key();
    let foreign = Bench::new().kernel.proc_key::<Counted>();
    let mut k = bench.kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.files().open(bench.host.value(), OnExec::Keep).unwrap();
    bench.kernel.set_limits_policy(LimitsPolicy::default().with_nproc(Enforcement::Enforced));
    let refuse =
        |k: &Entered<'_, Counting>, expected, what: &dyn Fn(Spawn<'_, Counting>) -> Started| {
            for _ in 0..3 {
                let before = bench.seen();
                assert_eq!(what(full(k.spawn(), &bench, key)).unwrap_err(), expected);
                assert_eq!(bench.seen(), before, "{expected}");
            }
        };
    refuse(&k, SpawnError::WrongKernel, &|spawn| spawn.data(foreign, bench.host.value()).start());
    let again = CredChange::SetUid(0);
    refuse(&k, SpawnError::Cred(CredError::NotPermitted), &|spawn| {
        spawn.change_cred(&again).start()
    });
    let nobody = CredChange::SetUid(u32::MAX);
    refuse(&k, SpawnError::Cred(CredError::InvalidId), &|spawn| spawn.change_cred(&nobody).start());
    refuse(&k, SpawnError::Files(FdError::BadFd), &|spawn| spawn.fd(Fd(9), Fd(1)).start());
    let group = SpawnGroup::Join(Pid(77));
    refuse(&k, SpawnError::Group(GroupError::NoSuchGroup), &|spawn| spawn.group(group).start());

    // Four ids are left, and three places.
    let taken: Vec<_> = (0..4).map(|_| k.new_lwp(k.pid()).unwrap()).collect();
    refuse(&k, SpawnError::IdsExhausted, &|spawn| spawn.start());
    drop(taken);
    let taken: Vec<_> = (0..3).map(|_| k.spawn().start().unwrap()).collect();
    refuse(&k, SpawnError::KernelFull, &|spawn| spawn.start());
    drop(taken);
    k.resources().set_limit(Resource::Nproc, Limit::both(0)).unwrap();
    k.creds().set(&CredChange::SetResuid(Some(8), Some(8), None)).unwrap();
    refuse(&k, SpawnError::Limit, &|spawn| spawn.start());
    k.files().close(Fd(0)).unwrap();
    assert_eq!(bench.host.alive(), 0, "no copy that was given up has it");
}

#[test]
fn a_panic_of_the_host_leaves_what_was() {
    let bench = Bench::new();
    let key = bench.kernel.proc_key();
    let mut k = bench.kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.files().open(bench.host.value(), OnExec::Keep).unwrap();
    let handle = k.pin().proc(k.pid()).unwrap().handle().unwrap();
    let before = bench.seen();
    for panic in [Counting::panic_at_the_next_place, Counting::panic_at_the_next_intern] {
        let spawns = [
            full(k.spawn(), &bench, key),
            full(k.spawn(), &bench, key).session(),
            full(bench.kernel.spawn(), &bench, key).close(Fd(0)),
            full(handle.spawn(), &bench, key),
        ];
        for (at, spawn) in spawns.into_iter().enumerate() {
            // proc0 has nothing open.
            let spawn = if at == 2 { bench.kernel.spawn().session() } else { spawn };
            panic(&bench.host);
            let caught = catch_unwind(AssertUnwindSafe(|| spawn.start()));
            assert!(caught.is_err());
        }
        assert_eq!(bench.seen(), before);
    }
    drop(full(k.spawn(), &bench, key).start().unwrap());
    assert_eq!(bench.seen(), before);
    k.files().close(Fd(0)).unwrap();
    assert_eq!(bench.host.alive(), 0, "no copy that was given up has it");
}

/// A file whose closing panics.
#[derive(Debug)]
struct Bad;

impl Drop for Bad {
    fn drop(&mut self) {
        panic!("closed");
    }
}

/// A host that has the parent close its descriptor while the child has a copy, and panics.
struct Closes {
    ask: Mutex<Sender<()>>,
    done: Mutex<Receiver<()>>,
}

impl Host for Closes {
    type VmSpace = ();
    type File = Bad;
    type Emul = ();
    type Vfs = ();
    type SigValue = ();

    fn vfs_init(&self, (): &()) {
        self.ask.lock().unwrap().send(()).unwrap();
        self.done.lock().unwrap().recv().unwrap();
        panic!("no place");
    }
}

#[test]
fn a_file_that_panics_as_the_child_comes_to_nothing_does_not_hide_why() {
    let (ask, asked) = channel();
    let (did, done) = channel();
    let host = Closes { ask: Mutex::new(ask), done: Mutex::new(done) };
    let kernel = Kernel::builder().host(host).build().unwrap();
    let before = kernel.counts();
    std::thread::scope(|s| {
        let (kernel, (opened, open)) = (&kernel, channel());
        s.spawn(move || {
            let k = kernel.enter().unwrap(); // init
            k.files().open(Bad, OnExec::Keep).unwrap();
            opened.send(()).unwrap();
            asked.recv().unwrap();
            k.files().close(Fd(0)).unwrap();
            did.send(()).unwrap();
        });
        open.recv().unwrap();
        let k = kernel.enter().unwrap();
        let spawn = k.spawn().files(Rfork::Copy).group(SpawnGroup::New);
        let panic = catch_unwind(AssertUnwindSafe(|| spawn.start())).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"no place"));
        assert!(k.files().list().is_empty());
    });
    assert_eq!(kernel.counts(), before);
}

#[test]
fn one_who_joins_a_group_that_comes_to_nothing_keeps_its_number() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI32, Ordering::SeqCst};

    /// Lets a member of the parent's session join the child's group, and panics.
    #[derive(Default)]
    struct Joins {
        joiner: AtomicI32,
        pgid: AtomicI32,
        kernel: std::sync::OnceLock<std::sync::Weak<Kernel<Joining>>>,
    }
    #[derive(Clone, Default)]
    struct Joining(Arc<Joins>);
    impl Host for Joining {
        type VmSpace = ();
        type File = ();
        type Emul = ();
        type Vfs = ();
        type SigValue = ();

        fn syscall_intern(&self, (): &(), pid: Pid) {
            let joiner = self.0.joiner.load(SeqCst);
            if joiner != 0 {
                let kernel = self.0.kernel.get().unwrap().upgrade().unwrap();
                let handle = kernel.pin().proc(Pid(joiner)).unwrap().handle().unwrap();
                handle.setpgid(pid).unwrap();
                self.0.pgid.store(pid.0, SeqCst);
                panic!("told to panic");
            }
        }
    }

    let host = Joining::default();
    let kernel = Kernel::builder().host(host.clone()).id_capacity(5).build().unwrap();
    let kernel = Arc::new(kernel);
    host.0.kernel.set(Arc::downgrade(&kernel)).unwrap();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let joiner = k.spawn().start().unwrap();
    host.0.joiner.store(joiner.pid().0, SeqCst);
    let spawn = k.spawn().group(SpawnGroup::New);
    assert!(catch_unwind(AssertUnwindSafe(|| spawn.start())).is_err());
    host.0.joiner.store(0, SeqCst);

    let number = Pid(host.0.pgid.load(SeqCst));
    assert_eq!(k.groups().pgid_of(joiner.pid()), Ok(number));
    assert!(k.pin().proc(number).is_none(), "nobody leads it");
    assert_eq!(kernel.counts().ids, 5, "the number is the group's");
    let last = k.spawn().start().unwrap();
    assert_ne!(last.pid(), number);
    assert_eq!(k.spawn().start().unwrap_err(), SpawnError::IdsExhausted);
    drop(joiner);
    assert_eq!(kernel.counts().ids, 4);
    drop(last);
}
