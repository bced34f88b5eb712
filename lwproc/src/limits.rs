//! Resource limits (`plimit`): what a process may use.
//!
//! A set of limits is immutable. Processes share sets; a change makes a new set
//! for the process that changes, and never touches one that another process can
//! see (R11). A child takes one snapshot of its parent's (R12).

use crate::errno::errors;
use crate::reclaim::counted::{CountedCell, CountedRef};

/// A reference to a set of limits.
pub(crate) type LimitsRef = CountedRef<Limits>;

/// The limits of a process (`p_limit`). Empty once it has ended.
pub(crate) type LimitsCell = CountedCell<Limits>;

macro_rules! resources {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// What can be limited: the resources of NetBSD's and Linux's `setrlimit`.
        /// `Nproc`, `Nthr` and `Nofile` are enforced by this library, the others are kept
        /// for the embedder.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[non_exhaustive]
        pub enum Resource { $($(#[$doc])* $name,)+ }

        impl Resource {
            /// All of them.
            pub const ALL: &'static [Resource] = &[$(Resource::$name,)+];
        }
    };
}

resources! {
    /// CPU time, seconds.
    Cpu,
    /// Size of a file, bytes.
    Fsize,
    /// Data segment, bytes.
    Data,
    /// Stack, bytes.
    Stack,
    /// Core file, bytes.
    Core,
    /// Resident set, bytes.
    Rss,
    /// Locked memory, bytes.
    Memlock,
    /// Processes of the real user; see
    /// [`LimitsPolicy`](crate::LimitsPolicy).
    Nproc,
    /// One more than the largest descriptor. A table ends at 2^20 whatever the limit is.
    Nofile,
    /// Socket buffers, bytes.
    Sbsize,
    /// Address space, bytes.
    As,
    /// LWPs of the real user, the first of each process not counted; see
    /// [`LimitsPolicy`](crate::LimitsPolicy).
    Nthr,
    /// File locks.
    Locks,
    /// Queued signals.
    Sigpending,
    /// POSIX message queues, bytes.
    Msgqueue,
    /// Ceiling of the nice value, as 20 - nice.
    Nice,
    /// Ceiling of the real-time priority.
    Rtprio,
    /// CPU time without a blocking call, microseconds.
    Rttime,
}

const COUNT: usize = Resource::ALL.len();

/// One limit. [`Limit::INFINITY`] means none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Limit {
    /// What is enforced (`rlim_cur`).
    pub soft: u64,
    /// How far the process may raise the soft limit (`rlim_max`).
    pub hard: u64,
}

impl Limit {
    /// No limit (`RLIM_INFINITY`).
    pub const INFINITY: u64 = u64::MAX;

    /// No limit at all.
    pub const NONE: Limit = Limit { soft: Self::INFINITY, hard: Self::INFINITY };

    /// The same limit, soft and hard.
    pub fn both(value: u64) -> Self {
        Self { soft: value, hard: value }
    }
}

errors! {
    /// Why a limit was not changed.
    LimitError {
        /// The soft limit is above the hard one.
        SoftAboveHard => EINVAL, "the soft limit is above the hard one";
        /// Only the superuser raises a hard limit.
        NotPermitted => EPERM, "only the superuser raises a hard limit";
    }
}

/// A limit for each [`Resource`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits([Limit; COUNT]);

impl Limits {
    /// No limit on anything.
    pub fn unlimited() -> Self {
        Self([Limit::NONE; COUNT])
    }

    /// The limit of one resource.
    pub fn get(&self, resource: Resource) -> Limit {
        self.0[resource as usize]
    }

    /// These limits but for one resource.
    ///
    /// # Errors
    /// [`LimitError::SoftAboveHard`] (EINVAL).
    pub fn with(mut self, resource: Resource, limit: Limit) -> Result<Self, LimitError> {
        if limit.soft > limit.hard {
            return Err(LimitError::SoftAboveHard);
        }
        self.0[resource as usize] = limit;
        Ok(self)
    }

    /// As [`Limits::with`], for a process that changes its own.
    pub(crate) fn changed(
        &self,
        resource: Resource,
        limit: Limit,
        by: Privilege,
    ) -> Result<Self, LimitError> {
        let changed = self.clone().with(resource, limit)?;
        if by == Privilege::Ordinary && limit.hard > self.get(resource).hard {
            return Err(LimitError::NotPermitted);
        }
        Ok(changed)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::unlimited()
    }
}

/// Whether the one who changes a limit may raise the hard one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Privilege {
    Superuser,
    Ordinary,
}

#[cfg(all(test, not(lwproc_loom)))]
mod tests {
    use super::*;

    #[test]
    fn hard_limits_go_down_freely_and_up_by_privilege() {
        use Privilege::{Ordinary, Superuser};
        let old = Limits::unlimited().with(Resource::Nofile, Limit { soft: 10, hard: 20 }).unwrap();
        let limit = |soft, hard| Limit { soft, hard };
        let table = [
            (limit(20, 20), Ordinary, Ok(())),
            (limit(0, 0), Ordinary, Ok(())),
            (limit(10, 21), Ordinary, Err(LimitError::NotPermitted)),
            (limit(10, 21), Superuser, Ok(())),
            (limit(21, 20), Superuser, Err(LimitError::SoftAboveHard)),
            (limit(22, 21), Ordinary, Err(LimitError::SoftAboveHard)),
        ];
        for (new, by, expected) in table {
            let changed = old.changed(Resource::Nofile, new, by);
            assert_eq!(changed.as_ref().map(drop), expected.as_ref().map(drop), "{new:?} {by:?}");
            if let Ok(changed) = changed {
                assert_eq!(changed.get(Resource::Nofile), new);
                assert_eq!(changed.get(Resource::Nproc), Limit::NONE);
            }
        }
    }
}
