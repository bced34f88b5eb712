//! The side of the library: a reference embedder of a Linux-like system.
//!
//! The kernel keeps processes, families, groups, credentials, masks and pending signals.
//! What it leaves to its embedder is here: what a signal does (ignored, caught, by itself),
//! when an LWP looks for one, and who sleeps in which call. One thread runs all LWPs in
//! turns, each by `Ours::run`; a call that sleeps is looked at again when it is woken.

pub mod calls;
mod deliver;
pub mod terminal;
pub mod waiting;

use crate::linux::MOST_PROCESSES;
use crate::numbers::{IsInit, Numbers};
use crate::signals;
use crate::state::{Ids, Stage, State, Task};
use crate::step::{Answer, Name, Outcome, Step};
use calls::{Asked, Called, Sleep};
use deliver::Delivered;
use lwproc::{
    Enforcement, Errno, IdSet, Lid, Limit, Limits, LimitsPolicy, Numbering, NumberingError, Pid,
    PidNamespace, ProcState, Resource, Rules, SigModel, Signo, ThreadHost, WaitPolicy,
};
use std::collections::{BTreeMap, BTreeSet};
use terminal::Tty;

/// Signals come with a number.
type Host = ThreadHost<(), (), (), (), i32>;
type Kernel = lwproc::Kernel<Host>;
type Entered<'k> = lwproc::Entered<'k, Host>;
type Lwp = lwproc::Lwp<Host>;
type ProcHandle = lwproc::ProcHandle<Host>;

/// What the kernel does not keep of a process.
#[derive(Debug)]
struct Process {
    handle: ProcHandle,
    caught: u64,
    /// The signal that ends it, which was sent before any other that would.
    fate: Option<Signo>,
    /// Whose number is the process's: the first actor, until another execs.
    leader: Name,
}

/// One actor: an LWP.
#[derive(Debug)]
struct Actor {
    /// Its process, by the name of the first actor of it.
    process: Name,
    numbers: Numbers,
    /// `None` once it has ended.
    lwp: Option<Lwp>,
    sleeps: Option<Sleep>,
}

/// A kernel, and the actors of one sequence.
#[derive(Debug)]
pub struct Ours {
    kernel: Kernel,
    tty: Tty,
    actors: BTreeMap<Name, Actor>,
    processes: BTreeMap<Name, Process>,
}

impl Ours {
    /// Begins a sequence: init, and [`Name::FIRST`]. Numbers are below `pid_max`.
    pub fn new(pid_max: usize) -> Self {
        let most = Limit::both(MOST_PROCESSES);
        let limits = Limits::unlimited().with(Resource::Nproc, most).expect("both are the same");
        let kernel = lwproc::Kernel::builder()
            .host(Host::new())
            .rules(Rules::LINUX)
            .numbering(Numbering::Cyclic)
            .id_capacity(pid_max - 1)
            .wait_policy(WaitPolicy::Wait)
            .signal_model(SigModel::Record)
            .sigchld()
            .limits(limits)
            .limits_policy(LimitsPolicy::default().with_nproc(Enforcement::Enforced))
            .build()
            .expect("the settings are good");
        let first = {
            let init = kernel.enter().expect("nobody has entered it");
            init.spawn().start().expect("there are ids")
        };
        let (actors, processes) = Default::default();
        let tty = Tty::new(&kernel);
        let mut ours = Self { kernel, tty, actors, processes };
        ours.seat(Name::FIRST, first, vec![]);
        ours
    }

    fn set_last_number(&self, last: Pid) -> Result<(), NumberingError> {
        self.kernel.set_last_number(last)
    }

    /// Notes a process that was made, with its first LWP.
    fn seat(&mut self, name: Name, lwp: Lwp, spaces: Vec<Name>) {
        let process = Process { handle: lwp.proc_handle(), caught: 0, fate: None, leader: name };
        self.processes.insert(name, process);
        self.seat_thread(name, lwp, name, spaces);
    }

    fn seat_thread(&mut self, name: Name, lwp: Lwp, process: Name, spaces: Vec<Name>) {
        let numbers = Numbers::new(spaces, self.numbers_of(&lwp));
        let actor = Actor { process, numbers, lwp: Some(lwp), sleeps: None };
        self.actors.insert(name, actor);
    }

    /// The numbers that an LWP has, the kernel's first.
    fn numbers_of(&self, lwp: &Lwp) -> Vec<i32> {
        let guard = self.kernel.pin();
        let found = guard.lwp(lwp.lid()).expect("it is owned");
        let own = guard.proc(lwp.pid()).expect("it lives").namespace();
        let all = std::iter::successors(Some(own), PidNamespace::outer);
        let mut each: Vec<i32> = all.map(|at| at.lid_of(&found).expect("it is in it").0).collect();
        each.reverse();
        each
    }

