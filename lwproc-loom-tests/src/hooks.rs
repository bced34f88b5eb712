//! Exit hooks, emulations, specific data and sinks: replaced while processes are
//! made, end, and look.
//!
//! The values carry a number that is stored, Relaxed, before they are handed over:
//! who finds one without its number got it unpublished. What counts calls and drops
//! is std's: no part of what is modelled.

use crate::full::{assert_empty, at_once, enter_as, kernel, kernel_with};
use crate::runner::{Model, pair};
use loom::sync::atomic::AtomicUsize;
use lwproc::{
    HookError, HookId, Host, Kernel, Lwp, Pid, ProcKey, TraceEvent, TraceSink, WaitPolicy,
    WaitTarget,
};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicUsize as StdUsize, Ordering::SeqCst};

pub fn models() -> Vec<Model> {
    vec![
        pair("hooks_disestablish_against_exit", disestablish_against_exit),
        pair("hooks_exit_against_disestablish", exit_against_disestablish),
        pair("hooks_establish_against_exit", establish_against_exit),
        pair("hooks_exit_against_establish", exit_against_establish),
        pair("hooks_establish_against_establish", establish_against_establish),
        pair("hooks_disestablish_against_disestablish", disestablish_against_disestablish),
        pair("hooks_exit_against_exit_status", exit_against_exit_status),
        pair("hooks_exit_status_against_exit", exit_status_against_exit),
        pair("hooks_zombie_against_wait", zombie_against_wait),
        pair("hooks_wait_against_zombie", wait_against_zombie),
        pair("hooks_zombie_against_exit_of_parent", zombie_against_exit_of_parent),
        pair("emul_set_default_against_fork", set_default_against_fork),
        pair("emul_fork_against_set_default", fork_against_set_default),
        pair("emul_fork_against_find", fork_against_find),
        pair("emul_add_against_add", add_against_add),
        pair("specific_first_set_against_get", first_set_against_get),
        pair("specific_replace_against_get", replace_against_get),
        pair("specific_get_against_replace", get_against_replace),
        pair("specific_first_set_against_first_set", first_set_against_first_set),
        pair("specific_set_of_two_keys", set_of_two_keys),
        pair("specific_replace_against_replace", replace_against_replace),
        pair("specific_exit_against_get", exit_against_get),
        pair("specific_set_against_last_release", set_against_last_release),
        pair("trace_set_against_event", set_trace_against_event),
        pair("trace_event_against_unset", event_against_unset),
        pair("trace_set_in_kernel_against_event", set_in_kernel_against_event),
    ]
}

/// A value with a number that loom can see.
#[derive(Default)]
struct Value {
    number: AtomicUsize,
    dropped: Option<Arc<StdUsize>>,
}

impl Value {
    fn new(number: usize) -> Self {
        let value = Self::default();
        value.number.store(number, Relaxed);
        value
    }

    fn counted(number: usize, dropped: &Arc<StdUsize>) -> Self {
        let mut value = Self::new(number);
        value.dropped = Some(dropped.clone());
        value
    }

    fn number(&self) -> usize {
        self.number.load(Relaxed)
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        if let Some(dropped) = &self.dropped {
            assert_ne!(self.number(), 0, "dropped by who has not seen it made");
            dropped.fetch_add(1, SeqCst);
        }
    }
}

#[derive(Clone, Default)]
struct Counts {
    calls: Arc<StdUsize>,
    dropped: Arc<StdUsize>,
}

impl Counts {
    fn get(&self) -> (usize, usize) {
        (self.calls.load(SeqCst), self.dropped.load(SeqCst))
    }
}

/// A hook that counts its calls.
fn establish(kernel: &Kernel, counts: &Counts) -> HookId {
    let (value, counts) = (Value::counted(7, &counts.dropped), counts.clone());
    kernel.add_exit_hook(move |proc| {
        assert_eq!(counts.dropped.load(SeqCst), 0, "alive while it runs");
        assert_eq!((value.number(), proc.nlwps()), (7, 0));
        counts.calls.fetch_add(1, SeqCst);
    })
}

/// A hook taken away while a process ends runs once or not, and is alive while it
/// runs; afterwards it does not run, and is dropped.
fn removal(at_once: impl FnOnce(Arc<Kernel>, HookId, Lwp)) {
    let (kernel, counts) = (kernel(), Counts::default());
    let id = establish(&kernel, &counts);
    let lwp = kernel.spawn().start().unwrap();
    at_once(kernel.clone(), id, lwp);
    let (calls, dropped) = counts.get();
    assert!(calls <= 1 && dropped == 1);
    drop(kernel.spawn().start().unwrap());
    assert_eq!(counts.get(), (calls, 1));
    assert_empty(&kernel);
}

