//! The part of the model that is about emulations.

use super::host::Emul;
use super::state::Model;
use super::{Driver, pick};
use lwproc::*;

/// An operation on emulations.
#[derive(Clone, Copy, Debug)]
pub enum EmulOp {
    /// A further one, which becomes the default.
    Add,
    /// Another becomes the default.
    Default(u8),
    UseNative,
}

impl EmulOp {
    pub fn from_bytes(code: u8, a: u8) -> Self {
        match code % 4 {
            0 => Self::Add,
            1 => Self::Default(a),
            _ => Self::UseNative,
        }
    }
}

impl Model {
    /// The kernel tells the host of each process that is made.
    pub fn intern(&mut self, pid: Pid) {
        self.interned.push((self.default_emul, pid));
    }
}

impl Driver<'_> {
    pub fn emul_step(&mut self, op: EmulOp) {
        match op {
            EmulOp::Add => {
                let number = self.emuls.len() as u32;
                self.emuls.push(self.kernel.add_emul(Emul(number)));
                self.make_default(number);
            }
            EmulOp::Default(i) => {
                let number = pick(0..self.emuls.len() as u32, i).unwrap();
                self.make_default(number);
            }
            EmulOp::UseNative => {
                let got = self.k.as_mut().unwrap().process().use_native_emul();
                let pid = self.model.curproc();
                if self.model.settings.native_sysents {
                    assert_eq!(got, Ok(()));
                    self.model.procs.get_mut(&pid).unwrap().emul = 0;
                } else {
                    assert_eq!(got, Err(EmulError::NotPermitted));
                }
            }
        }
    }

    fn make_default(&mut self, number: u32) {
        self.kernel.set_default_emul(self.emuls[number as usize]).unwrap();
        self.model.default_emul = number;
    }

    /// Those of all processes are compared with the processes.
    pub fn check_emuls(&mut self) {
        let k = self.k.as_ref().unwrap();
        assert_eq!(k.process().emul().0, self.model.procs[&self.model.curproc()].emul);
        let default = self.emuls[self.model.default_emul as usize];
        assert_eq!(self.kernel.default_emul(), default);
        assert_eq!(self.kernel.native_emul(), self.emuls[0]);
        let told = self.kernel.host().take_interned();
        assert_eq!(told, std::mem::take(&mut self.model.interned), "each new process, once");
    }
}