    /// An actor's LWP may have other numbers.
    fn renumber(&mut self, name: Name) {
        let actor = &self.actors[&name];
        let each = self.numbers_of(actor.lwp.as_ref().expect("an actor that lives"));
        let numbers = actor.numbers.renumbered(each);
        self.actor(name).numbers = numbers;
    }

    /// The namespaces of what an actor makes.
    fn spaces_of(&self, actor: Name, made: Name, is_init: IsInit) -> Vec<Name> {
        self.actors[&actor].numbers.spaces_of(made, is_init)
    }

    /// The number by which an actor knows another, whether that is there still or not.
    pub fn number_for(&self, actor: Name, name: Name) -> Option<i32> {
        Some(self.actors.get(&name)?.numbers.seen_by(&self.actors.get(&actor)?.numbers))
    }

    fn actor(&mut self, name: Name) -> &mut Actor {
        self.actors.get_mut(&name).expect("an actor that was made")
    }

    fn process_of(&mut self, name: Name) -> &mut Process {
        let process = self.actor(name).process;
        self.processes.get_mut(&process).expect("noted with its first actor")
    }

    /// The living actors of the process that an actor is of.
    fn threads_of(&mut self, name: Name) -> Vec<Name> {
        let process = self.actor(name).process;
        let of_it = |actor: &Actor| actor.process == process && actor.lwp.is_some();
        self.actors.iter().filter(|(_, actor)| of_it(actor)).map(|(name, _)| *name).collect()
    }

