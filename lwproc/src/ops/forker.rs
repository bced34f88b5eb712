//! Who forks.

use crate::cred::CredCell;
use crate::filedesc::link::Borrowed;
use crate::host::Host;

/// What a child has from the LWP that forks it, where that is not its process's.
pub(crate) struct Forker<'p, H: Host> {
    pub(crate) table: Borrowed<'p, H::File>,
    /// Its credentials, where they are its own.
    pub(crate) cred: Option<&'p CredCell>,
}

impl<H: Host> Clone for Forker<'_, H> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<H: Host> Copy for Forker<'_, H> {}
