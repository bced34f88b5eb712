//! A set of ids, and the rules by which each may change.

use crate::error::CredError;

/// One of the two sets of ids: users or groups.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct IdSet {
    /// Real: who started it.
    pub real: u32,
    /// Effective: what it may do.
    pub effective: u32,
    /// Saved: what it may become again.
    pub saved: u32,
}

impl IdSet {
    /// All three the same.
    pub const fn all(id: u32) -> Self {
        Self { real: id, effective: id, saved: id }
    }

    fn has(self, id: u32) -> bool {
        [self.real, self.effective, self.saved].contains(&id)
    }

    /// `setuid`: with privilege all three, else the effective id to the real
    /// or saved one.
    pub(super) fn set(self, id: u32, privilege: Privilege) -> Result<Self, CredError> {
        match privilege {
            Privilege::Super => Ok(Self::all(id)),
            Privilege::None if id == self.real || id == self.saved => {
                Ok(Self { effective: id, ..self })
            }
            Privilege::None => Err(CredError::NotPermitted),
        }
    }

    /// `seteuid`: the effective id, to the real or saved one without privilege.
    pub(super) fn set_effective(self, id: u32, privilege: Privilege) -> Result<Self, CredError> {
        if privilege == Privilege::None && id != self.real && id != self.saved {
            return Err(CredError::NotPermitted);
        }
        Ok(Self { effective: id, ..self })
    }

    /// `setreuid`: without privilege the real id to the real or effective one,
    /// the effective to any of the three. The saved id follows the effective
    /// one when the real is set, or the effective is set to other than the
    /// real.
    pub(super) fn set_real_effective(
        self,
        real: Option<u32>,
        effective: Option<u32>,
        privilege: Privilege,
    ) -> Result<Self, CredError> {
        if privilege == Privilege::None {
            let real_ok = real.is_none_or(|id| id == self.real || id == self.effective);
            if !real_ok || !effective.is_none_or(|id| self.has(id)) {
                return Err(CredError::NotPermitted);
            }
        }
        let follows = real.is_some() || effective.is_some_and(|id| id != self.real);
        let effective = effective.unwrap_or(self.effective);
        let saved = if follows { effective } else { self.saved };
        Ok(Self { real: real.unwrap_or(self.real), effective, saved })
    }

    /// `setresuid`: without privilege each to any of the three.
    pub(super) fn set_all(
        self,
        real: Option<u32>,
        effective: Option<u32>,
        saved: Option<u32>,
        privilege: Privilege,
    ) -> Result<Self, CredError> {
        let mut wanted = [real, effective, saved].into_iter().flatten();
        if privilege == Privilege::None && !wanted.all(|id| self.has(id)) {
            return Err(CredError::NotPermitted);
        }
        Ok(Self {
            real: real.unwrap_or(self.real),
            effective: effective.unwrap_or(self.effective),
            saved: saved.unwrap_or(self.saved),
        })
    }
}

/// What the effective user id gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Privilege {
    /// Effective uid 0.
    Super,
    None,
}
