//! The part of the model that is about credentials, and what each user has.

use super::Driver;
use super::state::Model;
use lwproc::*;
use std::sync::Arc;

/// Who a process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredModel {
    pub users: IdSet,
    pub groups: IdSet,
    pub supplementary: Vec<u32>,
}

/// -1.
const NO_ID: u32 = u32::MAX;

/// A change of the user ids, or of the group ids: `setuid` and its like.
#[derive(Clone, Copy, Debug)]
pub enum IdChange {
    Set(u32),
    Effective(u32),
    RealEffective(Option<u32>, Option<u32>),
    All(Option<u32>, Option<u32>, Option<u32>),
}

/// An operation on the current process's credentials.
#[derive(Clone, Copy, Debug)]
pub enum CredOp {
    Users(IdChange),
    Groups(IdChange),
    /// As many supplementary groups.
    Supplementary(u32),
    /// What the embedder itself decides, by no rule: all user ids, as in a login.
    Become(u32),
    /// The embedder looks, and decides against it.
    Refuse,
}

impl CredOp {
    /// Ids are few, so that they meet; and some are none.
    pub fn from_bytes(code: u8, a: u8, b: u8) -> Self {
        let id = |n: u8| if n > 250 { NO_ID } else { u32::from(n % 4) };
        let maybe = |n: u8| (n % 5 < 4).then(|| id(n % 5));
        let change = match code / 8 % 5 {
            0 => IdChange::Set(id(a)),
            1 | 2 => IdChange::Effective(id(a)),
            3 => IdChange::RealEffective(maybe(a), maybe(b)),
            _ => IdChange::All(maybe(a), maybe(b), maybe(a / 5)),
        };
        match code % 8 {
            0..=3 => Self::Users(change),
            4 | 5 => Self::Groups(change),
            6 if b > 200 => Self::Refuse,
            6 => Self::Become(u32::from(a % 4)),
            _ if a == 255 => Self::Supplementary(GROUPS_MAX as u32 + 1),
            _ => Self::Supplementary(u32::from(a % 4)),
        }
    }

    /// What the library is told; `None`: it is told nothing.
    fn to_change(self) -> Option<CredChange> {
        Some(match self {
            Self::Users(IdChange::Set(id)) => CredChange::SetUid(id),
            Self::Users(IdChange::Effective(id)) => CredChange::SetEuid(id),
            Self::Users(IdChange::RealEffective(r, e)) => CredChange::SetReuid(r, e),
            Self::Users(IdChange::All(r, e, s)) => CredChange::SetResuid(r, e, s),
            Self::Groups(IdChange::Set(id)) => CredChange::SetGid(id),
            Self::Groups(IdChange::Effective(id)) => CredChange::SetEgid(id),
            Self::Groups(IdChange::RealEffective(r, e)) => CredChange::SetRegid(r, e),
            Self::Groups(IdChange::All(r, e, s)) => CredChange::SetResgid(r, e, s),
            Self::Supplementary(n) => CredChange::SetGroups((0..n).collect::<Arc<[u32]>>()),
            Self::Become(_) | Self::Refuse => return None,
        })
    }
}

/// The ids after a change; `None`: only the superuser may do that.
fn ids_after(ids: IdSet, change: IdChange, superuser: bool) -> Option<IdSet> {
    let IdSet { real, effective, saved } = ids;
    let one_of = |these: &[u32], id: Option<u32>| id.is_none_or(|id| these.contains(&id));
    let any = [real, effective, saved];
    let may = match change {
        IdChange::Set(id) | IdChange::Effective(id) => one_of(&[real, saved], Some(id)),
        IdChange::RealEffective(r, e) => one_of(&[real, effective], r) && one_of(&any, e),
        IdChange::All(r, e, s) => one_of(&any, r) && one_of(&any, e) && one_of(&any, s),
    };
    (may || superuser).then(|| match change {
        IdChange::Set(id) if superuser => IdSet::all(id),
        IdChange::Set(id) | IdChange::Effective(id) => IdSet { effective: id, ..ids },
        IdChange::RealEffective(r, e) => {
            let follows = r.is_some() || e.is_some_and(|e| e != real);
            let now = e.unwrap_or(effective);
            IdSet {
                real: r.unwrap_or(real),
                effective: now,
                saved: if follows { now } else { saved },
            }
        }
        IdChange::All(r, e, s) => IdSet {
            real: r.unwrap_or(real),
            effective: e.unwrap_or(effective),
            saved: s.unwrap_or(saved),
        },
    })
}

