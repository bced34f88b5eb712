//! The part of the model that is about the thread in the kernel: the big lock, the
//! virtual CPU, and sleeping. One thread is all there is, so it sleeps only when that
//! is over at once, or by what it does itself while it counts as asleep.

use super::procs::How;
use super::state::{Cur, Model};
use super::{Driver, Embedder};
use lwproc::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// An operation of a thread.
#[derive(Clone, Copy, Debug)]
pub enum ThreadOp {
    Lock,
    Unlock,
    SleepOn(Bed),
    SleepWith(Bed),
    /// Blocking waits, when they return at once.
    Wait,
    WaitAlone,
    /// Of any LWP: none sleeps.
    Unsleep(u8),
}

/// How a sleep ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bed {
    /// Before it begins.
    Ready,
    /// What is waited for comes while the thread falls asleep.
    Late,
    /// The same, and a waker comes too.
    Woken,
    /// Somebody unsleeps the LWP.
    Unslept,
}

impl ThreadOp {
    pub fn from_bytes(code: u8, a: u8) -> Self {
        let bed = [Bed::Ready, Bed::Late, Bed::Woken, Bed::Unslept][usize::from(a % 4)];
        match code % 10 {
            0 | 1 => Self::Lock,
            2 => Self::Unlock,
            3 | 4 => Self::SleepOn(bed),
            5 => Self::SleepWith(bed),
            6 => Self::Wait,
            7 => Self::WaitAlone,
            _ => Self::Unsleep(a),
        }
    }
}

/// Counts how often it is told to end a sleep.
struct Unsleeps(Lid, AtomicUsize);

impl SyncObject for Unsleeps {
    fn unsleep(&self, lwp: Lid) {
        assert_eq!(lwp, self.0);
        self.1.fetch_add(1, SeqCst);
    }
}

impl Model {
    /// Runs as another LWP from now on; the big lock is held as that one held it.
    pub fn run_as(&mut self, cur: Cur) {
        self.cur = Some(cur);
        let lwp = self.lwp().expect("a live LWP");
        self.biglocks = std::mem::take(&mut lwp.biglocks);
    }

    /// The current LWP keeps how often the big lock was held; an implicit context, or
    /// one that leaves the kernel, gives it up for good.
    pub fn give_biglocks_up(&mut self) {
        let depth = std::mem::take(&mut self.biglocks);
        if let Some(lwp) = self.lwp() {
            lwp.biglocks = depth;
        }
    }

    /// What would end a sleep of the current LWP at once.
    fn interruption(&mut self) -> Option<Interrupted> {
        let (own, procs) = self.takeable();
        if self.lwp()?.must_exit {
            Some(Interrupted::Exit)
        } else {
            (!(own | procs).is_empty()).then_some(Interrupted::Signal)
        }
    }
}

