//! What a process is made like: as its parent, or by a plan.
use super::forker::Forker;
use super::pending;
use super::regroup::{self, Founding};
use super::seat::Seat;
use super::shape::{Line, NewProcError, Shape};
use crate::cred::{Cred, CredChange, CredRef};
use crate::error::CredError;
use crate::filedesc::link::NewTable;
use crate::filedesc::slots::FDS_MAX;
use crate::filedesc::table::FdTable;
use crate::filedesc::{Fd, FdError, OnExec, Rfork};
use crate::host::Host;
use crate::id::Pid;
use crate::limits::Resource;
use crate::object::comm::Comm;
use crate::object::group::Membership;
use crate::object::home::Anchor;
use crate::object::kin::Kin;
use crate::object::namespace::Born;
use crate::object::node::{LwpNode, ProcNode};
use crate::pgrp::{self, GroupError};
use crate::reclaim::{Pin, Tagged};
use crate::signal::SigSet;
use crate::specific::proc::Value;
use crate::sync::{Arc, Relaxed};
use crate::world::aftermath::Aftermath;
use std::fmt;

/// Why no process was made: [`Spawn::start`](crate::Spawn::start).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SpawnError {
    /// The parent has ended.
    NoSuchProcess,
    /// The parent is known by a handle, and takes no LWPs: it drains.
    Draining,
    /// Every id is in use.
    IdsExhausted,
    /// The user has as many processes as it may.
    Limit,
    /// The kernel has as many processes, or LWPs, as it may.
    KernelFull,
    /// The init of the pid namespace has ended, or is ending.
    NamespaceEnded,
    /// 32 pid namespaces are around it.
    NamespaceDepth,
    /// A key of data is of another kernel.
    WrongKernel,
    /// A move of descriptors was refused.
    Files(FdError),
    /// The credentials were refused.
    Cred(CredError),
    /// The process group was refused.
    Group(GroupError),
    /// proc0 and init have no siblings.
    NoSiblings,
}

impl SpawnError {
    /// The error number a C caller would have got.
    pub fn errno(&self) -> crate::Errno {
        match self {
            Self::NoSuchProcess => crate::Errno::ESRCH,
            Self::Draining => crate::Errno::EBUSY,
            Self::IdsExhausted | Self::Limit | Self::KernelFull => crate::Errno::EAGAIN,
            Self::NamespaceEnded => crate::Errno::ENOMEM,
            Self::NamespaceDepth => crate::Errno::ENOSPC,
            Self::WrongKernel => crate::Errno::EXDEV,
            Self::NoSiblings => crate::Errno::EINVAL,
            Self::Files(why) => why.errno(),
            Self::Cred(why) => why.errno(),
            Self::Group(why) => why.errno(),
        }
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchProcess => f.write_str("no such process"),
            Self::Draining => f.write_str("the process is draining"),
            Self::IdsExhausted => f.write_str("every id is in use"),
            Self::Limit => f.write_str("the user has as many processes as it may"),
            Self::KernelFull => f.write_str("the kernel has as many processes or LWPs as it may"),
            Self::NamespaceEnded => f.write_str("the init of the pid namespace has ended"),
            Self::NamespaceDepth => f.write_str("pid namespaces are nested too deep"),
            Self::WrongKernel => f.write_str("a key is of another kernel"),
            Self::NoSiblings => f.write_str("proc0 and init have no siblings"),
            Self::Files(why) => why.fmt(f),
            Self::Cred(why) => why.fmt(f),
            Self::Group(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for SpawnError {}

impl From<SpawnError> for crate::Errno {
    fn from(why: SpawnError) -> Self {
        why.errno()
    }
}

impl From<NewProcError> for SpawnError {
    fn from(why: NewProcError) -> Self {
        match why {
            NewProcError::IdsExhausted => Self::IdsExhausted,
            NewProcError::Limit => Self::Limit,
            NewProcError::KernelFull => Self::KernelFull,
            NewProcError::NamespaceEnded => Self::NamespaceEnded,
            NewProcError::NamespaceDepth => Self::NamespaceDepth,
        }
    }
}

/// The process group of a child: [`Spawn::group`](crate::Spawn::group).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum SpawnGroup {
    /// Its parent's.
    #[default]
    Inherit,
    /// One of its own, which bears its pid.
    New,
    /// The one with that number, in its parent's session.
    Join(Pid),
}

/// The session of a child.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SpawnSession {
    Inherit,
    New,
}

/// A step that is taken on a child's descriptors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FdStep {
    Dup { from: Fd, to: Fd },
    Close(Fd),
}

