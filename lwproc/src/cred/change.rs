//! The changes of credentials that POSIX knows, and their rules.

use super::ids::Privilege;
use super::{Cred, IdSet};
use crate::error::CredError;
use std::sync::Arc;

/// The most supplementary groups.
pub const GROUPS_MAX: usize = 65_536;

/// A change of credentials, by the rules of POSIX. `None` leaves an id as it
/// is (-1 in C).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum CredChange {
    /// `setuid(2)`.
    SetUid(u32),
    /// `seteuid(2)`.
    SetEuid(u32),
    /// `setreuid(2)`: real, effective.
    SetReuid(Option<u32>, Option<u32>),
    /// `setresuid(2)`: real, effective, saved.
    SetResuid(Option<u32>, Option<u32>, Option<u32>),
    /// `setgid(2)`.
    SetGid(u32),
    /// `setegid(2)`.
    SetEgid(u32),
    /// `setregid(2)`: real, effective.
    SetRegid(Option<u32>, Option<u32>),
    /// `setresgid(2)`: real, effective, saved.
    SetResgid(Option<u32>, Option<u32>, Option<u32>),
    /// `setgroups(2)`.
    SetGroups(Arc<[u32]>),
}

impl CredChange {
    /// The ids that are set, but for a list of groups.
    fn ids(&self) -> impl Iterator<Item = u32> {
        let ids = match *self {
            Self::SetUid(id) | Self::SetEuid(id) | Self::SetGid(id) | Self::SetEgid(id) => {
                [Some(id), None, None]
            }
            Self::SetReuid(r, e) | Self::SetRegid(r, e) => [r, e, None],
            Self::SetResuid(r, e, s) | Self::SetResgid(r, e, s) => [r, e, s],
            Self::SetGroups(_) => [None; 3],
        };
        ids.into_iter().flatten()
    }
}

/// -1 is none: it says "as it is" to the calls that take several.
fn is_id(id: u32) -> bool {
    id != u32::MAX
}

impl Cred {
    /// Whether the saved ids are the effective ones.
    pub(crate) fn has_saved_effective(&self) -> bool {
        [self.users, self.groups].iter().all(|ids| ids.saved == ids.effective)
    }

    /// As an exec leaves them: the saved ids are the effective ones.
    pub(crate) fn with_saved_effective(&self) -> Cred {
        let saved = |ids: IdSet| IdSet { saved: ids.effective, ..ids };
        Cred { users: saved(self.users), groups: saved(self.groups), ..self.clone() }
    }

    /// The credentials after a change.
    ///
    /// # Errors
    /// [`CredError::InvalidId`] (EINVAL) before [`CredError::NotPermitted`] (EPERM), but
    /// for `SetGroups`, where it comes last, after [`CredError::TooManyGroups`] (EINVAL).
    pub fn changed(&self, change: &CredChange) -> Result<Cred, CredError> {
        let privilege = if self.is_superuser() { Privilege::Super } else { Privilege::None };
        let (users, groups) = (self.users, self.groups);
        let user = |users| Ok(Cred { users, ..self.clone() });
        let group = |groups| Ok(Cred { groups, ..self.clone() });
        if !change.ids().all(is_id) {
            return Err(CredError::InvalidId);
        }
        match change {
            CredChange::SetUid(id) => user(users.set(*id, privilege)?),
            CredChange::SetEuid(id) => user(users.set_effective(*id, privilege)?),
            CredChange::SetReuid(r, e) => user(users.set_real_effective(*r, *e, privilege)?),
            CredChange::SetResuid(r, e, s) => user(users.set_all(*r, *e, *s, privilege)?),
            CredChange::SetGid(id) => group(groups.set(*id, privilege)?),
            CredChange::SetEgid(id) => group(groups.set_effective(*id, privilege)?),
            CredChange::SetRegid(r, e) => group(groups.set_real_effective(*r, *e, privilege)?),
            CredChange::SetResgid(r, e, s) => group(groups.set_all(*r, *e, *s, privilege)?),
            CredChange::SetGroups(_) if privilege == Privilege::None => {
                Err(CredError::NotPermitted)
            }
            CredChange::SetGroups(list) if list.len() > GROUPS_MAX => Err(CredError::TooManyGroups),
            CredChange::SetGroups(list) if !list.iter().copied().all(is_id) => {
                Err(CredError::InvalidId)
            }
            CredChange::SetGroups(list) => Ok(Cred { supplementary: list.clone(), ..self.clone() }),
        }
    }
}

