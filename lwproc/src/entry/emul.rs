//! The emulation of the current process.

use super::Entered;
use crate::emul::{EmulError, NativeSysents};
use crate::host::Host;

impl<H: Host> Entered<'_, H> {
    /// What the current process's system calls mean: its emulation. Wait-free.
    pub fn emul(&self) -> &H::Emul {
        self.seat.world().emuls.get(self.proc().resources.emul.get())
    }

    /// Gives the current process the native emulation: the one that the kernel was
    /// made with. Its other LWPs see it too. Wait-free.
    ///
    /// # Errors
    /// [`EmulError::NotPermitted`] (EPERM): the kernel was not built with
    /// [`allow_native_emul`](crate::Builder::allow_native_emul).
    // Seed: `rump_lwproc_sysent_usenative` S579-S586, which panics where this refuses.
    #[doc(alias = "rump_pub_lwproc_sysent_usenative")]
    #[doc(alias = "sysent_usenative")]
    pub fn use_native_emul(&mut self) -> Result<(), EmulError> {
        let world = self.seat.world();
        match world.native_sysents {
            NativeSysents::Refused => Err(EmulError::NotPermitted),
            NativeSysents::Allowed => {
                self.proc().resources.emul.set_native(&world.emuls);
                Ok(())
            }
        }
    }
}