fn disestablish_against_exit() {
    removal(|kernel, id, lwp| {
        let k = kernel.clone();
        at_once(&kernel, move || k.remove_exit_hook(id).unwrap(), move || drop(lwp));
    });
}

fn exit_against_disestablish() {
    removal(|kernel, id, lwp| {
        let here = || kernel.remove_exit_hook(id).unwrap();
        at_once(&kernel, move || drop(lwp), here);
    });
}

/// A hook established while a process ends runs for it or not, and for the next.
fn establishment(at_once: impl FnOnce(Arc<Kernel>, Counts, Lwp)) {
    let (kernel, counts) = (kernel(), Counts::default());
    let lwp = kernel.spawn().start().unwrap();
    at_once(kernel.clone(), counts.clone(), lwp);
    let (calls, _) = counts.get();
    assert!(calls <= 1);
    drop(kernel.spawn().start().unwrap());
    assert_eq!(counts.get(), (calls + 1, 0));
    assert_empty(&kernel);
}

fn establish_against_exit() {
    establishment(|kernel, counts, lwp| {
        let k = kernel.clone();
        at_once(&kernel, move || establish(&k, &counts), move || drop(lwp));
    });
}

fn exit_against_establish() {
    establishment(|kernel, counts, lwp| {
        at_once(&kernel, move || drop(lwp), || establish(&kernel, &counts));
    });
}

/// Neither hook is lost, and they have ids of their own.
fn establish_against_establish() {
    let (kernel, one, two) = (kernel(), Counts::default(), Counts::default());
    let (k, counts) = (kernel.clone(), one.clone());
    let (a, b) = at_once(&kernel, move || establish(&k, &counts), || establish(&kernel, &two));
    assert_ne!(a, b);
    drop(kernel.spawn().start().unwrap());
    assert_eq!((one.get(), two.get()), ((1, 0), (1, 0)));
    kernel.remove_exit_hook(a).unwrap();
    assert_eq!((one.get(), two.get()), ((1, 1), (1, 0)));
}

/// Exactly one takes it away.
fn disestablish_against_disestablish() {
    let (kernel, counts) = (kernel(), Counts::default());
    let (id, k) = (establish(&kernel, &counts), kernel.clone());
    let there = move || k.remove_exit_hook(id);
    let both = at_once(&kernel, there, || kernel.remove_exit_hook(id));
    let lost = Err(HookError::NoSuchHook);
    assert!(both == (Ok(()), lost) || both == (lost, Ok(())));
    assert_eq!(counts.get(), (0, 1));
}

/// Who sees by a handle that a process has ended sees what its exit hooks did.
fn hooks_and_status(
    race: impl FnOnce(&Kernel, Box<dyn FnOnce() + Send>, Box<dyn FnOnce() + Send>),
) {
    let (kernel, ran) = (kernel(), Arc::new(AtomicUsize::new(0)));
    let hook = ran.clone();
    kernel.add_exit_hook(move |_| hook.store(1, Relaxed));
    let lwp = kernel.spawn().start().unwrap();
    let handle = kernel.pin().proc(lwp.pid()).unwrap().handle().unwrap();
    let look = move || {
        if handle.exit_status().is_some() {
            assert_eq!(ran.load(Relaxed), 1, "the end is not over");
        }
    };
    race(&kernel, Box::new(move || drop(lwp)), Box::new(look));
    assert_empty(&kernel);
}

fn exit_against_exit_status() {
    hooks_and_status(|kernel, exit, look| _ = at_once(kernel, exit, look));
}

fn exit_status_against_exit() {
    hooks_and_status(|kernel, exit, look| _ = at_once(kernel, look, exit));
}

/// A kernel that counts who is told of a zombie, and a parent with a child.
fn told(kernel: &Kernel) -> (Arc<AtomicUsize>, Lwp, Lwp) {
    let told = Arc::new(AtomicUsize::new(0));
    let hook = told.clone();
    kernel.add_zombie_hook(move |_, parent| {
        assert_ne!(parent.pid(), Pid::INIT, "told of what init reaps");
        hook.fetch_add(1, Release);
    });
    let parent = kernel.spawn().start().unwrap();
    let child = parent.proc_handle().spawn().start().unwrap();
    (told, parent, child)
}