#[cfg(all(test, not(lwproc_loom)))]
mod tests {
    use super::*;
    use crate::cred::IdSet;

    /// Real 10, effective 20, saved 30; and the same as superuser.
    fn user() -> Cred {
        let users = IdSet { real: 10, effective: 20, saved: 30 };
        Cred { users, groups: users, supplementary: Arc::new([7]) }
    }

    fn root() -> Cred {
        Cred { users: IdSet { effective: 0, ..user().users }, ..user() }
    }

    fn users(cred: &Cred, change: CredChange) -> Result<(u32, u32, u32), CredError> {
        cred.changed(&change).map(|c| (c.users.real, c.users.effective, c.users.saved))
    }

    #[test]
    fn users_follow_posix() {
        use CredChange::*;
        let (u, r, no) = (user(), root(), Err(CredError::NotPermitted));
        let table = [
            (&u, SetUid(10), Ok((10, 10, 30))),
            (&u, SetUid(30), Ok((10, 30, 30))),
            (&u, SetUid(20), no),
            (&u, SetUid(0), no),
            (&r, SetUid(5), Ok((5, 5, 5))),
            (&u, SetEuid(10), Ok((10, 10, 30))),
            (&u, SetEuid(30), Ok((10, 30, 30))),
            (&u, SetEuid(20), no),
            (&r, SetEuid(5), Ok((10, 5, 30))),
            (&u, SetReuid(None, None), Ok((10, 20, 30))),
            (&u, SetReuid(Some(20), None), Ok((20, 20, 20))),
            (&u, SetReuid(None, Some(10)), Ok((10, 10, 30))),
            (&u, SetReuid(None, Some(30)), Ok((10, 30, 30))),
            (&u, SetReuid(Some(20), Some(10)), Ok((20, 10, 10))),
            (&u, SetReuid(Some(30), None), no),
            (&u, SetReuid(None, Some(5)), no),
            (&r, SetReuid(Some(5), Some(6)), Ok((5, 6, 6))),
            (&u, SetResuid(None, None, None), Ok((10, 20, 30))),
            (&u, SetResuid(Some(30), Some(10), Some(20)), Ok((30, 10, 20))),
            (&u, SetResuid(None, None, Some(5)), no),
            (&r, SetResuid(Some(1), Some(2), Some(3)), Ok((1, 2, 3))),
        ];
        for (cred, change, expected) in table {
            assert_eq!(users(cred, change.clone()), expected, "{cred:?} {change:?}");
        }
    }

    #[test]
    fn groups_follow_the_same_rules_by_the_users_privilege() {
        let group = |cred: &Cred, change| {
            cred.changed(&change).map(|c| (c.groups.real, c.groups.effective, c.groups.saved))
        };
        let (u, r, no) = (user(), root(), Err(CredError::NotPermitted));
        assert_eq!(group(&u, CredChange::SetGid(5)), no);
        assert_eq!(group(&u, CredChange::SetGid(30)), Ok((10, 30, 30)));
        assert_eq!(group(&r, CredChange::SetGid(5)), Ok((5, 5, 5)));
        assert_eq!(group(&u, CredChange::SetEgid(10)), Ok((10, 10, 30)));
        assert_eq!(group(&u, CredChange::SetRegid(Some(20), None)), Ok((20, 20, 20)));
        assert_eq!(group(&u, CredChange::SetResgid(None, Some(5), None)), no);
        let unchanged = u.changed(&CredChange::SetEgid(10)).unwrap();
        assert_eq!(unchanged.users, u.users);
    }

    #[test]
    fn only_the_superuser_sets_groups() {
        let set = |n| CredChange::SetGroups((0..n).collect());
        assert_eq!(user().changed(&set(1)), Err(CredError::NotPermitted));
        assert_eq!(root().changed(&set(2)).unwrap().supplementary()[..], [0, 1]);
        assert_eq!(root().changed(&set(65_537)), Err(CredError::TooManyGroups));
        assert!(root().changed(&set(0)).unwrap().supplementary().is_empty());
    }
}
