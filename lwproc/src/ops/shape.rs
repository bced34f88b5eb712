//! What a new process is made like, and why it is not.

use super::forker::Forker;
use super::seat::Seat;
use crate::cred::CredRef;
use crate::error::ForkError;
use crate::filedesc::link::NewTable;
use crate::host::Host;
use crate::object::home::Anchor;
use crate::object::kin::Kin;
use crate::object::namespace::{Born, TooDeep};
use crate::object::node::{LwpNode, ProcNode};
use crate::reclaim::Pin;
use crate::sync::Arc;

/// What a new process is made like. What a plain fork does not ask for costs it nothing.
pub(crate) trait Shape<H: Host> {
    /// Why it is not made.
    type Error: From<NewProcError>;

    /// Who forks.
    fn forker(&self) -> Forker<'_, H>;

    /// Its credentials, from those of its parent.
    fn cred(&mut self, parents: CredRef, pin: &Pin<'_>) -> Result<CredRef, Self::Error>;

    /// The largest number, exclusive, of the pid namespace whose init it is to be.
    fn namespace(&self) -> Option<u32>;

    /// Takes what may be refused. On an error nothing is taken.
    fn prepare(
        &mut self,
        seat: &Seat<'_, H>,
        parent: &ProcNode<H>,
        born: Born<'_>,
        pin: &Pin<'_>,
    ) -> Result<(), Self::Error>;

    /// Gives what `prepare` took back.
    fn undo(&mut self, seat: &Seat<'_, H>, pin: &Pin<'_>);

    /// The address space that it owns.
    fn vmspace(&mut self) -> Option<H::VmSpace>;

    /// Its descriptors. From here on nothing is refused.
    fn files(&mut self, pin: &Pin<'_>) -> NewTable<H::File>;

    /// What keeps the world for its LWP.
    fn anchor(&self, seat: &Seat<'_, H>) -> Arc<Anchor<H>>;

    /// Gives it its place in a group.
    fn join(&mut self, parent: &ProcNode<H>, child: &ProcNode<H>, pin: &Pin<'_>);

    /// Whose child it is.
    fn line(&self) -> Line;

    /// The rest, before it can be seen.
    fn dress(&mut self, parent: &ProcNode<H>, child: &ProcNode<H>, lwp: &LwpNode<H>, pin: &Pin<'_>);
}

/// Whose child a new process is.
#[derive(Clone, Copy)]
pub(crate) enum Line {
    /// That of the process that it is made from.
    Child(Kin),
    /// The parent's of that: it is its maker's sibling, and as that.
    Sibling,
}

/// Why no process was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NewProcError {
    IdsExhausted,
    Limit,
    KernelFull,
    NamespaceEnded,
    NamespaceDepth,
}

impl From<TooDeep> for NewProcError {
    fn from(TooDeep: TooDeep) -> Self {
        Self::NamespaceDepth
    }
}

impl From<NewProcError> for ForkError {
    fn from(why: NewProcError) -> Self {
        match why {
            NewProcError::IdsExhausted => Self::IdsExhausted,
            NewProcError::Limit => Self::Limit,
            NewProcError::KernelFull => Self::KernelFull,
            NewProcError::NamespaceEnded | NewProcError::NamespaceDepth => Self::NamespaceEnded,
        }
    }
}