/// What a child is to be, where it is not as its parent.
pub(crate) struct Plan<H: Host> {
    /// The first thing that was wrong with it.
    pub(crate) refused: Option<SpawnError>,
    pub(crate) files: Rfork,
    pub(crate) steps: Vec<FdStep>,
    pub(crate) cred: Option<Cred>,
    pub(crate) changes: Vec<CredChange>,
    pub(crate) group: SpawnGroup,
    pub(crate) session: SpawnSession,
    /// The largest number, exclusive, of a pid namespace of its own.
    pub(crate) namespace: Option<u32>,
    pub(crate) blocked: SigSet,
    pub(crate) name: Option<Comm>,
    pub(crate) line: Line,
    pub(crate) vmspace: Option<H::VmSpace>,
    pub(crate) data: Vec<(u64, Value)>,
    /// What is dropped by whoever has the plan, with no guard held: files that lost their
    /// last reference, and data that other data has replaced.
    pub(crate) closed: Vec<H::File>,
    pub(crate) replaced: Vec<Value>,
}

impl<H: Host> Default for Plan<H> {
    fn default() -> Self {
        Self {
            refused: None,
            files: Rfork::Share,
            steps: Vec::new(),
            cred: None,
            changes: Vec::new(),
            group: SpawnGroup::default(),
            session: SpawnSession::Inherit,
            namespace: None,
            blocked: SigSet::EMPTY,
            name: None,
            line: Line::Child(Kin::ORPHAN),
            vmspace: None,
            data: Vec::new(),
            closed: Vec::new(),
            replaced: Vec::new(),
        }
    }
}

impl<H: Host> Plan<H> {
    /// Drops what the child does not have, each value whatever the others do.
    pub(crate) fn drop_all(self, aftermath: &mut Aftermath<H>) {
        let Self { vmspace, data, closed, replaced, .. } = self;
        closed.into_iter().for_each(|file| _ = aftermath.run(|| drop(file)));
        let data = data.into_iter().map(|(_, value)| value);
        data.chain(replaced).for_each(|value| _ = aftermath.run(|| drop(value)));
        aftermath.run(|| drop(vmspace));
    }
}

/// A plan that is carried out: what has been taken for the child, which can be given
/// back until the child is made.
pub(crate) struct Planned<'p, H: Host> {
    plan: &'p mut Plan<H>,
    forker: Forker<'p, H>,
    /// What keeps the world for the child's LWP, when that is not the seat's.
    anchor: Option<&'p Arc<Anchor<H>>>,
    files: Option<NewTable<H::File>>,
    membership: Option<Tagged<Membership>>,
}

impl<'p, H: Host> Planned<'p, H> {
    pub(crate) fn new(
        plan: &'p mut Plan<H>,
        forker: Forker<'p, H>,
        anchor: Option<&'p Arc<Anchor<H>>>,
    ) -> Self {
        Self { plan, forker, anchor, files: None, membership: None }
    }

    /// The child's descriptors, before any step. What is changed for the child must not
    /// be another's: a table that it would share is copied then.
    fn inherit(&self, pin: &Pin<'_>) -> NewTable<H::File> {
        let how = match self.plan.files {
            Rfork::Share if !self.plan.steps.is_empty() => Rfork::Copy,
            how => how,
        };
        self.forker.table.inherit(how, pin)
    }

    /// The child's descriptors, with each step taken. On an error they are still to be
    /// given back.
    fn take_files(&mut self, parent: &ProcNode<H>, pin: &Pin<'_>) -> Result<(), FdError> {
        let (files, link) = self.inherit(pin);
        let limit = parent.resources.limits.get(pin).expect("the parent lives");
        let limit = limit.get(Resource::Nofile).soft;
        let limit = u32::try_from(limit).map_or(FDS_MAX, |limit| limit.min(FDS_MAX));
        let table = files.borrow().table();
        let mut at = 0..self.plan.steps.len();
        let done = at.try_for_each(|at| self.take_step(self.plan.steps[at], table, limit, pin));
        self.files = Some((files, link));
        done
    }

    /// Takes a step on the child's table.
    fn take_step(
        &mut self,
        step: FdStep,
        table: &FdTable<H::File>,
        limit: u32,
        pin: &Pin<'_>,
    ) -> Result<(), FdError> {
        let index = |fd: Fd, limit| u32::try_from(fd.0).ok().filter(|fd| *fd < limit);
        let (let_go, result) = match step {
            FdStep::Close(fd) => {
                (index(fd, FDS_MAX).and_then(|fd| table.take(fd, pin).ok()), Ok(()))
            }
            FdStep::Dup { from, to } => {
                let from = index(from, FDS_MAX).ok_or(FdError::BadFd)?;
                let to = index(to, limit).ok_or(FdError::BadFd)?;
                let source = match self.plan.files {
                    Rfork::Fresh => self.forker.table.table(),
                    Rfork::Share | Rfork::Copy => table,
                };
                let (file, _) = source.hold(from, pin).ok_or(FdError::BadFd)?;
                match table.place(to, file, OnExec::Keep, pin) {
                    Ok(before) => (before, Ok(())),
                    Err(file) => (Some(file), Err(FdError::Busy)),
                }
            }
        };
        self.plan.closed.extend(let_go.and_then(|hold| hold.release(|| pin)));
        result
    }

