//! All that can be left behind, seen before and after an error.

use crate::{heap, source};
use lwproc::*;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering::SeqCst};

/// What the host has out: LWPs that it was told of, and values of each type.
#[derive(Clone, Copy, Debug)]
enum Out {
    Lwps,
    Files,
    VmSpaces,
    Places,
    Others,
}

/// A host that counts what is alive.
#[derive(Clone, Default, Debug)]
pub struct Counting(Arc<[AtomicIsize; 5]>);

/// A value of the embedder's that is counted.
#[derive(Debug)]
pub struct Value(Option<(Counting, Out)>);

impl Counting {
    fn add(&self, out: Out, by: isize) {
        self.0[out as usize].fetch_add(by, SeqCst);
    }
    fn value(&self, out: Out) -> Value {
        self.add(out, 1);
        Value(Some((self.clone(), out)))
    }
    pub fn file(&self) -> Value {
        self.value(Out::Files)
    }
    pub fn vmspace(&self) -> Value {
        self.value(Out::VmSpaces)
    }
    /// Specific data, and what hooks and sleeps capture.
    pub fn other(&self) -> Value {
        self.value(Out::Others)
    }
    pub fn out(&self) -> [isize; 5] {
        std::array::from_fn(|i| self.0[i].load(SeqCst))
    }
    /// Kernels that have it, and values: but for this one, and for a kernel's own.
    pub fn users(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        if let Some((host, out)) = &self.0 {
            host.add(*out, -1);
        }
    }
}

/// A place in the file system, which is to be released: to drop it is not enough.
#[derive(Clone, Default, Debug)]
pub struct Place;

impl Host for Counting {
    type VmSpace = Value;
    type File = Value;
    type Emul = u32;
    type Vfs = Place;
    type SigValue = Value;

    fn create(&self, _: LwpToken) {
        self.add(Out::Lwps, 1);
    }
    fn destroy(&self, _: LwpToken) {
        self.add(Out::Lwps, -1);
    }
    fn vfs_init(&self, parent: &Place) -> Place {
        self.add(Out::Places, 1);
        parent.clone()
    }
    fn vfs_release(&self, Place: Place) {
        self.add(Out::Places, -1);
    }
}

pub type Kernel = lwproc::Kernel<Counting>;
pub type K<'k> = Entered<'k, Counting>;
pub type Lwp = lwproc::Lwp<Counting>;

/// A kernel, with as much configured as the test says.
pub fn kernel(configure: impl FnOnce(Builder<Counting>) -> Builder<Counting>) -> Kernel {
    let builder = lwproc::Kernel::builder().host(Counting::default());
    configure(builder).build().unwrap()
}

/// A kernel in which children are waited for and signals recorded.
pub fn plain() -> Kernel {
    plain_by(Rules::NETBSD)
}

/// The same, by other rules.
pub fn plain_by(rules: Rules) -> Kernel {
    kernel(|builder| {
        let builder = builder.wait_policy(WaitPolicy::Wait).rules(rules);
        builder.signal_model(SigModel::Record)
    })
}

/// Everything that a kernel and a context say about themselves, line by line.
#[derive(PartialEq, Eq, Debug)]
pub struct Snapshot(Vec<String>);

impl Snapshot {
    pub fn of(kernel: &Kernel, k: Option<&K<'_>>) -> Self {
        let mut lines = Vec::new();
        let mut line = |what: &str, value: &dyn Debug| lines.push(format!("{what}: {value:?}"));
        line("counts", &kernel.counts());
        line("the host has out", &kernel.host().out());
        line("the host's users", &kernel.host().users());
        for uid in 0..10 {
            line("charged", &(uid, kernel.user_counts(uid), kernel.user_counts_by_scan(uid)));
        }
        line("limits policy", &kernel.limits_policy());
        line("default emulation", &kernel.default_emul());
        kernel.flush();
        let stats = kernel.reclaim_stats();
        line("not reclaimed", &(stats.retired - stats.freed));
        line("participants", &(stats.participants, stats.vacant));
        let guard = kernel.pin();
        for proc in guard.procs() {
            line("process", &proc);
            line("family", &(proc.ppid(), proc.children().map(|c| c.pid()).collect::<Vec<_>>()));
            line("groups", &(proc.pgid(), proc.sid()));
            line("credentials", &proc.cred());
            line("files", &(proc.fd_count(), proc.fd_table_users()));
            let limits = [Resource::Nofile, Resource::Nproc].map(|which| proc.rlimit(which));
            line("limits", &limits);
            line("pending", &(proc.pending(), proc.usage(), proc.emul()));
            let lwps = proc.lwps().map(|lwp| (lwp.lid(), lwp.name()));
            line("its LWPs", &lwps.collect::<Vec<_>>());
        }
        for lwp in guard.lwps() {
            line("LWP", &(lwp, lwp.token()));
        }
        for group in guard.pgrps() {
            let members = group.members().map(|proc| proc.pid());
            line("group", &(group.id(), group.sid(), members.collect::<Vec<_>>()));
        }
        if let Some(k) = k {
            line("context", &(k, kernel.host_curlwp()));
            line("numbers", &(k.pid(), k.ppid(), k.lid(), k.curlwp().map(|lwp| lwp.refcnt())));
            line("credentials", &k.cred());
            line("files", &(k.files().list(), k.files().table_users()));
            line("limits", &k.resources().limits());
            line(
                "signals",
                &(
                    k.signals().pending(),
                    k.signals().blocked(),
                    k.signals().has_pending(),
                    k.must_exit(),
                ),
            );
            line("in the kernel", &(k.cpu(), k.big_lock().depth()));
            line(
                "name",
                &(k.process().comm(), k.curlwp().and_then(|lwp| lwp.name()), k.process().emul()),
            );
        }
        Self(lines)
    }

