//! The part of the model that is about the names of LWPs, and the numbers that are
//! shown for others.

use super::Driver;
use lwproc::*;

/// An operation on names.
#[derive(Clone, Copy, Debug)]
pub enum NameOp {
    /// The current LWP's.
    Lwp(u8),
    /// Other numbers for the current process and LWP.
    Alias(i32, i32),
}

impl NameOp {
    /// Numbers of others, and some that nobody has.
    pub fn from_bytes(code: u8, a: u8, b: u8) -> Self {
        let number = |n: u8| if n < 128 { i32::from(n % 16) } else { -i32::from(n) };
        if code.is_multiple_of(2) { Self::Lwp(a) } else { Self::Alias(number(a), number(b)) }
    }
}

impl Driver<'_> {
    pub fn name_step(&mut self, op: NameOp) {
        let k = self.k.as_mut().unwrap();
        match op {
            NameOp::Lwp(n) => {
                let name = ["", "worker", "longer than there is room for"][usize::from(n) % 3];
                if let Some(lwp) = k.curlwp() {
                    lwp.set_name(name);
                }
                let exiting = self.model.cur.is_some_and(|cur| cur.exiting);
                if let Some(lwp) = self.model.lwp().filter(|_| !exiting) {
                    // 16 bytes are kept.
                    lwp.name = Some(name.chars().take(16).collect());
                }
            }
            NameOp::Alias(pid, lid) => {
                k.process().alias().set(Pid(pid), Lid(lid));
                let own = self.model.curproc();
                self.model.procs.get_mut(&own).unwrap().alias = Some(Pid(pid));
                if let Some(lwp) = self.model.lwp() {
                    lwp.alias = Some(Lid(lid));
                }
            }
        }
    }

    /// What is shown; the real numbers are compared with everything else.
    pub fn check_names(&self) {
        let (model, k) = (&self.model, self.k.as_ref().unwrap());
        let pid = model.curproc();
        assert_eq!(k.process().alias().pid(), model.procs[&pid].alias.unwrap_or(pid));
        let lwp = model.cur.map(|cur| (cur.lid, &model.lwp_state[&(cur.pid, cur.lid)]));
        assert_eq!(k.process().alias().lid(), lwp.map(|(lid, lwp)| lwp.alias.unwrap_or(lid)));
        let guard = self.kernel.pin();
        for (at, known) in &model.lwp_state {
            let name = guard.lwp(at.1).unwrap().name();
            assert_eq!(name.map(|name| name.to_string()), known.name);
        }
        let current = lwp.filter(|_| !model.cur.is_some_and(|cur| cur.exiting));
        assert_eq!(
            k.curlwp().map(|lwp| (lwp.lid(), lwp.name().map(|name| name.to_string()))),
            current.map(|(lid, lwp)| (lid, lwp.name.clone()))
        );
    }
}
