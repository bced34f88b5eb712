//! Numbers as a process gives and gets them: those of its pid namespace.
//!
//! To one that is in none they are the kernel's: one branch, and what is behind it.

use crate::host::Host;
use crate::id::{Identity, Lid, Pid};
use crate::object::group::{GroupPtr, Pgrp, Session};
use crate::object::namespace::{Namespace, Numbers};
use crate::object::node::{LwpNode, LwpPtr, ProcNode, ProcPtr};
use crate::object::table::{self, Table};
use crate::pgrp;
use crate::reclaim::Pin;
use crate::sync::Arc;

/// How to number: as the kernel does, or as a namespace does.
pub(crate) struct Numbering<'a>(Option<&'a Namespace>);

impl Clone for Numbering<'_> {
    fn clone(&self) -> Self {
        *self
    }
}
impl Copy for Numbering<'_> {}

impl<'a> Numbering<'a> {
    #[inline]
    pub(crate) fn within(namespace: Option<&'a Namespace>) -> Self {
        Self(namespace)
    }

    /// As that process does.
    #[inline]
    pub(crate) fn of<H: Host>(proc: &'a ProcNode<H>) -> Self {
        Self(proc.numbers().map(|numbers| &**numbers.namespace()))
    }

    /// The namespace, as what names it: the id of its init.
    #[inline]
    pub(crate) fn namespace(self) -> Option<Identity> {
        self.0.map(|namespace| namespace.init)
    }

    /// The number of what has that id and those numbers; `None`: it is outside.
    #[inline]
    pub(crate) fn number(self, id: Identity, numbers: Option<&Arc<Numbers>>) -> Option<i32> {
        match self.0 {
            None => Some(id.number()),
            Some(namespace) => numbers?.within(namespace),
        }
    }

    /// Whether it has a number.
    #[inline]
    pub(crate) fn sees<H: Host>(self, proc: &ProcNode<H>) -> bool {
        self.0.is_none() || self.number(proc.id, proc.numbers()).is_some()
    }

    /// A process's number; 0 of one that is outside.
    #[inline]
    pub(crate) fn pid<H: Host>(self, proc: &ProcNode<H>) -> Pid {
        Pid(self.number(proc.id, proc.numbers()).unwrap_or(0))
    }

    /// A group's number; 0 of one that is outside.
    #[inline]
    pub(crate) fn pgid(self, group: &Pgrp) -> Pid {
        Pid(self.number(group.id, group.numbers.as_ref()).unwrap_or(0))
    }

    /// A session's number; 0 of one that is outside.
    #[inline]
    pub(crate) fn sid(self, session: &Session) -> Pid {
        Pid(self.number(session.id, session.numbers.as_ref()).unwrap_or(0))
    }

    /// The number of an LWP of that process; `None`: it is outside.
    #[inline]
    pub(crate) fn lid<H: Host>(self, lwp: &LwpNode<H>, proc: &ProcNode<H>) -> Option<Lid> {
        match self.0 {
            None => Some(lwp.lid()),
            Some(namespace) => lwp.numbers(proc)?.within(namespace).map(Lid),
        }
    }

    /// The number of a group or process of that id; 0 of one that is outside, or gone.
    pub(crate) fn number_of<H: Host>(self, ids: &Table<H>, id: Identity, pin: &Pin<'_>) -> Pid {
        if self.0.is_none() {
            return id.pid();
        }
        let group = pgrp::resolve(ids, id, pin).map(|(group, _)| self.pgid(group));
        let proc = || table::resolve(ids, id, pin).map(|(proc, _)| self.pid(proc));
        group.or_else(proc).unwrap_or(Pid(0))
    }

    /// The kernel's number of whatever has that number here. Wait-free.
    #[inline]
    pub(crate) fn kernels(self, number: Pid) -> Option<Pid> {
        match self.0 {
            None => Some(number),
            Some(namespace) => namespace.id_of(number.0).map(Identity::pid),
        }
    }

    /// The process with that number, zombies included. Wait-free.
    #[inline]
    pub(crate) fn find<'g, H: Host>(
        self,
        ids: &Table<H>,
        pid: Pid,
        pin: &'g Pin<'_>,
    ) -> Option<(&'g ProcNode<H>, ProcPtr<H>)> {
        match self.0 {
            None => table::find(ids, pid, pin),
            Some(namespace) => table::resolve(ids, namespace.id_of(pid.0)?, pin),
        }
    }

    /// The live LWP with that number. Wait-free.
    #[inline]
    pub(crate) fn find_lwp<'g, H: Host>(
        self,
        ids: &Table<H>,
        lid: Lid,
        pin: &'g Pin<'_>,
    ) -> Option<(&'g LwpNode<H>, LwpPtr<H>)> {
        match self.0 {
            None => table::find_lwp(ids, lid, pin),
            Some(namespace) => table::resolve_lwp(ids, namespace.id_of(lid.0)?, pin),
        }
    }

    /// The living group with that number. Wait-free.
    #[inline]
    pub(crate) fn find_group<'g, H: Host>(
        self,
        ids: &'g Table<H>,
        pgid: Pid,
        pin: &'g Pin<'_>,
    ) -> Option<(&'g Pgrp, GroupPtr)> {
        match self.0 {
            None => pgrp::find(ids, pgid, pin),
            Some(namespace) => pgrp::resolve(ids, namespace.id_of(pgid.0)?, pin),
        }
    }
}
