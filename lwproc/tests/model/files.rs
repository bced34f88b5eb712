//! The part of the model that is about descriptors.

use super::{Driver, pick};
use lwproc::*;
use std::collections::{BTreeMap, BTreeSet};

/// An operation on descriptors. Numbers are small, so that they meet.
#[derive(Clone, Copy, Debug)]
pub enum FdOp {
    Open(u8),
    Reserve(u8),
    Close(u8),
    Dup(u8),
    DupFrom(u8, u8),
    Dup2(u8, u8),
    Dup3(u8, u8),
    SetOnExec(u8, u8),
    CloseRange(u8, u8),
    MarkRange(u8, u8),
    CloseOnExec,
    Take(u8),
    Install(u8),
    Forget(u8),
    Limit(u8),
}

pub type Table = BTreeMap<i32, (u32, OnExec)>;

/// Tables, and which LWP uses which.
pub struct FilesModel {
    pub tables: BTreeMap<usize, Table>,
    pub uses: BTreeMap<(Pid, Lid), usize>,
    next: usize,
    next_name: u32,
}

impl FilesModel {
    pub fn new() -> Self {
        let uses = BTreeMap::from([((Pid(0), Lid(0)), 0), ((Pid(1), Lid(1)), 1)]);
        let tables = BTreeMap::from([(0, Table::new()), (1, Table::new())]);
        Self { tables, uses, next: 2, next_name: 0 }
    }

    fn add(&mut self, table: Table) -> usize {
        self.next += 1;
        self.tables.insert(self.next, table);
        self.next
    }

    /// The table of a process that has LWPs.
    pub fn of(&self, pid: Pid) -> usize {
        let mut uses = self.uses.range((pid, Lid(i32::MIN))..=(pid, Lid(i32::MAX)));
        let (_, table) = uses.next().expect("a process with LWPs has a table");
        *table
    }

    pub fn users(&self, table: usize) -> usize {
        self.uses.values().filter(|used| **used == table).count()
    }

    pub fn fork(&mut self, parent: Pid, pid: Pid, how: Rfork) {
        let table = match how {
            Rfork::Share => self.of(parent),
            Rfork::Copy => self.add(self.tables[&self.of(parent)].clone()),
            Rfork::Fresh => self.add(Table::new()),
        };
        self.uses.insert((pid, Lid(pid.0)), table);
    }

    pub fn newlwp(&mut self, pid: Pid, lid: Lid) {
        self.uses.insert((pid, lid), self.of(pid));
    }

    pub fn freelwp(&mut self, pid: Pid, lid: Lid) {
        let table = self.uses.remove(&(pid, lid)).expect("it used a table");
        if self.users(table) == 0 {
            self.tables.remove(&table);
        }
    }

    pub fn open_files(&self) -> BTreeSet<u32> {
        self.tables.values().flatten().map(|(_, (name, _))| *name).collect()
    }
}

fn flag(n: u8) -> OnExec {
    if n.is_multiple_of(2) { OnExec::Keep } else { OnExec::Close }
}

/// Mostly small, sometimes beyond everything.
fn fd(n: u8) -> Fd {
    match n {
        250.. => Fd([-1, i32::MIN, i32::MAX, 1 << 20, 70][usize::from(n - 250) % 5]),
        n => Fd(i32::from(n % 9)),
    }
}

