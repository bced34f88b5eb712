//! The part of the model that is about handles of processes: one never comes to mean
//! another process, whoever has the number now.

use super::{Driver, Embedder};
use lwproc::*;

/// An operation with a handle.
#[derive(Clone, Copy, Debug)]
pub enum HandleOp {
    /// Takes one, of any process.
    Take(u8),
    /// Makes an LWP in the process of one.
    Alloclwp(u8),
    Forget(u8),
}

impl HandleOp {
    pub fn from_bytes(code: u8, a: u8) -> Self {
        match code % 4 {
            0 | 1 => Self::Take(a),
            2 => Self::Alloclwp(a),
            _ => Self::Forget(a),
        }
    }
}

/// A handle, and the place of its process, which no other has.
pub struct Known {
    handle: ProcHandle<Embedder>,
    place: u32,
}

impl Driver<'_> {
    pub fn handle_step(&mut self, op: HandleOp) {
        match op {
            HandleOp::Take(i) => {
                let pid = self.any_pid(i);
                let place = self.model.procs[&pid].place.own;
                let guard = self.kernel.pin();
                let handle = guard.proc(pid).unwrap().handle().unwrap();
                drop(guard);
                self.known.push(Known { handle, place });
            }
            HandleOp::Alloclwp(i) => {
                let Some(i) = usize::from(i).checked_rem(self.known.len()) else { return };
                let (pid, alive) = (self.known[i].handle.pid(), self.is_alive(&self.known[i]));
                let expected = match alive {
                    true => self.model.newlwp_error(pid),
                    false => Some(NewLwpError::NoSuchProcess),
                };
                match self.known[i].handle.new_lwp() {
                    Err(error) => assert_eq!(Some(error), expected),
                    Ok(lwp) => {
                        assert_eq!((expected, lwp.pid()), (None, pid));
                        self.model.newlwp(pid, lwp.lid());
                        self.owned.push(lwp);
                    }
                }
            }
            HandleOp::Forget(i) => {
                if let Some(i) = usize::from(i).checked_rem(self.known.len()) {
                    drop(self.known.swap_remove(i));
                }
            }
        }
    }

    /// Whether the process that a handle was taken of has LWPs.
    fn is_alive(&self, known: &Known) -> bool {
        let proc = self.model.procs.get(&known.handle.pid());
        proc.is_some_and(|p| p.place.own == known.place && !p.zombie)
    }

    pub fn check_known(&self) {
        let guard = self.kernel.pin();
        for known in &self.known {
            let (handle, alive) = (&known.handle, self.is_alive(known));
            let nlwps = if alive { self.model.procs[&handle.pid()].lwps.len() } else { 0 };
            assert_eq!((handle.is_alive(), handle.nlwps() as usize), (alive, nlwps));
            let found = guard.proc(handle.pid());
            let same = found.is_some_and(|proc| proc.identity() == handle.identity());
            assert!(same || !alive, "{handle:?} is not found");
        }
    }
}
