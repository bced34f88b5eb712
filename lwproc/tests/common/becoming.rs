//! A thread that makes an LWP or a process, and goes on as it.
#![allow(dead_code)]

use lwproc::{Entered, Host, Lwp, NewLwpError, Pid, Rfork, SpawnError};

/// What an entered thread makes, it becomes. As after [`Entered::rfork`], the LWP that
/// was current comes back, unless it was exiting or the context was implicit.
pub trait Become<H: Host> {
    /// A further LWP of that process.
    fn become_new_lwp(&mut self, pid: Pid) -> Result<Option<Lwp<H>>, NewLwpError>;

    /// A child with an address space.
    fn become_child_with(
        &mut self,
        vmspace: H::VmSpace,
        files: Rfork,
    ) -> Result<Option<Lwp<H>>, SpawnError>;
}

impl<H: Host> Become<H> for Entered<'_, H> {
    fn become_new_lwp(&mut self, pid: Pid) -> Result<Option<Lwp<H>>, NewLwpError> {
        let new = self.new_lwp(pid)?;
        Ok(self.switch(new).expect("it is of this kernel"))
    }

    fn become_child_with(
        &mut self,
        vmspace: H::VmSpace,
        files: Rfork,
    ) -> Result<Option<Lwp<H>>, SpawnError> {
        let new = self.spawn().vmspace(vmspace).files(files).start()?;
        Ok(self.switch(new).expect("it is of this kernel"))
    }
}