/// A parent that has been told has something to reap, and it is told.
fn wait_if_told(
    race: impl FnOnce(&Kernel, Box<dyn FnOnce() + Send>, Box<dyn FnOnce() -> Lwp + Send>) -> Lwp,
) {
    let kernel = kernel_with(WaitPolicy::Wait, 6);
    let (told, parent, child) = told(&kernel);
    let (seen, k) = (told.clone(), kernel.clone());
    let wait = move || {
        let mut e = enter_as(&k, parent);
        if seen.load(Acquire) == 1 {
            assert!(e.try_wait(WaitTarget::Any).unwrap().is_some(), "told too early");
        }
        e.unbind().unwrap().unwrap()
    };
    let parent = race(&kernel, Box::new(move || drop(child)), Box::new(wait));
    assert_eq!(told.load(Relaxed), 1, "never told");
    drop(parent);
    assert_empty(&kernel);
}

fn zombie_against_wait() {
    wait_if_told(|kernel, exit, wait| at_once(kernel, exit, wait).1);
}

fn wait_against_zombie() {
    wait_if_told(|kernel, exit, wait| at_once(kernel, wait, exit).0);
}

/// A parent that ends meanwhile is told, or init reaps the child by itself: not both for
/// nobody.
fn zombie_against_exit_of_parent() {
    let kernel = kernel_with(WaitPolicy::Wait, 6);
    let (told, parent, child) = told(&kernel);
    at_once(&kernel, move || drop(child), move || drop(parent));
    assert!(told.load(Relaxed) <= 1);
    assert_empty(&kernel);
}

struct Emulating;

impl Host for Emulating {
    type VmSpace = ();
    type File = ();
    type Emul = Value;
    type Vfs = ();
    type SigValue = ();
}

fn emulating() -> Arc<Kernel<Emulating>> {
    Arc::new(Kernel::builder().host(Emulating).id_capacity(6).build().unwrap())
}

fn emul_of(kernel: &Kernel<Emulating>, pid: Pid) -> Option<usize> {
    let guard = kernel.pin();
    guard.proc(pid).map(|proc| proc.emul().number())
}

fn set_default(kernel: &Kernel<Emulating>) {
    let emul = kernel.add_emul(Value::new(7));
    kernel.set_default_emul(emul).unwrap();
}

/// A process made meanwhile has the default before or after; one made later the
/// one after.
fn default_emul(race: impl FnOnce(Arc<Kernel<Emulating>>) -> Lwp<Emulating>) {
    let kernel = emulating();
    let lwp = race(kernel.clone());
    assert!([Some(0), Some(7)].contains(&emul_of(&kernel, lwp.pid())));
    let later = kernel.spawn().start().unwrap();
    assert_eq!(emul_of(&kernel, later.pid()), Some(7));
}

fn fork_and_look(kernel: &Kernel<Emulating>) -> Lwp<Emulating> {
    let lwp = kernel.spawn().start().unwrap();
    assert!([Some(0), Some(7)].contains(&emul_of(kernel, lwp.pid())));
    lwp
}

fn set_default_against_fork() {
    default_emul(|kernel| {
        let k = kernel.clone();
        at_once(&kernel, move || set_default(&k), || fork_and_look(&kernel)).1
    });
}

fn fork_against_set_default() {
    default_emul(|kernel| {
        let k = kernel.clone();
        at_once(&kernel, move || fork_and_look(&k), || set_default(&kernel)).0
    });
}

/// Both are kept, and dropped with the kernel.
fn add_against_add() {
    let (kernel, dropped) = (emulating(), Arc::new(StdUsize::new(0)));
    let (k, other) = (kernel.clone(), Value::counted(1, &dropped));
    let there = move || _ = k.add_emul(other);
    at_once(&kernel, there, || _ = kernel.add_emul(Value::counted(2, &dropped)));
    drop(kernel);
    assert_eq!(dropped.load(SeqCst), 2);
}

/// An emulation comes with its process.
fn fork_against_find() {
    let kernel = emulating();
    let k = kernel.clone();
    let here = || {
        set_default(&kernel);
        kernel.spawn().start().unwrap()
    };
    let there = move || assert!([None, Some(7)].contains(&emul_of(&k, Pid(2))));
    let ((), lwp) = at_once(&kernel, there, here);
    assert_eq!(lwp.pid(), Pid(2));
}

type Key = ProcKey<Value>;

fn number_of(kernel: &Kernel, pid: Pid, key: Key) -> Option<usize> {
    let guard = kernel.pin();
    let value = guard.proc(pid)?.specific(key);
    value.map(|value| value.number())
}

