//! The part of the model that is about limits: of a process, and on how many
//! processes there are.

use super::Driver;
use super::state::Model;
use lwproc::*;

/// An operation on limits.
#[derive(Clone, Copy, Debug)]
pub enum LimitOp {
    Set(Resource, Limit),
    /// Whether the limits on a user's processes and LWPs hold.
    Policy(Enforcement, Enforcement),
    /// The most of the kernel.
    Most(Most, u64),
}

/// What a kernel may have a most of.
#[derive(Clone, Copy, Debug)]
pub enum Most {
    Procs,
    Lwps,
    LwpsOfOne,
}

impl LimitOp {
    /// Numbers are small, so that limits are met. Any resource at times, mostly those that
    /// count processes and LWPs.
    pub fn from_bytes(code: u8, a: u8, b: u8) -> Self {
        let value = |n: u8| if n > 200 { Limit::INFINITY } else { u64::from(n % 8) };
        let limit = Limit { soft: value(a), hard: value(b) };
        let holds = |n| if n % 4 == 0 { Enforcement::Ignored } else { Enforcement::Enforced };
        match code % 8 {
            0 => Self::Policy(holds(a), holds(b)),
            1 => {
                let of = [Most::Procs, Most::Lwps, Most::LwpsOfOne][usize::from(a) % 3];
                Self::Most(of, if b > 120 { u64::MAX } else { u64::from(b % 12) })
            }
            2 => Self::Set(Resource::Nthr, limit),
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

    pub fn most(&self, of: Most) -> u64 {
        self.mosts[of as usize]
    }

    pub fn lwps_full(&self) -> bool {
        self.lwps() as u64 >= self.most(Most::Lwps)
    }

    /// Why that process, which could have another LWP otherwise, is not to have one.
    pub fn lwp_limit(&self, pid: Pid) -> Option<NewLwpError> {
        let proc = &self.procs[&pid];
        let (_, own) = self.user_counts(proc.cred.users.real);
        let limited = self.nthr == Enforcement::Enforced && !proc.cred.is_superuser();
        if self.lwps_full() {
            Some(NewLwpError::KernelFull)
        } else if pid > Pid(1) && proc.lwps.len() as u64 >= self.most(Most::LwpsOfOne) {
            Some(NewLwpError::ProcessFull)
        } else if limited && own as u64 >= self.limit(pid, Resource::Nthr).soft {
            Some(NewLwpError::Limit)
        } else {
            None
        }
    }

    /// Whether that process has a new user, of which there is too much for an exec.
    pub fn new_user_is_over_the_limit(&self, pid: Pid) -> bool {
        let proc = &self.procs[&pid];
        let (own, _) = self.user_counts(proc.cred.users.real);
        let limited = self.nproc == Enforcement::Enforced && !proc.cred.is_superuser();
        proc.new_user && limited && own as u64 - 1 > self.limit(pid, Resource::Nproc).soft
    }

    /// Why that process cannot have a child, if it cannot.
    pub fn fork_error(&self, parent: Pid) -> Option<ForkError> {
        let proc = &self.procs[&parent];
        let (own, _) = self.user_counts(proc.cred.users.real);
        let limited = self.nproc == Enforcement::Enforced && !proc.cred.is_superuser();
        if self.procs.len() as u64 >= self.most(Most::Procs) || self.lwps_full() {
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
            LimitOp::Policy(nproc, nthr) => {
                let policy = LimitsPolicy::default().with_nproc(nproc).with_nthr(nthr);
                self.kernel.set_limits_policy(policy);
                (self.model.nproc, self.model.nthr) = (nproc, nthr);
            }
            LimitOp::Most(of, most) => {
                match of {
                    Most::Procs => self.kernel.set_max_procs(most),
                    Most::Lwps => self.kernel.set_max_lwps(most),
                    Most::LwpsOfOne => self.kernel.set_max_lwps_per_proc(most),
                }
                self.model.mosts[of as usize] = most;
            }
        }
    }

    /// The limits of the current process, and which hold. (Those of all are compared with
    /// the processes.)
    pub fn check_limits(&self) {
        let (model, k) = (&self.model, self.k.as_ref().unwrap());
        let LimitsPolicy { nproc, nthr, .. } = self.kernel.limits_policy();
        assert_eq!((nproc, nthr), (model.nproc, model.nthr));
        let kernel = self.kernel;
        let mosts = [kernel.max_procs(), kernel.max_lwps(), kernel.max_lwps_per_proc()];
        assert_eq!(mosts, model.mosts);
        let limits = k.resources().limits();
        for resource in Resource::ALL {
            let known = model.limit(model.curproc(), *resource);
            assert_eq!((limits.get(*resource), k.resources().limit(*resource)), (known, known));
        }
    }
}
