//! Signals for many, against forks, moves between groups, and ends.
//!
//! Such a signal has no single moment: it reaches each process at one of its own. So what is
//! checked is what [`Signals::kill`] promises over the whole call, by the moments at which
//! the other calls began and returned:
//!
//! * **none escapes**: who is meant from the begin of the call to its end has the signal, and
//!   so has each child that it was making then, and that is meant too, or made afterwards;
//! * **none beside**: who was never meant, nor is a child of one, has it not. Of a fork beside
//!   the call it is asked what the two are until the fork returns.
//!
//! Nobody takes a signal. In a round of SIGKILL to have it is to have ended.

use super::history::{Call, overlapping};
use super::record;
use lwproc::*;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The root of the tree, which leads the first group; the leader of the second group, which
/// is the user's; a child of the root.
const ROOT: usize = 0;
const LEADER: usize = 1;
const MOVER: usize = 2;
const USER: u32 = 5;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Whom {
    /// The group of that leader.
    Group(usize),
    User,
    Tree,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Kill(Whom, Signo),
    Fork {
        parent: usize,
        child: usize,
    },
    /// To the group of that leader.
    Move(usize, usize),
    End(usize),
}

/// Whether it was done.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ret {
    Done,
    Refused,
}

type Calls<'c> = &'c [Call<Op, Ret>];

/// What was done, and when; and the group that each was in at the end.
struct History<'c>(Calls<'c>, &'c HashMap<usize, usize>);

impl History<'_> {
    fn done(&self) -> impl Iterator<Item = &Call<Op, Ret>> {
        self.0.iter().filter(|call| call.ret == Ret::Done)
    }

    fn lines(&self) -> String {
        self.0.iter().map(|call| format!("{call:?}\n")).collect()
    }

    fn birth(&self, proc: usize) -> Option<&Call<Op, Ret>> {
        self.done().find(|call| matches!(call.op, Op::Fork { child, .. } if child == proc))
    }

    fn parent(&self, proc: usize) -> Option<usize> {
        match self.birth(proc)?.op {
            Op::Fork { parent, .. } => Some(parent),
            _ => unreachable!("a fork"),
        }
    }

    /// The processes above, the nearest first.
    fn ancestors(&self, proc: usize) -> impl Iterator<Item = usize> {
        let parent = |proc: &usize| match *proc {
            MOVER => Some(ROOT),
            proc => self.parent(proc),
        };
        std::iter::successors(parent(&proc), parent)
    }

    /// The groups that a process may have been in between two moments.
    fn groups(&self, proc: usize, from: u64, to: u64) -> Vec<usize> {
        let moves: Vec<_> = self
            .done()
            .filter_map(|call| match call.op {
                Op::Move(moved, group) if moved == proc => Some((call, group)),
                _ => None,
            })
            .collect();
        let is_over = |after: u64| {
            moves.iter().any(|(later, _)| after < later.invoked && later.returned < from)
        };
        if let (true, Some(group)) = (moves.is_empty(), self.1.get(&proc)) {
            return vec![*group];
        }
        let there = moves.iter().filter(|(call, _)| call.invoked < to && !is_over(call.returned));
        let mut groups: Vec<usize> = there.map(|(_, group)| *group).collect();
        match (self.birth(proc), self.parent(proc)) {
            (Some(birth), Some(parent)) if !is_over(birth.returned) => {
                groups.extend(self.groups(parent, birth.invoked, birth.returned));
            }
            (None, _) if !is_over(0) => groups.push(if proc == LEADER { LEADER } else { ROOT }),
            _ => (),
        }
        groups
    }

    fn is_of_user(&self, proc: usize) -> bool {
        proc == LEADER || self.ancestors(proc).any(|above| above == LEADER)
    }

    /// Whether it is below the root while nobody between them has ended; `ended` says of an
    /// end whether it counts.
    fn is_in_tree(&self, proc: usize, ended: impl Fn(&Call<Op, Ret>) -> bool) -> bool {
        let mut above = self.ancestors(proc);
        let has_ended = |proc| self.done().any(|call| call.op == Op::End(proc) && ended(call));
        proc == ROOT || above.find(|&above| above == ROOT || has_ended(above)) == Some(ROOT)
    }

    /// Whether a process is meant all the time between two moments.
    fn throughout(&self, whom: Whom, proc: usize, from: u64, to: u64) -> bool {
        match whom {
            Whom::Group(leader) => self.groups(proc, from, to).iter().all(|its| *its == leader),
            Whom::User => self.is_of_user(proc),
            Whom::Tree => self.is_in_tree(proc, |end| end.invoked < to),
        }
    }

    /// Whether it may be meant at some moment between.
    fn sometime(&self, whom: Whom, proc: usize, from: u64, to: u64) -> bool {
        match whom {
            Whom::Group(leader) => self.groups(proc, from, to).contains(&leader),
            Whom::User => self.is_of_user(proc),
            Whom::Tree => self.is_in_tree(proc, |end| end.returned < from),
        }
    }

    /// Whether a process that does nothing from then on is sure to have the signal of that
    /// call in the end.
    fn must(&self, kill: &Call<Op, Ret>, whom: Whom, proc: usize, then: u64) -> bool {
        let to = kill.returned.min(then);
        match (self.birth(proc), self.parent(proc)) {
            (Some(birth), Some(parent)) if kill.invoked < birth.returned => {
                let parents = self.must(kill, whom, parent, birth.returned);
                if kill.returned < birth.invoked {
                    return parents;
                }
                // Beside the fork. The child has it by itself, if it was there before; and it
                // was, if the parent is not meant any more.
                let before = !self.sometime(whom, parent, kill.invoked, birth.returned);
                (parents || before) && self.throughout(whom, proc, kill.invoked, to)
            }
            _ => self.throughout(whom, proc, kill.invoked, to),
        }
    }

    /// Whether it may have it.
    fn may(&self, kill: &Call<Op, Ret>, whom: Whom, proc: usize) -> bool {
        match (self.birth(proc), self.parent(proc)) {
            (Some(birth), Some(parent)) if kill.invoked < birth.returned => {
                let to = kill.returned.max(birth.returned);
                let is_meant = |proc| self.sometime(whom, proc, kill.invoked, to);
                let beside = birth.invoked < kill.returned && (is_meant(proc) || is_meant(parent));
                beside || self.may(kill, whom, parent)
            }
            _ => self.sometime(whom, proc, kill.invoked, kill.returned),
        }
    }

    /// Of a process that is there at the end.
    fn check(&self, proc: usize, has: impl Fn(Signo) -> bool) {
        let kills = self.done().filter_map(|call| match call.op {
            Op::Kill(whom, signo) => Some((call, whom, signo)),
            _ => None,
        });
        let mut may = Vec::new();
        for (kill, whom, signo) in kills {
            let must = self.must(kill, whom, proc, u64::MAX);
            assert!(!must || has(signo), "{proc} has escaped {kill:?} of\n{}", self.lines());
            may.extend(self.may(kill, whom, proc).then_some(signo));
        }
        for signo in (1..=64).filter_map(Signo::new).filter(|signo| has(*signo)) {
            assert!(may.contains(&signo), "{proc} has {signo:?} in\n{}", self.lines());
        }
    }
}