impl CredModel {
    pub fn superuser() -> Self {
        Self { users: IdSet::all(0), groups: IdSet::all(0), supplementary: Vec::new() }
    }

    pub fn of(cred: &Cred) -> Self {
        let supplementary = cred.supplementary().to_vec();
        Self { users: cred.users(), groups: cred.groups(), supplementary }
    }

    pub fn is_superuser(&self) -> bool {
        self.users.effective == 0
    }

    fn change(&mut self, op: CredOp) -> Result<(), CredError> {
        let superuser = self.is_superuser();
        if let CredOp::Users(IdChange::Set(NO_ID) | IdChange::Effective(NO_ID))
        | CredOp::Groups(IdChange::Set(NO_ID) | IdChange::Effective(NO_ID)) = op
        {
            return Err(CredError::InvalidId);
        }
        let ids = |ids, change| ids_after(ids, change, superuser).ok_or(CredError::NotPermitted);
        match op {
            CredOp::Users(change) => self.users = ids(self.users, change)?,
            CredOp::Groups(change) => self.groups = ids(self.groups, change)?,
            CredOp::Supplementary(_) if !superuser => return Err(CredError::NotPermitted),
            CredOp::Supplementary(n) if n as usize > GROUPS_MAX => {
                return Err(CredError::TooManyGroups);
            }
            CredOp::Supplementary(n) => self.supplementary = (0..n).collect(),
            CredOp::Become(id) => *self = Self { users: IdSet::all(id), ..Self::superuser() },
            CredOp::Refuse => return Err(CredError::NotPermitted),
        }
        Ok(())
    }
}

impl Model {
    /// What a user has: its processes, zombies too, and their LWPs but for the first
    /// of each.
    pub fn user_counts(&self, uid: u32) -> (usize, usize) {
        let own = || self.procs.values().filter(|p| p.cred.users.real == uid);
        (own().count(), own().map(|p| p.lwps.len().saturating_sub(1)).sum())
    }
}

impl Driver<'_> {
    pub fn cred_step(&mut self, op: CredOp) {
        let k = self.k.as_mut().unwrap();
        let got = match (op.to_change(), op) {
            (Some(change), _) => k.creds().set(&change),
            (None, CredOp::Become(id)) => {
                k.creds().commit(|_| Cred::superuser().changed(&CredChange::SetUid(id)))
            }
            _ => k.creds().commit(|_| Err(CredError::NotPermitted)),
        };
        let pid = self.model.curproc();
        let proc = self.model.procs.get_mut(&pid).unwrap();
        let real = proc.cred.users.real;
        assert_eq!(got, proc.cred.change(op));
        proc.new_user |= proc.cred.users.real != real;
    }

    /// The snapshot of the current LWP, and the counts of every user. (The
    /// processes' credentials are compared with the processes.)
    pub fn check_creds(&self) {
        let (model, k) = (&self.model, self.k.as_ref().unwrap());
        let cred = CredModel::of(k.cred());
        assert_eq!(cred, model.procs[&model.curproc()].cred);
        for uid in 0..4 {
            let charged = self.kernel.user_counts(uid);
            assert_eq!((charged.procs, charged.lwps), model.user_counts(uid), "user {uid}");
            assert_eq!(charged, self.kernel.user_counts_by_scan(uid), "user {uid}, by scan");
        }
    }
}
