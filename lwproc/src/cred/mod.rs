//! Credentials (kauth): who a process is.
//!
//! A [`Cred`] is immutable. A process has one in a cell; a change makes a new
//! one and commits it with one CAS, or starts over from what another thread
//! committed meanwhile. Each LWP runs on a snapshot of its own, refreshed at its
//! next entry after a change, and so stable during one entry. By Linux's rules it is the LWP's
//! own, which nobody else changes, and the process has what one of them lends it.

mod change;
mod ids;
pub mod uids;

pub use change::{CredChange, GROUPS_MAX};
pub use ids::IdSet;

use crate::reclaim::counted::{CountedCell, CountedRef};
use std::fmt;
use std::sync::Arc;

/// A reference to credentials: a cell's, or an implicit context's snapshot.
pub(crate) type CredRef = CountedRef<Cred>;

/// The credentials of a process (`p_cred`), empty once it has been reaped; or of an LWP.
pub(crate) type CredCell = CountedCell<Cred>;

/// Who a process is: user and group ids, real, effective and saved, and its
/// supplementary groups.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Cred {
    users: IdSet,
    groups: IdSet,
    supplementary: Arc<[u32]>,
}

impl Cred {
    /// The superuser, without supplementary groups: what proc0 has.
    pub fn superuser() -> Self {
        Self { users: IdSet::default(), groups: IdSet::default(), supplementary: Arc::new([]) }
    }

    /// The user ids.
    pub fn users(&self) -> IdSet {
        self.users
    }

    /// The group ids.
    pub fn groups(&self) -> IdSet {
        self.groups
    }

    /// The supplementary groups.
    pub fn supplementary(&self) -> &[u32] {
        &self.supplementary
    }

    /// Effective uid 0.
    pub fn is_superuser(&self) -> bool {
        self.users.effective == 0
    }

    /// Whether it is in a group: effectively, or by a supplementary one.
    pub fn is_in_group(&self, gid: u32) -> bool {
        self.groups.effective == gid || self.supplementary.contains(&gid)
    }
}

impl fmt::Debug for Cred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (u, g) = (self.users, self.groups);
        write!(f, "Cred(uid {}/{}/{} ", u.real, u.effective, u.saved)?;
        write!(f, "gid {}/{}/{} {:?})", g.real, g.effective, g.saved, self.supplementary)
    }
}