impl Driver<'_> {
    fn table(&mut self) -> &mut Table {
        let table = self.model.files.of(self.model.curproc());
        self.model.files.tables.get_mut(&table).unwrap()
    }

    fn limit(&self) -> i32 {
        let nofile = self.model.limit(self.model.curproc(), Resource::Nofile).soft;
        i32::try_from(nofile).unwrap_or(i32::MAX).min(1 << 20)
    }

    /// Where the next open goes, from `min` on.
    fn lowest(&mut self, min: i32) -> Result<i32, FdError> {
        let limit = self.limit();
        let table = self.table();
        let free = (min..limit).find(|fd| !table.contains_key(fd));
        free.ok_or(FdError::TooMany)
    }

    fn slot(&mut self, fd: Fd) -> Result<(u32, OnExec), FdError> {
        self.table().get(&fd.0).copied().ok_or(FdError::BadFd)
    }

    fn expect_open(&mut self, name: u32, on_exec: OnExec, got: Result<Fd, FdError>, min: i32) {
        let expected = self.lowest(min);
        assert_eq!(got, expected.map(Fd));
        if let Ok(fd) = expected {
            self.table().insert(fd, (name, on_exec));
        }
    }

    /// Puts a file in a descriptor, as dup2 does.
    fn expect_place(&mut self, old: Fd, new: Fd, on_exec: OnExec, got: Result<Fd, FdError>) {
        let in_range = (0..self.limit()).contains(&new.0);
        let expected = if in_range { self.slot(old) } else { Err(FdError::BadFd) };
        assert_eq!(got, expected.map(|_| new));
        if let Ok((name, _)) = expected {
            self.table().insert(new.0, (name, on_exec));
        }
    }

    pub fn fd_step(&mut self, op: FdOp) {
        let files = self.kernel.host().files.clone();
        let k = self.k.as_mut().unwrap();
        match op {
            FdOp::Open(n) => {
                let name = self.model.files.next_name;
                self.model.files.next_name += 1;
                let got = k.files().open(files.add(name), flag(n)).map_err(FdError::from);
                self.expect_open(name, flag(n), got, 0);
            }
            FdOp::Reserve(n) => {
                let name = self.model.files.next_name;
                self.model.files.next_name += 1;
                let got = k.files().reserve(flag(n)).map(|reserved| {
                    if n % 3 == 0 { None } else { Some(reserved.fill(files.add(name))) }
                });
                match got {
                    Ok(None) => assert!(self.lowest(0).is_ok()),
                    Ok(Some(fd)) => self.expect_open(name, flag(n), Ok(fd), 0),
                    Err(error) => self.expect_open(name, flag(n), Err(error), 0),
                }
            }
            FdOp::Close(n) => {
                let got = k.files().close(fd(n));
                assert_eq!(got, self.slot(fd(n)).map(drop));
                self.table().remove(&fd(n).0);
            }
            FdOp::Dup(n) => {
                let got = k.files().dup(fd(n));
                match self.slot(fd(n)) {
                    Ok((name, _)) => self.expect_open(name, OnExec::Keep, got, 0),
                    Err(error) => assert_eq!(got, Err(error)),
                }
            }
            FdOp::DupFrom(n, min) => {
                let got = k.files().dup_from(fd(n), fd(min), flag(n / 9));
                let in_range = (0..self.limit()).contains(&fd(min).0);
                match self.slot(fd(n)) {
                    Err(error) => assert_eq!(got, Err(error)),
                    Ok(_) if !in_range => assert_eq!(got, Err(FdError::BadMinimum)),
                    Ok((name, _)) => self.expect_open(name, flag(n / 9), got, fd(min).0),
                }
            }
            FdOp::Dup2(a, b) => {
                let (old, new) = (fd(a), fd(b));
                let got = k.files().dup2(old, new);
                if old == new {
                    assert_eq!(got, self.slot(old).map(|_| new));
                } else {
                    self.expect_place(old, new, OnExec::Keep, got);
                }
            }
            FdOp::Dup3(a, b) => {
                let (old, new) = (fd(a), fd(b));
                let got = k.files().dup3(old, new, flag(a / 9));
                if old == new {
                    assert_eq!(got, Err(FdError::SameFd));
                } else {
                    self.expect_place(old, new, flag(a / 9), got);
                }
            }
            FdOp::SetOnExec(n, f) => {
                assert_eq!(k.files().set_on_exec(fd(n), flag(f)), self.slot(fd(n)).map(drop));
                self.table().entry(fd(n).0).and_modify(|slot| slot.1 = flag(f));
            }
            FdOp::CloseRange(a, b) | FdOp::MarkRange(a, b) => {
                let mark = matches!(op, FdOp::MarkRange(..));
                let how = if mark { CloseRange::SetOnExec } else { CloseRange::Close };
                let (first, last) = (fd(a).0, fd(b).0);
                let got = k.files().close_range(fd(a), fd(b), how);
                if first < 0 || last < first {
                    assert_eq!(got, Err(FdError::BadRange));
                } else if mark {
                    assert_eq!(got, Ok(()));
                    self.table().range_mut(first..=last).for_each(|(_, s)| s.1 = OnExec::Close);
                } else {
                    assert_eq!(got, Ok(()));
                    self.table().retain(|fd, _| !(first..=last).contains(fd));
                }
            }
            FdOp::CloseOnExec => {
                k.files_mut().close_on_exec();
                self.model_close_on_exec();
            }
            FdOp::Take(n) => {
                let got = k.files().get(fd(n)).map(|file| file.handle());
                assert_eq!(
                    got.as_ref().map(|file| file.name).map_err(|e| *e),
                    self.slot(fd(n)).map(|s| s.0)
                );
                self.files.extend(got);
            }
            FdOp::Install(n) => {
                if let Some(i) = pick(0..self.files.len(), n) {
                    let got = self.k.as_ref().unwrap().files().install(&self.files[i], flag(n));
                    self.expect_open(self.files[i].name, flag(n), got, 0);
                }
            }
            FdOp::Forget(n) => {
                if let Some(i) = pick(0..self.files.len(), n) {
                    drop(self.files.swap_remove(i));
                }
            }
            FdOp::Limit(n) => {
                let limit = Limit { soft: u64::from(n % 10), hard: Limit::INFINITY };
                let limit = if n > 200 { Limit::NONE } else { limit };
                self.set_limit(Resource::Nofile, limit);
            }
        }
    }

    /// What an exec does to the current process's table.
    pub fn model_close_on_exec(&mut self) {
        let pid = self.model.curproc();
        let files = &mut self.model.files;
        let old = files.of(pid);
        // A draining process with one LWP leaves a table that others share.
        let proc = &self.model.procs[&pid];
        let alone = proc.draining && proc.lwps.len() == 1 && pid > Pid(1);
        if alone && files.users(old) > 1 {
            let new = files.add(files.tables[&old].clone());
            files.uses.insert((pid, self.model.cur.unwrap().lid), new);
        }
        self.table().retain(|_, (_, flag)| *flag == OnExec::Keep);
    }

    pub fn check_files(&self) {
        let (model, k) = (&self.model, self.k.as_ref().unwrap());
        let table = model.files.of(model.curproc());
        let seen: Table = k
            .files()
            .list()
            .into_iter()
            .map(|(fd, flag)| (fd.0, (k.files().get(fd).unwrap().name, flag)))
            .collect();
        assert_eq!(seen, model.files.tables[&table]);
        assert_eq!(k.files().table_users(), model.files.users(table), "one reference for each LWP");
        let taken = self.files.iter().map(|file| file.name);
        let open: BTreeSet<u32> = model.files.open_files().into_iter().chain(taken).collect();
        assert_eq!(self.kernel.host().files.names(), open, "closed by the last reference");
        let guard = self.kernel.pin();
        for proc in guard.procs() {
            let alive = proc.nlwps() > 0;
            let expected = alive.then(|| model.files.of(proc.pid()));
            let users = expected.map_or(0, |table| model.files.users(table));
            let open = expected.map_or(0, |table| model.files.tables[&table].len());
            assert_eq!((proc.fd_table_users(), proc.fd_count()), (users, open), "{proc:?}");
        }
    }
}