    fn give_files_back(&mut self, seat: &Seat<'_, H>) {
        if let Some((files, link)) = self.files.take() {
            files.release(|| seat.pin(), |file| self.plan.closed.push(file));
            link.clear(|| seat.pin());
        }
    }

    /// Counts the child into its group; `None`: into its parent's, when it is built.
    fn take_group(
        &self,
        seat: &Seat<'_, H>,
        parent: &ProcNode<H>,
        born: Born<'_>,
        pin: &Pin<'_>,
    ) -> Result<Option<Tagged<Membership>>, GroupError> {
        let found =
            |what| regroup::found_for(seat.world(), seat.me(), parent, born, what, pin).map(Some);
        match (self.plan.session, self.plan.group) {
            (SpawnSession::Inherit, SpawnGroup::Inherit) => Ok(None),
            (SpawnSession::Inherit, SpawnGroup::New) => found(Founding::Group),
            (SpawnSession::Inherit, SpawnGroup::Join(pgid)) => {
                regroup::join_for(seat.world(), seat.me(), parent, born.id, pgid, pin).map(Some)
            }
            (SpawnSession::New, SpawnGroup::Inherit | SpawnGroup::New) => found(Founding::Session),
            (SpawnSession::New, SpawnGroup::Join(_)) => Err(GroupError::SessionLeader),
        }
    }
}

impl<H: Host> Shape<H> for Planned<'_, H> {
    type Error = SpawnError;

    fn forker(&self) -> Forker<'_, H> {
        self.forker
    }

    fn cred(&mut self, parents: CredRef, pin: &Pin<'_>) -> Result<CredRef, SpawnError> {
        if self.plan.cred.is_none() && self.plan.changes.is_empty() {
            return Ok(parents);
        }
        let mut cred = self.plan.cred.take().unwrap_or_else(|| parents.get().clone());
        parents.release(pin);
        for change in &self.plan.changes {
            cred = cred.changed(change).map_err(SpawnError::Cred)?;
        }
        Ok(CredRef::new(cred))
    }

    fn namespace(&self) -> Option<u32> {
        self.plan.namespace
    }

    fn prepare(
        &mut self,
        seat: &Seat<'_, H>,
        parent: &ProcNode<H>,
        born: Born<'_>,
        pin: &Pin<'_>,
    ) -> Result<(), SpawnError> {
        let files = self.take_files(parent, pin).map_err(SpawnError::Files);
        let group = files
            .and_then(|()| self.take_group(seat, parent, born, pin).map_err(SpawnError::Group));
        match group {
            Ok(membership) => {
                self.membership = membership;
                Ok(())
            }
            Err(why) => {
                self.give_files_back(seat);
                Err(why)
            }
        }
    }

    fn undo(&mut self, seat: &Seat<'_, H>, pin: &Pin<'_>) {
        if let Some(membership) = self.membership.take() {
            regroup::part_unborn(seat.world(), seat.me(), membership, pin);
        }
        self.give_files_back(seat);
    }

    fn vmspace(&mut self) -> Option<H::VmSpace> {
        self.plan.vmspace.take()
    }

    fn files(&mut self, _: &Pin<'_>) -> NewTable<H::File> {
        self.files.take().expect("taken by `prepare`")
    }

    fn anchor(&self, seat: &Seat<'_, H>) -> Arc<Anchor<H>> {
        self.anchor.map_or_else(|| seat.anchor(), Arc::clone)
    }

    fn join(&mut self, parent: &ProcNode<H>, child: &ProcNode<H>, pin: &Pin<'_>) {
        match self.membership.take() {
            // Relaxed: published with the child [P3].
            Some(membership) => child.membership.store(membership, Relaxed),
            None => pgrp::inherit(parent, child, pin),
        }
    }

    fn line(&self) -> Line {
        self.plan.line
    }

    fn dress(
        &mut self,
        parent: &ProcNode<H>,
        child: &ProcNode<H>,
        lwp: &LwpNode<H>,
        pin: &Pin<'_>,
    ) {
        if let Some(name) = self.plan.name {
            child.resources.set_comm(name, pin);
        }
        pending::born_blocking(lwp, self.plan.blocked);
        if !std::ptr::eq(child.resources.user(), parent.resources.user()) {
            child.word.note_new_user();
        }
        for (key, value) in self.plan.data.drain(..) {
            // One that comes after another under the same key replaces it.
            self.plan.replaced.extend(child.resources.specific.set(key, value, pin));
        }
    }
}
