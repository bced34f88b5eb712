//! Comparing the whole state.

use super::Driver;
use super::creds::CredModel;
use super::data;
use super::state::ProcModel;
use lwproc::*;
use std::collections::BTreeSet;

impl Driver<'_> {
    /// Compares the whole state: every invariant follows from the equality.
    pub fn check(&mut self) {
        self.check_services();
        self.check_data();
        self.check_signals();
        self.check_places();
        self.check_emuls();
        self.check_watchers();
        let (model, k) = (&self.model, self.k.as_ref().unwrap());
        assert_eq!(k.pid(), model.curproc());
        assert_eq!(k.lid(), model.cur.map(|cur| cur.lid));
        let current = model.cur.filter(|cur| !cur.exiting);
        assert_eq!(
            k.curlwp().map(|l| (l.pid(), l.lid(), l.refcnt())),
            current.map(|cur| (cur.pid, cur.lid, cur.refcnt))
        );
        let faults =
            (k.resources().usage().minor_faults, k.resources().children_usage().minor_faults);
        assert_eq!(faults, model.procs[&model.curproc()].faults);
        self.check_names();
        self.check_creds();
        self.check_limits();
        self.check_files();
        self.check_host();
        self.check_thread();
        self.check_known();
        let guard = self.kernel.pin();
        let mut seen = BTreeSet::new();
        for proc in guard.procs() {
            let lwps: Vec<Lid> = proc.lwps().map(|l| l.lid()).collect();
            assert_eq!(proc.nlwps() as usize, lwps.len(), "nlwps is the size of p_lwps");
            let (zombie, draining) = match proc.state() {
                ProcState::Active => (false, false),
                ProcState::Draining => (false, true),
                ProcState::Zombie => (true, model.procs[&proc.pid()].draining),
                other => panic!("{other:?}"),
            };
            let known = &model.procs[&proc.pid()];
            let status = model.procs.get(&proc.pid()).map_or(ExitStatus::default(), |p| p.status);
            let (ppid, comm) = (proc.ppid(), proc.comm().to_string());
            let lwps = lwps.into_iter().collect();
            let cred = CredModel::of(proc.cred().unwrap());
            // A zombie has no limits, and nobody asks for its children's use.
            let limits: Option<_> = Resource::ALL.iter().map(|r| proc.rlimit(*r)).collect();
            let limits = limits.unwrap_or_else(|| known.limits.clone());
            let faults = (proc.usage().minor_faults, known.faults.1);
            let (pgid, sid) = (proc.pgid().unwrap(), proc.sid().unwrap());
            let pending = proc.pending();
            let data = data::of_proc(&proc, self.keys.proc);
            let found =
                ProcModel { ppid, lwps, draining, status, zombie, comm, cred, ..known.clone() };
            let emul = proc.emul().0;
            let found = ProcModel { emul, limits, faults, pgid, sid, pending, data, ..found };
            assert_eq!(found, *known);
            assert!(seen.insert(proc.pid()), "seen twice");
            let children: BTreeSet<Pid> = proc.children().map(|c| c.pid()).collect();
            let expected = model.procs.iter().filter(|(pid, p)| p.ppid == proc.pid() && pid.0 > 0);
            assert_eq!(children, expected.map(|(pid, _)| *pid).collect());
            assert!(guard.proc(proc.pid()).is_some());
        }
        assert_eq!(seen, model.procs.keys().copied().collect());
        for lwp in guard.lwps() {
            let parked = model.parked.contains(&(lwp.pid(), lwp.lid()));
            assert_eq!(lwp.state() == LwpState::Parked, parked);
            assert_eq!(guard.lwp(lwp.lid()).map(|l| l.pid()), Some(lwp.pid()));
        }
        let counts = self.kernel.counts();
        let zombies = model.procs.values().filter(|p| p.zombie).count();
        assert_eq!(counts.zombies, zombies);
        assert_eq!(counts.procs, model.procs.len() - zombies);
        assert_eq!(counts.lwps, model.lwps());
        assert_eq!(counts.ids, model.ids().len());
    }

    /// What the host knows: each LWP, and which one runs.
    fn check_host(&self) {
        let (model, k) = (&self.model, self.k.as_ref().unwrap());
        let current = self.kernel.host_curlwp();
        assert_eq!(current.map(LwpToken::lid), model.cur.map(|cur| cur.lid));
        assert!(k.curlwp().is_none_or(|lwp| Some(lwp.token()) == current));
        let lids = model.procs.values().flat_map(|p| p.lwps.iter().copied());
        assert_eq!(self.kernel.host().lwps(), lids.collect(), "created and not destroyed");
    }
}