/// Sets a value as the LWP; the number of the one before.
fn set(kernel: &Kernel, lwp: Lwp, key: Key, value: Value) -> (Lwp, Option<usize>) {
    let mut k = enter_as(kernel, lwp);
    let old = k.data().set_proc(key, value).unwrap().map(|old| old.number());
    (k.unbind().unwrap().unwrap(), old)
}

/// A reader finds a finished value, or none yet.
fn first_set_against_get() {
    let kernel = kernel();
    let (lwp, key, k) = (kernel.spawn().start().unwrap(), kernel.proc_key(), kernel.clone());
    let pid = lwp.pid();
    let there = move || assert!([None, Some(7)].contains(&number_of(&k, pid, key)));
    let ((), (lwp, old)) = at_once(&kernel, there, || set(&kernel, lwp, key, Value::new(7)));
    assert_eq!((old, number_of(&kernel, pid, key)), (None, Some(7)));
    drop(lwp);
    assert_empty(&kernel);
}

/// A reader finds the old value or the new one, and never none; the old one is
/// dropped meanwhile, or when the reader has done with it.
fn replacement(at_once: impl FnOnce(Arc<Kernel>, Lwp, Key, Counts) -> Lwp) {
    let (kernel, old, new) = (kernel(), Counts::default(), Counts::default());
    let key = kernel.proc_key();
    let lwp = kernel.spawn().start().unwrap();
    let (lwp, _) = set(&kernel, lwp, key, Value::counted(1, &old.dropped));
    let lwp = at_once(kernel.clone(), lwp, key, new.clone());
    assert_eq!((old.get().1, new.get().1), (1, 0));
    drop(lwp);
    assert_eq!(new.get().1, 1);
    assert_empty(&kernel);
}

fn replace_against_get() {
    replacement(|kernel, lwp, key, new| {
        let (pid, k) = (lwp.pid(), kernel.clone());
        let there = move || assert!([Some(1), Some(2)].contains(&number_of(&k, pid, key)));
        let here = || set(&kernel, lwp, key, Value::counted(2, &new.dropped));
        at_once(&kernel, there, here).1.0
    });
}

fn get_against_replace() {
    replacement(|kernel, lwp, key, new| {
        let (pid, k) = (lwp.pid(), kernel.clone());
        let there = move || set(&k, lwp, key, Value::counted(2, &new.dropped));
        let here = || assert!([Some(1), Some(2)].contains(&number_of(&kernel, pid, key)));
        at_once(&kernel, there, here).0.0
    });
}

fn two_lwps(kernel: &Kernel) -> (Lwp, Lwp) {
    let a = kernel.spawn().start().unwrap();
    let b = kernel.new_lwp(a.pid()).unwrap();
    (a, b)
}

/// One of the two replaces the other's.
fn first_set_against_first_set() {
    let kernel = kernel();
    let ((a, b), key, k) = (two_lwps(&kernel), kernel.proc_key(), kernel.clone());
    let there = move || set(&k, a, key, Value::new(1));
    let ((a, there), (b, here)) = at_once(&kernel, there, || set(&kernel, b, key, Value::new(2)));
    let last = number_of(&kernel, a.pid(), key);
    assert!(
        (there, here, last) == (None, Some(1), Some(2))
            || (there, here, last) == (Some(2), None, Some(1))
    );
    drop((a, b));
    assert_empty(&kernel);
}

/// Both are there.
fn set_of_two_keys() {
    let kernel = kernel();
    let ((a, b), k) = (two_lwps(&kernel), kernel.clone());
    let (one, two) = (kernel.proc_key(), kernel.proc_key());
    let there = move || set(&k, a, one, Value::new(1));
    let ((a, there), (b, here)) = at_once(&kernel, there, || set(&kernel, b, two, Value::new(2)));
    assert_eq!((there, here), (None, None));
    let pid = a.pid();
    assert_eq!((number_of(&kernel, pid, one), number_of(&kernel, pid, two)), (Some(1), Some(2)));
    drop((a, b));
    assert_empty(&kernel);
}

