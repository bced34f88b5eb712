//! What the kernel should be.

use super::Settings;
use super::creds::CredModel;
use super::data::{self, Data};
use super::files::FilesModel;
use super::host::Raised;
use super::places::PlaceModel;
use super::watch::WatchModel;
use lwproc::*;
use std::collections::{BTreeMap, BTreeSet};

pub const KILLED: ExitStatus = ExitStatus::signaled(9, CoreDump::None);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcModel {
    pub ppid: Pid,
    pub lwps: BTreeSet<Lid>,
    pub draining: bool,
    /// As a whole: how it ends is said.
    pub exiting: bool,
    pub status: ExitStatus,
    /// Somebody has said how it ends.
    pub said: bool,
    pub zombie: bool,
    pub comm: String,
    pub cred: CredModel,
    /// One for each of [`Resource::ALL`].
    pub limits: Vec<Limit>,
    /// Faults: its own, and of the children it waited for.
    pub faults: (u64, u64),
    pub pgid: Pid,
    pub sid: Pid,
    pub place: PlaceModel,
    pub emul: u32,
    /// Its trace sink.
    pub sink: Option<u32>,
    /// What is shown as its number.
    pub alias: Option<Pid>,
    pub execed: bool,
    /// Its real user has changed since it was made or has execed.
    pub new_user: bool,
    pub pending: SigSet,
    /// What came to many: its children get what waits of it, and SIGKILL.
    pub of_many: SigSet,
    /// Its specific data.
    pub data: Data,
}

/// What an LWP has of its own.
#[derive(Clone, Debug, Default)]
pub struct LwpModel {
    pub pending: SigSet,
    pub blocked: SigSet,
    pub must_exit: bool,
    /// How often the big lock is to be taken when it runs again.
    pub biglocks: u32,
    pub name: Option<String>,
    /// What is shown as its number.
    pub alias: Option<Lid>,
    pub data: Data,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cur {
    pub pid: Pid,
    pub lid: Lid,
    pub refcnt: u32,
    pub exiting: bool,
}

/// What the kernel should be.
pub struct Model {
    pub settings: Settings,
    /// Whether the limit on a user's processes holds.
    pub nproc: Enforcement,
    /// Whether that on its LWPs does.
    pub nthr: Enforcement,
    /// The most processes, LWPs, and LWPs of a process.
    pub mosts: [u64; 3],
    pub procs: BTreeMap<Pid, ProcModel>,
    pub cur: Option<Cur>,
    /// How often the current context holds the big lock.
    pub biglocks: u32,
    pub parked: BTreeSet<(Pid, Lid)>,
    pub files: FilesModel,
    /// Of every live LWP.
    pub lwp_state: BTreeMap<(Pid, Lid), LwpModel>,
    pub watch: WatchModel,
    /// How many places the host has made.
    pub places: u32,
    /// The places given back since the last check.
    pub released: Vec<u32>,
    /// The specific data destroyed since the last check.
    pub destroyed: Vec<data::Place>,
    /// The signals that the host was told of since then.
    pub raised: Vec<(Raised, Pid, u8)>,
    pub default_emul: u32,
    /// The processes made since the last check, and the emulation of each.
    pub interned: Vec<(u32, Pid)>,
}

impl Model {
    pub fn new(settings: Settings) -> Self {
        let permanent = |pid: i32, comm: &str| ProcModel {
            ppid: Pid(0),
            lwps: BTreeSet::from([Lid(pid)]),
            draining: false,
            exiting: false,
            status: ExitStatus::default(),
            said: false,
            zombie: false,
            comm: comm.into(),
            cred: CredModel::superuser(),
            limits: vec![Limit::NONE; Resource::ALL.len()],
            faults: (0, 0),
            pgid: Pid(0),
            sid: Pid(0),
            place: PlaceModel::default(),
            emul: 0,
            sink: None,
            alias: None,
            execed: false,
            new_user: false,
            pending: SigSet::EMPTY,
            of_many: SigSet::EMPTY,
            data: Data::new(),
        };
        let procs =
            BTreeMap::from([(Pid(0), permanent(0, "system")), (Pid(1), permanent(1, "init"))]);
        Self {
            settings,
            nproc: Enforcement::Ignored,
            nthr: Enforcement::Ignored,
            mosts: [settings.max_procs.unwrap_or(u64::MAX), u64::MAX, u64::MAX],
            procs,
            cur: None,
            biglocks: 0,
            parked: BTreeSet::new(),
            files: FilesModel::new(),
            lwp_state: [0, 1].map(|n| ((Pid(n), Lid(n)), LwpModel::default())).into(),
            watch: WatchModel::default(),
            places: 0,
            released: Vec::new(),
            destroyed: Vec::new(),
            raised: Vec::new(),
            default_emul: 0,
            interned: Vec::new(),
        }
    }