    /// What is not the same, only.
    #[track_caller]
    pub fn assert_eq(&self, before: &Self, after_what: &str) {
        let mut changed = before.0.iter().zip(&self.0).filter(|(before, now)| before != now);
        assert_eq!(changed.next(), None, "changed by {after_what}");
        assert_eq!(before.0.len(), self.0.len(), "changed by {after_what}");
    }
}

/// What every error enum has.
pub trait Refusal: std::error::Error {
    fn errno(&self) -> Errno;
}

/// The variants of one enum that have been forced.
#[derive(Default)]
pub struct Forced(source::Variants);

impl Forced {
    /// Forces an error several times, in a context; nothing may change.
    #[track_caller]
    pub fn refused<R, E: Refusal>(
        &mut self,
        kernel: &Kernel,
        k: &mut K<'_>,
        expected: E,
        mut attempt: impl FnMut(&mut K<'_>) -> Result<R, E>,
    ) {
        let before = Snapshot::of(kernel, Some(k));
        for _ in 0..3 {
            let result = attempt(k);
            self.note(result, &expected);
            Snapshot::of(kernel, Some(k)).assert_eq(&before, &format!("{expected:?}"));
        }
        leaks_nothing(kernel, &expected, || drop(attempt(k)));
    }

    /// As [`Forced::refused`], by a thread that has not entered.
    #[track_caller]
    pub fn refused_outside<R, E: Refusal>(
        &mut self,
        kernel: &Kernel,
        expected: E,
        mut attempt: impl FnMut() -> Result<R, E>,
    ) {
        let before = Snapshot::of(kernel, None);
        for _ in 0..3 {
            let result = attempt();
            self.note(result, &expected);
            Snapshot::of(kernel, None).assert_eq(&before, &format!("{expected:?}"));
        }
        leaks_nothing(kernel, &expected, || drop(attempt()));
    }

    /// An error that was forced; what it left is checked by who calls this.
    #[track_caller]
    pub fn note<R, E: Refusal>(&mut self, result: Result<R, E>, expected: &E) {
        let error = result.err().unwrap_or_else(|| panic!("no {expected:?}"));
        assert_eq!(format!("{error:?}"), format!("{expected:?}"));
        self.saw(&error);
    }

    /// As [`Forced::note`]; or, where one says why, not forced at all.
    pub fn saw(&mut self, error: &impl Refusal) {
        let name = format!("{error:?}");
        let variant: String = name.chars().take_while(|c| c.is_alphanumeric()).collect();
        self.0.insert(variant, error.errno().to_string());
    }

    /// Those of the source, each with its errno; but one that is an error in another.
    #[track_caller]
    pub fn assert_all_of(&self, error: &str) {
        let all = source::enums().remove(error);
        let mut forced = self.0.clone();
        for (variant, errno) in forced.iter_mut() {
            let known = all.as_ref().and_then(|all| all.get(variant));
            if known.is_some_and(String::is_empty) {
                errno.clear();
            }
        }
        assert_eq!(Some(forced), all, "{error}");
    }
}

/// What is allocated is freed. Now and then something grows, as the room for what waits to
/// be freed does; what is left by an error is left each time.
#[track_caller]
fn leaks_nothing(kernel: &Kernel, why: &dyn Debug, mut attempt: impl FnMut()) {
    let mut more = || {
        kernel.flush();
        let before = heap::live();
        (0..3).for_each(|_| attempt());
        kernel.flush();
        heap::live() - before
    };
    let grows: Vec<isize> = std::iter::repeat_with(&mut more).take(4).collect();
    assert!(grows.iter().any(|more| *more <= 0), "allocations left by {why:?}: {grows:?}");
}

/// With its kernels everything goes that a test made: a reference too many keeps something.
/// What a thread keeps for good it has after the first time.
#[track_caller]
pub fn frees_all(mut test: impl FnMut()) {
    test();
    let before = heap::live();
    test();
    assert_eq!(heap::live(), before, "allocations left when the kernels had gone");
}

/// Nothing is left of a kernel but proc0 and init, and of the host's nothing when it
/// is gone.
#[track_caller]
pub fn assert_empty(kernel: Kernel) {
    let counts = kernel.counts();
    assert_eq!((counts.procs, counts.lwps, counts.zombies, counts.ids), (2, 2, 0, 2));
    assert_eq!(kernel.user_counts(0).procs, 2);
    for uid in 1..10 {
        assert_eq!(kernel.user_counts(uid), UserCounts::default(), "user {uid}");
    }
    kernel.flush();
    let stats = kernel.reclaim_stats();
    assert_eq!(stats.retired, stats.freed, "{stats:?}");
    let host = kernel.host().clone();
    drop(kernel);
    assert_eq!((host.out(), host.users()), ([0; 5], 0), "the host's");
}

/// A process with all ids of one user, current from now on; who was before comes back.
pub fn start_as(k: &mut K<'_>, uid: u32) -> Option<Lwp> {
    let before = k.rfork(Rfork::Fresh).unwrap();
    k.creds().set(&CredChange::SetUid(uid)).unwrap();
    before
}

/// A child of the current process that is not current.
pub fn child(k: &mut K<'_>) -> Lwp {
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    k.switch(parent).unwrap().unwrap()
}

/// Leaves for good.
pub fn leave(mut k: K<'_>) {
    k.release().unwrap();
}