/// Each gets the one before, finished.
fn replace_against_replace() {
    let kernel = kernel();
    let ((a, b), key, k) = (two_lwps(&kernel), kernel.proc_key(), kernel.clone());
    let (a, _) = set(&kernel, a, key, Value::new(1));
    let there = move || set(&k, a, key, Value::new(2));
    let ((a, there), (b, here)) = at_once(&kernel, there, || set(&kernel, b, key, Value::new(3)));
    let last = number_of(&kernel, a.pid(), key);
    assert!(
        (there, here, last) == (Some(1), Some(2), Some(3))
            || (there, here, last) == (Some(3), Some(1), Some(2))
    );
    drop((a, b));
    assert_empty(&kernel);
}

/// A reader takes a share, or the process has taken its own out.
fn exit_against_get() {
    let (kernel, counts) = (kernel(), Counts::default());
    let (lwp, key) = (kernel.spawn().start().unwrap(), kernel.proc_key());
    let (lwp, _) = set(&kernel, lwp, key, Value::counted(7, &counts.dropped));
    let (pid, k, dropped) = (lwp.pid(), kernel.clone(), counts.dropped.clone());
    let there = move || {
        let guard = k.pin();
        if let Some(value) = guard.proc(pid).and_then(|proc| proc.specific(key)) {
            assert_eq!((value.number(), dropped.load(SeqCst)), (7, 0));
        }
    };
    at_once(&kernel, there, move || drop(lwp));
    assert_eq!(counts.get().1, 1);
    assert_empty(&kernel);
}

/// Whoever ends the process drops what another LWP has set.
fn set_against_last_release() {
    let (kernel, counts) = (kernel(), Counts::default());
    let ((a, b), key, k) = (two_lwps(&kernel), kernel.proc_key(), kernel.clone());
    let dropped = counts.dropped.clone();
    let there = move || drop(set(&k, a, key, Value::counted(7, &dropped)));
    at_once(&kernel, there, move || drop(b));
    assert_eq!(counts.get().1, 1);
    assert_empty(&kernel);
}

/// A sink that counts the LWPs made.
struct Sink(Value, Counts);

impl Sink {
    fn new(counts: &Counts) -> Arc<Self> {
        Arc::new(Self(Value::counted(7, &counts.dropped), counts.clone()))
    }
}

impl TraceSink for Sink {
    fn event(&self, event: &TraceEvent) {
        assert_eq!((self.0.number(), self.1.dropped.load(SeqCst)), (7, 0));
        if matches!(event, TraceEvent::LwpCreate { .. }) {
            self.1.calls.fetch_add(1, SeqCst);
        }
    }
}

/// An event of another LWP finds a finished sink, or none.
fn set_trace_against_event() {
    let (kernel, counts) = (kernel(), Counts::default());
    let (lwp, k) = (kernel.spawn().start().unwrap(), kernel.clone());
    let pid = lwp.pid();
    let here = || {
        let mut e = enter_as(&kernel, lwp);
        e.process().set_trace(Some(Sink::new(&counts)));
        e.unbind().unwrap().unwrap()
    };
    let (other, lwp) = at_once(&kernel, move || k.new_lwp(pid).unwrap(), here);
    assert!(counts.get().0 <= 1);
    drop((lwp, other));
    assert_eq!(counts.get().1, 1, "dropped at the end");
    assert_empty(&kernel);
}

/// A sink that is taken away may hear of what happens meanwhile, alive.
fn event_against_unset() {
    let (kernel, counts) = (kernel(), Counts::default());
    let (lwp, k) = (kernel.spawn().start().unwrap(), kernel.clone());
    let pid = lwp.pid();
    let mut e = enter_as(&kernel, lwp);
    e.process().set_trace(Some(Sink::new(&counts)));
    let here = || drop(e.process().set_trace(None));
    let (other, ()) = at_once(&kernel, move || k.new_lwp(pid).unwrap(), here);
    let (calls, dropped) = counts.get();
    assert!(calls <= 1 && dropped == 1);
    drop(other);
    e.release().unwrap();
    drop(e);
    assert_empty(&kernel);
}

fn set_in_kernel_against_event() {
    let (kernel, counts) = (kernel(), Counts::default());
    let (lwp, k) = (kernel.spawn().start().unwrap(), kernel.clone());
    let pid = lwp.pid();
    let here = || drop(kernel.set_trace(Some(Sink::new(&counts))));
    let (other, ()) = at_once(&kernel, move || k.new_lwp(pid).unwrap(), here);
    assert!(counts.get().0 <= 1);
    let told = counts.get().0;
    drop((kernel.new_lwp(pid).unwrap(), lwp, other));
    assert_eq!(counts.get(), (told + 1, 0));
    drop(kernel.set_trace(None));
    assert_eq!(counts.get().1, 1);
    assert_empty(&kernel);
}