    pub fn curproc(&self) -> Pid {
        self.cur.map_or(Pid(1), |cur| cur.pid)
    }

    /// Ids in use, 0 included.
    pub fn ids(&self) -> BTreeSet<i32> {
        let lids = self.procs.values().flat_map(|p| &p.lwps).map(|l| l.0);
        let groups = self.procs.values().flat_map(|p| [p.pgid.0, p.sid.0]);
        self.procs.keys().map(|p| p.0).chain(lids).chain(groups).collect()
    }

    pub fn full(&self) -> bool {
        self.ids().len() == self.settings.capacity + 1
    }

    pub fn lwps(&self) -> usize {
        self.procs.values().map(|p| p.lwps.len()).sum()
    }

    /// The host makes a place for the new process; none if there is to be none.
    pub fn fork(&mut self, parent: Pid, pid: Pid, how: Rfork, space: Option<u32>) {
        assert!(!self.ids().contains(&pid.0), "{pid} is in use");
        let lwps = BTreeSet::from([Lid(pid.0)]);
        let mut child = self.procs[&parent].clone();
        if child.comm.is_empty() {
            child.comm = "rumproc".into();
        }
        let (status, draining, zombie) = (ExitStatus::default(), false, false);
        let (faults, pending, data, execed) = ((0, 0), SigSet::EMPTY, Data::new(), false);
        child =
            ProcModel { ppid: parent, lwps, draining, status, zombie, new_user: false, ..child };
        (child.said, child.exiting) = (false, false);
        child = ProcModel { faults, pending, of_many: pending, data, execed, ..child };
        self.places += 1;
        let place = PlaceModel { own: self.places, from: child.place.own, space };
        child = ProcModel { place, emul: self.default_emul, alias: None, sink: None, ..child };
        self.intern(pid);
        self.procs.insert(pid, child);
        self.files.fork(parent, pid, how);
        self.lwp_state.insert((pid, Lid(pid.0)), LwpModel::default());
        self.tell(parent, TraceEvent::Fork { parent, child: pid });
        self.tell(pid, TraceEvent::LwpCreate { pid, lid: Lid(pid.0) });
    }

    /// The first LWP of a fork blocks what the forking one does.
    pub fn hand_mask_down(&mut self, child: Pid) {
        self.hand_mask_to((child, Lid(child.0)), |_| true);
    }

    /// A further LWP blocks what the one of its process does that makes it.
    pub fn hand_mask_to_further(&mut self, pid: Pid, lid: Lid) {
        self.hand_mask_to((pid, lid), |cur| cur.pid == pid);
    }

    fn hand_mask_to(&mut self, new: (Pid, Lid), is_maker: impl Fn(&Cur) -> bool) {
        let maker = self.cur.filter(is_maker);
        let mask = maker.map_or(SigSet::EMPTY, |cur| self.lwp_state[&(cur.pid, cur.lid)].blocked);
        self.lwp_state.get_mut(&new).unwrap().blocked = mask;
    }

    pub fn newlwp_error(&self, pid: Pid) -> Option<NewLwpError> {
        match self.procs.get(&pid) {
            None => Some(NewLwpError::NoSuchProcess),
            Some(p) if p.lwps.is_empty() => Some(NewLwpError::NoSuchProcess),
            Some(p) if p.draining => Some(NewLwpError::Draining),
            Some(p) => self.lwp_limit(pid).or_else(|| {
                let full = p.lwps.contains(&Lid(pid.0)) && self.full();
                full.then_some(NewLwpError::IdsExhausted)
            }),
        }
    }