/// One history, checked; how many pairs of calls overlapped.
pub fn round(seed: u64) -> usize {
    let kernel = Kernel::builder().signal_model(SigModel::Record).build().unwrap();
    // Nobody runs as any of them.
    let park = |lwp: Lwp| {
        let handle = lwp.proc_handle();
        drop(lwp.unclaim());
        handle
    };
    let root = park(kernel.spawn().start().unwrap());
    let cred = CredChange::SetResuid(Some(USER), Some(USER), Some(USER));
    let leader = park(kernel.spawn().change_cred(&cred).start().unwrap());
    for proc in [&root, &leader] {
        proc.setpgid(proc.pid()).unwrap();
    }
    let groups = [root.pid(), leader.pid()];
    let mover = park(root.spawn().start().unwrap());
    let first = [root, leader, mover];
    let (made, kept) = (AtomicUsize::new(first.len()), Mutex::new(Vec::new()));
    let kills_all = seed.is_multiple_of(4);
    let calls = record(3, seed, |thread, start, r| {
        let k = kernel.enter().unwrap();
        let mut own: Vec<(usize, ProcHandle)> = Vec::new();
        start();
        for i in 0..5_u8 {
            let any = r.random.below(first.len() + own.len());
            let (index, proc) = match any.checked_sub(first.len()) {
                None => (any, first[any].clone()),
                Some(i) => own[i].clone(),
            };
            let done = |done| if done { Ret::Done } else { Ret::Refused };
            match r.random.below(if own.is_empty() { 6 } else { 7 }) {
                0 | 1 => {
                    let signo = Signo::new(32 + thread as i32 * 8 + i32::from(i)).unwrap();
                    let (whom, target) = match r.random.below(4) {
                        _ if kills_all => (Whom::Tree, KillTarget::Tree(groups[ROOT])),
                        0 => (Whom::User, KillTarget::User(USER)),
                        1 => (Whom::Tree, KillTarget::Tree(groups[ROOT])),
                        which => {
                            let leader = which - 2;
                            (Whom::Group(leader), KillTarget::Pgrp(groups[leader]))
                        }
                    };
                    let signo = if kills_all { Signo::KILL } else { signo };
                    r.call(Op::Kill(whom, signo), || {
                        done(k.signals().kill(target, i32::from(signo.number())).is_ok())
                    });
                }
                2..=4 => {
                    let (child, mut lwp) = (made.fetch_add(1, Relaxed), None);
                    r.call(Op::Fork { parent: index, child }, || {
                        lwp = proc.spawn().start().ok();
                        done(lwp.is_some())
                    });
                    own.extend(lwp.map(|lwp| (child, park(lwp))));
                }
                5 if index >= MOVER => {
                    let group = r.random.below(groups.len());
                    r.call(Op::Move(index, group), || done(proc.setpgid(groups[group]).is_ok()));
                }
                6 => {
                    let i = r.random.below(own.len());
                    let (index, proc) = own.swap_remove(i);
                    r.call(Op::End(index), || done(proc.end(ExitStatus::exited(0)).is_ok()));
                }
                _ => (),
            }
        }
        kept.lock().unwrap().extend(own);
    });
    let overlaps = overlapping(&calls);
    let all = kept.into_inner().unwrap().into_iter().chain(first.into_iter().enumerate());
    let (all, guard): (Vec<_>, _) = (all.collect(), kernel.pin());
    let group = |proc: &ProcHandle| {
        groups
            .iter()
            .position(|its| guard.proc(proc.pid()).and_then(|proc| proc.pgid()) == Some(*its))
    };
    let at_end = all.iter().filter_map(|(index, proc)| Some((*index, group(proc)?))).collect();
    for (index, proc) in all {
        let pending = match guard.proc(proc.pid()).filter(|_| proc.is_alive()) {
            Some(proc) => proc.pending(),
            None => SigSet::from(Signo::KILL),
        };
        History(&calls, &at_end).check(index, |signo| pending.contains(signo));
    }
    overlaps
}