    /// Enters the kernel as an actor that lives.
    fn run<R>(&mut self, name: Name, f: impl FnOnce(&mut Entered<'_>) -> R) -> R {
        let lwp = self.actor(name).lwp.take().expect("an actor that lives");
        let mut entered = self.kernel.enter_as(lwp).expect("the only thread, of no other LWP");
        let result = f(&mut entered);
        let lwp = Kernel::leave(entered);
        self.actor(name).lwp = lwp;
        result
    }

    fn is_alive(&self, name: Name) -> bool {
        self.actors.get(&name).is_some_and(|actor| actor.lwp.is_some())
    }

    /// Does a step, and all that follows from it. `linux` is what came of it there: where
    /// the system may choose, this side chooses the same. `None`: it cannot be done.
    pub fn step(&mut self, step: &Step, linux: &[(Name, Outcome)]) -> Option<Vec<(Name, Outcome)>> {
        let values = step.values(|name| self.number_for(step.actor, name))?;
        let actor = self.actors.get(&step.actor)?;
        if actor.lwp.is_none() || actor.sleeps.is_some() || self.is_stopped(step.actor) {
            return None;
        }
        let hints: BTreeMap<Name, &Answer> = linux
            .iter()
            .filter_map(|(name, outcome)| match outcome {
                Outcome::Answered(answer) => Some((*name, answer)),
                _ => None,
            })
            .collect();
        let hint = hints.get(&step.actor).copied();
        let asked = Asked { actor: step.actor, makes: step.makes(), values: &values, hint };
        let mut outcomes = BTreeMap::new();
        match (step.verb.ours)(self, &asked) {
            Called::Answer(answer) => drop(outcomes.insert(step.actor, Outcome::Answered(answer))),
            Called::Sleeps(sleep) => {
                self.actor(step.actor).sleeps = Some(sleep);
                outcomes.insert(step.actor, Outcome::Blocks);
            }
        }
        self.stop_in_call(step.actor, hint, &mut outcomes);
        let mut interrupted = BTreeSet::new();
        if step.verb.name == "kill" {
            self.note_fates(asked.int(1));
        }
        // Of several that are sent it at once the parent is mostly the first.
        let looks_first = step.verb.name != "kill" || values[0] > 0;
        while self.settle(&hints, looks_first, &mut interrupted, &mut outcomes) {}
        self.stop_in_call(step.actor, hint, &mut outcomes);
        // Who is about to take a signal that ends it does not see its call return.
        for (name, actor) in &mut self.actors {
            let was_in_call = actor.sleeps.is_some() || outcomes.contains_key(name);
            if actor.lwp.is_none() && was_in_call {
                actor.sleeps = None;
                outcomes.insert(*name, Outcome::Ended);
            }
        }
        Some(outcomes.into_iter().collect())
    }

    /// Who has stopped in its call returns when it goes on. What stops it may come after it
    /// has returned: from another thread, or from a child that it has ended.
    fn stop_in_call(
        &mut self,
        name: Name,
        hint: Option<&Answer>,
        outcomes: &mut BTreeMap<Name, Outcome>,
    ) {
        let Some(Outcome::Answered(answer)) = outcomes.get(&name) else { return };
        if hint == Some(answer) || !self.is_alive(name) || !self.is_stopped(name) {
            return;
        }
        if let Some(Outcome::Answered(answer)) = outcomes.insert(name, Outcome::Blocks) {
            self.actor(name).sleeps = Some(Sleep::Stopped(answer));
        }
    }

    /// Lets each actor look for signals, until to one of them something happens; and when
    /// nothing does, each sleeper for what it sleeps on. Whether anything happened: then all
    /// are to look again, in the same order.
    fn settle(
        &mut self,
        hints: &BTreeMap<Name, &Answer>,
        looks_first: bool,
        interrupted: &mut BTreeSet<Name>,
        outcomes: &mut BTreeMap<Name, Outcome>,
    ) -> bool {
        let mut all: Vec<Name> = self.actors.keys().copied().collect();
        // A signal of a process is any thread's. Linux asks the one whose number was given,
        // and then those in turn; whom it has woken says which, or else that it was none
        // that sleeps.
        let was_woken = |name: &Name| {
            hints.get(name).is_some_and(|answer| **answer == Answer::error(Errno::EINTR))
        };
        let is_first = |name: &Name| self.processes[&self.actors[name].process].leader == *name;
        let is_awake = |name: &Name| self.actors[name].sleeps.is_none();
        all.sort_by_key(|name| (!was_woken(name), !is_awake(name), !is_first(name), *name));
        // A vfork returns before the parent is told of the end.
        for &name in &all {
            if let Some(answer) = self.return_from_vfork(name) {
                outcomes.insert(name, Outcome::Answered(answer));
                return true;
            }
        }
        for &name in &all {
            if !self.is_alive(name) {
                continue;
            }
            let hint = hints.get(&name).copied();
            // A wait finds the child whose end signals it, be it that it dies of that.
            if looks_first
                && hint.is_none()
                && let Some(answer) = self.find_child(name)
            {
                outcomes.insert(name, Outcome::Answered(answer));
                return true;
            }
            let delivered = self.deliver(name);
            if delivered == Delivered::Caught {
                interrupted.insert(name);
            }
            if delivered != Delivered::Nothing {
                return true;
            }
        }
        for name in all {
            let sleeps = self.is_alive(name) && self.actor(name).sleeps.is_some();
            if !sleeps || self.is_stopped(name) {
                continue;
            }
            if let Some(answer) = self.try_again(name, interrupted.contains(&name)) {
                outcomes.extend(answer.map(|answer| (name, Outcome::Answered(answer))));
                return true;
            }
            let hint = hints.get(&name).copied();
            if let Some(answer) = self.wake(name, interrupted.contains(&name), hint) {
                outcomes.insert(name, Outcome::Answered(answer));
                return true;
            }
        }
        false
    }

    /// How all actors are.
    pub fn state(&mut self) -> State {
        let names: Vec<Name> = self.actors.keys().copied().collect();
        names.into_iter().map(|name| (name, self.task(name))).collect()
    }

    fn task(&mut self, name: Name) -> Task {
        let is_alive = self.is_alive(name);
        let Process { handle, caught, leader, .. } = self.process_of(name);
        let (handle, caught, is_first) = (handle.clone(), *caught, *leader == name);
        let (pid, call) = (
            self.actor(name).numbers.outermost(),
            self.actor(name).sleeps.as_ref().map(Sleep::name),
        );
        let gone = Task { pid, ..Task::default() };
        let guard = self.kernel.pin();
        let found = guard.proc(handle.pid()).filter(|proc| proc.identity() == handle.identity());
        let Some(proc) = found else { return gone };
        let stage = match proc.state() {
            ProcState::Gone => return gone,
            ProcState::Stopped if is_alive => Stage::Stopped,
            ProcState::Active | ProcState::Draining if is_alive => Stage::Living,
            // The first thread waits for the others.
            _ if is_first => Stage::Zombie,
            _ => return gone,
        };
        let own = guard.lwp(Lid(pid)).filter(|_| is_alive);
        let (blocked, own_pending) =
            own.map_or_else(Default::default, |lwp| (lwp.blocked(), lwp.pending()));
        let ids = |ids: IdSet| -> Ids { [ids.real, ids.effective, ids.saved] };
        let none = [u32::MAX; 3];
        let number = |pid: Option<Pid>| pid.map_or(-1, |pid| pid.0);
        // The first thread's stay when it has ended.
        let cred = own.map_or_else(|| proc.cred(), |lwp| lwp.cred());
        Task {
            pid,
            process: proc.pid().0,
            stage,
            ppid: proc.ppid().0,
            pgid: number(proc.pgid()),
            sid: number(proc.sid()),
            foreground: proc
                .controlling_terminal()
                .and_then(|tty| tty.foreground())
                .map(|pgid| pgid.0),
            users: cred.map_or(none, |cred| ids(cred.users())),
            groups: cred.map_or(none, |cred| ids(cred.groups())),
            pending: signals::set_of_ours(proc.pending()),
            own_pending: signals::set_of_ours(own_pending),
            blocked: signals::set_of_ours(blocked),
            caught,
            call,
        }
    }
}