    pub fn newlwp(&mut self, pid: Pid, lid: Lid) {
        let free = !self.procs[&pid].lwps.contains(&Lid(pid.0));
        assert_eq!(free, lid.0 == pid.0, "the pid is taken over whenever it is free");
        assert!(free || !self.ids().contains(&lid.0), "{lid} is in use");
        self.files.newlwp(pid, lid);
        self.lwp_state.insert((pid, lid), LwpModel::default());
        self.procs.get_mut(&pid).unwrap().lwps.insert(lid);
        self.tell(pid, TraceEvent::LwpCreate { pid, lid });
    }

    pub fn freelwp(&mut self, pid: Pid, lid: Lid) {
        self.files.freelwp(pid, lid);
        let mut lwp = self.lwp_state.remove(&(pid, lid)).unwrap();
        data::destroy((pid, Some(lid)), &mut lwp.data, &mut self.destroyed);
        assert!(self.procs.get_mut(&pid).unwrap().lwps.remove(&lid));
        self.tell(pid, TraceEvent::LwpExit { pid, lid });
        if self.procs[&pid].lwps.is_empty() {
            self.tell_end(pid);
            self.end(pid);
        }
    }

    /// An LWP is dropped that nobody has released: no success, if it is the last.
    pub fn lose(&mut self, pid: Pid, lid: Lid) {
        let proc = self.procs.get_mut(&pid).unwrap();
        if !proc.said && proc.lwps.len() == 1 {
            proc.status = KILLED;
        }
        self.freelwp(pid, lid);
    }

    /// A process without LWPs ends; it may wait to be reaped.
    fn end(&mut self, pid: Pid) {
        let proc = self.procs.get_mut(&pid).unwrap();
        data::destroy((pid, None), &mut proc.data, &mut self.destroyed);
        let ppid = proc.ppid;
        self.released.push(proc.place.own);
        let orphans: Vec<Pid> =
            self.procs.iter().filter(|(_, p)| p.ppid == pid).map(|(pid, _)| *pid).collect();
        for orphan in orphans {
            if self.procs[&orphan].zombie {
                self.reap(orphan);
            } else {
                self.procs.get_mut(&orphan).unwrap().ppid = Pid(1);
            }
        }
        if self.settings.policy == WaitPolicy::AutoReap || ppid <= Pid(1) {
            self.reap(pid);
        } else {
            let proc = self.procs.get_mut(&pid).unwrap();
            proc.zombie = true;
            let status = proc.status;
            self.tell_kernel(TraceEvent::Zombie { pid, ppid, status });
        }
    }

    /// A process is out of the table; what it was.
    pub fn reap(&mut self, pid: Pid) -> ProcModel {
        let proc = self.procs.remove(&pid).unwrap();
        self.tell_kernel(TraceEvent::Reap { pid, status: proc.status });
        proc
    }

    /// The current LWP is released; with a status, that of its process is recorded.
    pub fn release(&mut self, status: Option<ExitStatus>) -> Result<(), ReleaseError> {
        match &mut self.cur {
            None | Some(Cur { exiting: true, .. }) => Err(ReleaseError::NotPertinent),
            Some(cur) if cur.refcnt > 1 => Err(ReleaseError::Held { holds: cur.refcnt - 1 }),
            Some(cur) => {
                (cur.refcnt, cur.exiting) = (0, true);
                let proc = self.procs.get_mut(&cur.pid).unwrap();
                if let Some(status) = status.filter(|_| !proc.exiting) {
                    (proc.status, proc.said) = (status, true);
                }
                Ok(())
            }
        }
    }

    /// The exiting LWP goes, at a switch or when leaving.
    pub fn settle(&mut self) -> Option<Cur> {
        let old = self.cur?;
        self.give_biglocks_up();
        self.cur = None;
        if old.exiting {
            self.freelwp(old.pid, old.lid);
            return None;
        }
        Some(old)
    }

    pub fn children(&self) -> impl Iterator<Item = (Pid, &ProcModel)> {
        let me = self.curproc();
        self.procs
            .iter()
            .filter(move |(pid, p)| p.ppid == me && **pid > Pid(0))
            .map(|(pid, p)| (*pid, p))
    }
}
