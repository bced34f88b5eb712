//! The part of the model that is about limits: of a process, and on how many
//! processes there are.

use super::Driver;
use super::state::Model;
use lwproc::*;

/// An operation on limits.
#[derive(Clone, Copy, Debug)]
pub enum LimitOp {
    Set(Resource, Limit),
    /// Whether the limit on a user's processes holds.
    Policy(Enforcement),
}

impl LimitOp {
    /// Numbers are small, so that limits are met. Any resource at times, mostly the one
    /// that counts processes.
    pub fn from_bytes(code: u8, a: u8, b: u8) -> Self {
        let value = |n: u8| if n > 200 { Limit::INFINITY } else { u64::from(n % 8) };
        let limit = Limit { soft: value(a), hard: value(b) };
        match code % 8 {
            0 | 1 => Self::Policy(Enforcement::Enforced),
            2 => Self::Policy(Enforcement::Ignored),
            3..=5 => Self::Set(Resource::Nproc, limit),
            _ => Self::Set(Resource::ALL[usize::from(code) / 8 % Resource::ALL.len()], limit),
        }
    }
}

impl Model {
    pub fn limit(&self, pid: Pid, resource: Resource) -> Limit {
        self.procs[&pid].limits[resource as usize]
    }

    /// A change by the current process of its own limits; the one before.
    fn set_limit(&mut self, resource: Resource, limit: Limit) -> Result<Limit, LimitError> {
        let pid = self.curproc();
        let proc = self.procs.get_mut(&pid).unwrap();
        let old = proc.limits[resource as usize];
        if limit.soft > limit.hard {
            return Err(LimitError::SoftAboveHard);
        }
        if limit.hard > old.hard && !proc.cred.is_superuser() {
            return Err(LimitError::NotPermitted);
        }
        proc.limits[resource as usize] = limit;
        Ok(old)
    }

    /// Why that process cannot have a child, if it cannot.
    pub fn fork_error(&self, parent: Pid) -> Option<ForkError> {
        let proc = &self.procs[&parent];
        let (own, _) = self.user_counts(proc.cred.users.real);
        let limited = self.nproc == Enforcement::Enforced && !proc.cred.is_superuser();
        if self.settings.max_procs.is_some_and(|max| self.procs.len() as u64 >= max) {
            Some(ForkError::KernelFull)
        } else if limited && own as u64 >= self.limit(parent, Resource::Nproc).soft {
            Some(ForkError::Limit)
        } else {
            self.full().then_some(ForkError::IdsExhausted)
        }
    }
}

impl Driver<'_> {
    pub fn set_limit(&mut self, resource: Resource, limit: Limit) {
        let got = self.k.as_ref().unwrap().resources().set_limit(resource, limit);
        assert_eq!(got, self.model.set_limit(resource, limit));
    }

    pub fn limit_step(&mut self, op: LimitOp) {
        match op {
            LimitOp::Set(resource, limit) => self.set_limit(resource, limit),
            LimitOp::Policy(nproc) => {
                self.kernel.set_limits_policy(LimitsPolicy::default().with_nproc(nproc));
                self.model.nproc = nproc;
            }
        }
    }

    /// The limits of the current process, and which hold. (Those of all are compared with
    /// the processes.)
    pub fn check_limits(&self) {
        let (model, k) = (&self.model, self.k.as_ref().unwrap());
        assert_eq!(self.kernel.limits_policy().nproc, model.nproc);
        let limits = k.resources().limits();
        for resource in Resource::ALL {
            let known = model.limit(model.curproc(), *resource);
            assert_eq!((limits.get(*resource), k.resources().limit(*resource)), (known, known));
        }
    }
}
