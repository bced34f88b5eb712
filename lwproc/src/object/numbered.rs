//! The numbers of a process in pid namespaces.

use super::namespace::{Born, Namespace, Numbers};
use super::node::{LwpNode, ProcNode};
use crate::host::Host;
use crate::sync::Arc;

impl<H: Host> ProcNode<H> {
    /// Its numbers, if it is in any.
    #[inline]
    pub(crate) fn numbers(&self) -> Option<&Arc<Numbers>> {
        self.names.numbers()
    }

    /// What it is known by.
    pub(crate) fn known_as(&self) -> Born<'_> {
        Born { id: self.id, numbers: self.numbers() }
    }

    /// The namespace whose init it is.
    #[inline]
    pub(crate) fn leads(&self) -> Option<&Namespace> {
        self.numbers().map(|numbers| &**numbers.namespace()).filter(|its| its.init == self.id)
    }
}

impl<H: Host> LwpNode<H> {
    /// Its numbers, where `proc` is its process: its own, or the process's.
    #[inline]
    pub(crate) fn numbers<'a>(&'a self, proc: &'a ProcNode<H>) -> Option<&'a Arc<Numbers>> {
        if self.id() == proc.id { proc.numbers() } else { self.names.numbers() }
    }
}