impl Driver<'_> {
    pub fn thread_step(&mut self, op: ThreadOp) {
        let due = self.model.interruption();
        let k = self.k.as_mut().unwrap();
        // Of its process's signals another may have been told: `check_services` asks who must.
        let told = k.signals().has_pending();
        let due = due.filter(|why| *why != Interrupted::Signal || told);
        match op {
            ThreadOp::Lock => {
                assert_eq!(k.big_lock().lock(), Ok(()));
                self.model.biglocks += 1;
            }
            ThreadOp::Unlock => {
                let held = self.model.biglocks > 0;
                assert_eq!(
                    k.big_lock().unlock(),
                    if held { Ok(()) } else { Err(BigLockError::NotHeld) }
                );
                self.model.biglocks -= u32::from(held);
            }
            ThreadOp::SleepOn(bed) => self.sleep_on(bed, due),
            ThreadOp::SleepWith(bed) => self.sleep_with(bed, due),
            ThreadOp::Wait => {
                let any = self.model.children().next().is_some();
                if !any || self.model.children().any(|(_, child)| child.zombie) {
                    self.wait(WaitTarget::Any, How::Blocking);
                } else if due.is_some() {
                    let got = self.k.as_ref().unwrap().wait(WaitTarget::Any);
                    assert_eq!(got, Err(WaitError::Interrupted));
                }
            }
            ThreadOp::WaitAlone => {
                let proc = &self.model.procs[&self.model.curproc()];
                match (proc.draining, proc.lwps.len() > 1, due) {
                    (false, ..) => assert_eq!(k.wait_alone(), Err(AloneError::NotDraining)),
                    (true, false, _) => assert_eq!(k.wait_alone(), Ok(())),
                    (true, true, Some(_)) => {
                        assert_eq!(k.wait_alone(), Err(AloneError::Interrupted));
                    }
                    (true, true, None) => {}
                }
            }
            ThreadOp::Unsleep(i) => {
                let lids: Vec<Lid> = self.model.lwp_state.keys().map(|at| at.1).collect();
                let guard = self.kernel.pin();
                let lwp = guard.lwp(lids[usize::from(i) % lids.len()]);
                assert_eq!(lwp.unwrap().unsleep(), Unslept::Awake);
            }
        }
    }

    /// Asleep, or about to: the LWP can be woken.
    fn while_asleep(kernel: &Kernel<Embedder>, lid: Option<Lid>, bed: Bed) {
        let guard = kernel.pin();
        if let (Bed::Unslept, Some(lid)) = (bed, lid) {
            let lwp = guard.lwp(lid).unwrap();
            assert_eq!(lwp.unsleep(), Unslept::Woken);
        }
    }

    fn sleep_on(&mut self, bed: Bed, due: Option<Interrupted>) {
        let (kernel, channel, mut looks) = (self.kernel, WaitChannel::new(), 0);
        let lid = self.model.cur.map(|cur| cur.lid);
        let has_cpus = self.model.settings.cpus.is_some();
        let got = self.k.as_mut().unwrap().sleep_on(&channel, || {
            looks += 1;
            let runs = kernel.pin().cpu_lwp(0).map(|lwp| lwp.lid());
            assert_eq!(runs, lid.filter(|_| has_cpus), "a condition has the CPU");
            if looks > 1 {
                Self::while_asleep(kernel, lid, bed);
            }
            match bed {
                Bed::Ready => Some(()),
                Bed::Late => (looks > 1).then_some(()),
                // The third look is that of a sleeper whom a waker can see.
                Bed::Woken if looks == 3 => {
                    channel.wake_one();
                    None
                }
                Bed::Woken => (looks > 3).then_some(()),
                Bed::Unslept => (lid.is_none() && looks > 1).then_some(()),
            }
        });
        let expected = match (bed, due) {
            (Bed::Ready, _) => Ok(()),
            (_, Some(why)) => Err(why),
            (Bed::Unslept, None) if lid.is_some() => Err(Interrupted::Unslept),
            (_, None) => Ok(()),
        };
        assert_eq!(got, expected);
        assert_eq!(
            looks > 1,
            bed != Bed::Ready && due.is_none(),
            "who is interrupted does not sleep"
        );
    }

    fn sleep_with(&mut self, bed: Bed, due: Option<Interrupted>) {
        let (kernel, lid) = (self.kernel, self.model.cur.map(|cur| cur.lid));
        let object = Arc::new(Unsleeps(lid.unwrap_or(Lid(0)), AtomicUsize::new(0)));
        let sleep = || {
            assert!(kernel.pin().cpu_lwp(0).is_none(), "others may have the CPU");
            Self::while_asleep(kernel, lid, bed);
        };
        let got = self.k.as_mut().unwrap().sleep_with(object.clone(), sleep);
        assert_eq!(got, due.map_or(Ok(()), Err));
        let unslept = got.is_ok() && bed == Bed::Unslept && lid.is_some();
        assert_eq!(object.1.load(SeqCst), usize::from(unslept));
    }

    /// What the thread has of the kernel.
    pub fn check_thread(&self) {
        let (model, k) = (&self.model, self.k.as_ref().unwrap());
        assert_eq!(k.big_lock().depth(), model.biglocks);
        assert_eq!(
            k.cpu(),
            model.settings.cpus.map(|_| 0),
            "it is alone, and comes back to its CPU"
        );
        let guard = self.kernel.pin();
        for cpu in 0..4 {
            let runs = guard.cpu_lwp(cpu).map(|lwp| lwp.lid());
            let own = model.cur.map(|cur| cur.lid).filter(|_| k.cpu() == Some(cpu));
            assert_eq!(runs, own, "cpu {cpu}");
        }
    }

    /// Outside, nothing runs.
    pub fn check_outside(&self) {
        let guard = self.kernel.pin();
        assert!((0..4).all(|cpu| guard.cpu_lwp(cpu).is_none()));
    }
}
