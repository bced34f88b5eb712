//! Steps chosen by the state of the real tree. A blind choice is mostly refused for want of
//! a process, and rarely comes near a rule.

use crate::compare::Sides;
use crate::ids;
use crate::known;
use crate::linux::Rights;
use crate::random::Random;
use crate::signals::{self, Effect};
use crate::state::{Stage, State, Task};
use crate::step::{Arg, Name, Step};
use crate::theme::Theme;
use crate::verbs::{self, VERBS, Verb};

/// How many live at once, about.
const CROWD: usize = 9;

/// Invents arguments for a verb of one actor.
#[derive(Debug)]
pub struct Inventor<'a> {
    random: &'a mut Random,
    state: &'a State,
    actor: Name,
    rights: Rights,
    pid_max: usize,
    /// The name of the next that is made.
    next: Name,
    /// How many could make a call now.
    free: usize,
}

/// The next step, or `None` when nobody can do one.
pub fn next_step(
    random: &mut Random,
    state: &State,
    theme: &Theme,
    (rights, pid_max): (Rights, usize),
    next: Name,
    sides: Sides,
) -> Option<Step> {
    let free: Vec<Name> =
        state.iter().filter(|(_, task)| is_free(task)).map(|(name, _)| *name).collect();
    // Mostly outside init's session.
    if state.len() == 1 && state.values().all(|task| task.sid == 0) && !random.one_in(4) {
        return verbs::named("setsid").map(|verb| Step { actor: Name::FIRST, verb, args: vec![] });
    }
    // Most verbs are of use to somebody; should all refuse, it ends.
    for _ in 0..200 {
        // Those that have children are of more interest.
        let weight = |name: &Name| 1 + 2 * count(state, |task| task.ppid == state[name].pid).min(3);
        let actor = free[random.weighted(free.iter().map(|name| weight(name) as u32))?];
        let weights = VERBS.iter().map(|verb| verb.weight * theme.factor(verb.name));
        let verb: &'static Verb = &VERBS[random.weighted(weights)?];
        let free = free.len();
        let mut inventor = Inventor { random, state, actor, rights, pid_max, next, free };
        if let Some(args) = (verb.invent)(&mut inventor) {
            let step = Step { actor, verb, args };
            if sides == Sides::LinuxAlone || !known::is_not_yet(&step) {
                return Some(step);
            }
        }
    }
    None
}

fn is_of_terminal(verb: &str) -> bool {
    matches!(verb, "ttyread" | "ttywrite" | "tcflush" | "tcsetpgrp")
}

fn is_free(task: &Task) -> bool {
    task.stage == Stage::Living && task.call.is_none()
}

fn count(state: &State, is_one: impl Fn(&Task) -> bool) -> usize {
    state.values().filter(|task| task.stage != Stage::Gone && is_one(task)).count()
}

impl Inventor<'_> {
    fn own(&self) -> &Task {
        &self.state[&self.actor]
    }

    fn names(&self, is_one: impl Fn(&Task) -> bool) -> Vec<Name> {
        self.state.iter().filter(|(_, task)| is_one(task)).map(|(name, _)| *name).collect()
    }

    fn one(&mut self, is_one: impl Fn(&Task) -> bool) -> Option<Name> {
        let names = self.names(is_one);
        self.random.of(&names).copied()
    }

    fn is_child(&self) -> impl Fn(&Task) -> bool + use<> {
        let own = self.own().pid;
        move |task: &Task| task.stage != Stage::Gone && task.ppid == own
    }

    /// The number of somebody: mostly one that is there.
    fn somebody(&mut self) -> Arg {
        let (own, ppid) = (self.actor, self.own().ppid);
        let found = match self.random.below(20) {
            0..3 => Some(own),
            3..8 => self.one(self.is_child()),
            8..10 => self.one(|task| task.pid == ppid && task.stage != Stage::Gone),
            10..12 => self.one(|task| task.stage == Stage::Zombie),
            12..18 => self.one(|task| task.stage != Stage::Gone),
            18 => self.one(|task| task.stage == Stage::Gone),
            _ => None,
        };
        match found {
            Some(name) => Arg::Actor(name),
            None => self.odd_number(),
        }
    }

    fn odd_number(&mut self) -> Arg {
        let odd = [0, 0, 0, 1, 99, -1, -99, i64::from(i32::MIN), i64::from(i32::MAX)];
        Arg::Number(*self.random.of(&odd).expect("some"))
    }

    /// The leader, past or present, of a group that there is.
    fn leader(&mut self) -> Option<Name> {
        let groups: Vec<i32> =
            self.state.values().filter(|t| t.stage != Stage::Gone).map(|t| t.pgid).collect();
        let pgid = *self.random.of(&groups)?;
        self.one(|task| task.pid == pgid)
    }

    pub(crate) fn nothing(&mut self) -> Option<Vec<Arg>> {
        Some(Vec::new())
    }

    pub(crate) fn fork(&mut self) -> Option<Vec<Arg>> {
        let living = count(self.state, |task| task.stage.is_alive());
        // Ever rarer, the more there are.
        let more = living < 3 || self.random.below(CROWD) >= living.min(CROWD - 1);
        (more && living < 2 * CROWD).then(|| vec![Arg::Actor(self.next)])
    }

    /// How many threads of its process there are.
    fn threads(&self) -> usize {
        let own = self.own().process;
        count(self.state, |task| task.process == own && task.stage.is_alive())
    }

    pub(crate) fn thread(&mut self) -> Option<Vec<Arg>> {
        (self.threads() < 3).then(|| vec![Arg::Actor(self.next)])
    }

    /// A thread that ends alone: mostly one of several.
    pub(crate) fn leave(&mut self) -> Option<Vec<Arg>> {
        match self.threads() {
            // The last of several says how the process has ended.
            1 if !self.is_first() => Some(vec![Arg::Number(self.random.below(4) as i64)]),
            1 if !self.random.one_in(4) => None,
            1 => self.exit(),
            _ => Some(vec![Arg::Number(self.random.below(4) as i64)]),
        }
    }

    fn is_first(&self) -> bool {
        self.own().pid == self.own().process
    }

    pub(crate) fn tkill(&mut self) -> Option<Vec<Arg>> {
        Some(vec![self.somebody(), self.signal_to_send()])
    }

    pub(crate) fn waitid(&mut self) -> Option<Vec<Arg>> {
        let mut args = self.wait()?;
        let all = ["ended", "stopped", "stopped", "continued", "any", "any", "clone", "all", "own"];
        args.push(Arg::Word(self.random.of(&all).expect("some")));
        Some(args)
    }

    /// A child with an exit signal of its own, or none.
    pub(crate) fn clone_(&mut self) -> Option<Vec<Arg>> {
        let mut args = self.fork()?;
        // None that stops: the parent may be in a vfork, or in init's session.
        let signo = match self.signal_now() {
            19..=22 => return None,
            number => number,
        };
        args.push(if self.random.one_in(3) { Arg::Number(0) } else { Arg::Signal(signo) });
        Some(args)
    }

    pub(crate) fn flag(&mut self) -> Option<Vec<Arg>> {
        Some(vec![Arg::Number(i64::from(!self.random.one_in(4)))])
    }

    /// None that stops: Linux's child has lost its tie to the parent when it takes it, or not.
    pub(crate) fn deathsig(&mut self) -> Option<Vec<Arg>> {
        match self.signal_to_send() {
            Arg::Signal(19..=22) => None,
            signo => Some(vec![signo]),
        }
    }

    pub(crate) fn exit(&mut self) -> Option<Vec<Arg>> {
        if self.free < 3 && !self.random.one_in(4) {
            return None;
        }
        let code = if self.random.one_in(8) { 256 + 3 } else { self.random.below(4) };
        Some(vec![Arg::Number(code as i64)])
    }

    pub(crate) fn wait(&mut self) -> Option<Vec<Arg>> {
        let zombies = count(self.state, |t| self.is_child()(t) && t.stage == Stage::Zombie);
        let children = count(self.state, self.is_child());
        if children == 0 && !self.random.one_in(6) {
            return None;
        }
        let group = match self.one(self.is_child()) {
            Some(child) if self.random.one_in(2) => {
                let pgid = self.state[&child].pgid;
                self.one(|task| task.pid == pgid)
            }
            _ => self.leader(),
        };
        let whom = match self.random.below(10) {
            0..4 => Arg::Number(-1),
            4..7 => self.one(self.is_child()).map_or(Arg::Number(-1), Arg::Actor),
            7 => group.map_or(Arg::Number(0), Arg::Group),
            8 => Arg::Number(0),
            _ => self.somebody(),
        };
        // Somebody must be left to go on.
        let sleeps = zombies < children && self.free > 2 && self.random.one_in(3);
        let hangs = sleeps || (zombies > 0 && zombies == children && self.random.one_in(2));
        let hang = if hangs && self.free > 1 { "hang" } else { "nohang" };
        let look = if self.random.one_in(5) { "look" } else { "reap" };
        Some(vec![whom, Arg::Word(hang), Arg::Word(look)])
    }

    pub(crate) fn kill(&mut self) -> Option<Vec<Arg>> {
        let whom = match self.random.below(16) {
            0..3 => self.leader().map_or(Arg::Number(0), Arg::Group),
            3 => Arg::Number(0),
            4 => Arg::Number(-1),
            _ => self.somebody(),
        };
        let to_many = matches!(whom, Arg::Group(_) | Arg::Number(..=0));
        let signo = self.signal_to_send();
        let ends = |number: u8| {
            signals::of_linux(number.into()).is_some_and(|signal| signal.effect == Effect::Ends)
        };
        match signo {
            // Too many would end.
            Arg::Signal(number) if to_many && ends(number) && !self.random.one_in(4) => {
                Some(vec![whom, Arg::Number(0)])
            }
            _ => Some(vec![whom, signo]),
        }
    }

    fn signal_to_send(&mut self) -> Arg {
        match self.random.below(40) {
            0..6 => Arg::Number(0),
            6 => Arg::Number(*self.random.of(&[-1, 65, 4096]).expect("some")),
            7..9 => Arg::Signal(9),
            _ => Arg::Signal(self.signal_now()),
        }
    }

    /// In init's session none that stops: a group of orphans there has a tie to the init of
    /// a namespace, which it would not have to the system's.
    fn signal_now(&mut self) -> u8 {
        let may_stop = count(self.state, |task| task.sid == 0) == 0;
        let stops = |number: u8| {
            let signal = signals::of_linux(number.into());
            signal.is_some_and(|signal| signal.effect == Effect::Stops)
        };
        loop {
            let number = self.signal();
            if may_stop || !stops(number) {
                return number;
            }
        }
    }

    /// None that stops or continues: these come without a value here.
    fn signal_to_queue(&mut self) -> Arg {
        let acts = |number: u8| {
            let signal = signals::of_linux(number.into());
            signal.is_some_and(|s| matches!(s.effect, Effect::Stops | Effect::Continues))
        };
        match self.random.below(20) {
            0 => Arg::Number(*self.random.of(&[0, -1, 65]).expect("some")),
            1 => Arg::Signal(9),
            2..8 => Arg::Signal(*self.random.of(&[32, 34, 64]).expect("some")),
            _ => match self.signal() {
                number if acts(number) => Arg::Number(0),
                number => Arg::Signal(number),
            },
        }
    }

    fn value(&mut self) -> Arg {
        Arg::Number(self.random.below(100) as i64)
    }

    pub(crate) fn queue(&mut self) -> Option<Vec<Arg>> {
        Some(vec![self.somebody(), self.signal_to_queue(), self.value()])
    }

    /// To a thread of that process, or rarely of another.
    pub(crate) fn tqueue(&mut self) -> Option<Vec<Arg>> {
        let thread = self.one(|task| task.stage != Stage::Gone)?;
        let of = if self.random.one_in(10) { self.actor } else { thread };
        let pid = self.state[&of].process;
        let process = self.one(|task| task.pid == pid)?;
        let signo = self.signal_to_queue();
        Some(vec![Arg::Actor(process), Arg::Actor(thread), signo, self.value()])
    }

    /// One that a process can ignore, catch or block.
    fn signal(&mut self) -> u8 {
        let all: Vec<u8> = signals::SIGNALS
            .iter()
            .filter(|signal| !matches!(signal.name, "KILL" | "STOP"))
            .map(|signal| signal.linux)
            .collect();
        *self.random.of(&all).expect("some")
    }

    pub(crate) fn setpgid(&mut self) -> Option<Vec<Arg>> {
        let pid = match self.random.below(10) {
            0..3 => Arg::Number(0),
            3..8 => self.one(self.is_child()).map_or(Arg::Number(0), Arg::Actor),
            _ => self.somebody(),
        };
        // Who leads others' group and leaves it may meet its own number in use.
        let own = self.own().pid;
        let leads = count(self.state, |task| task.pgid == own && task.pid != own) > 0;
        if leads && self.random.one_in(3) {
            let leader = self.one(|task| task.pid == task.pgid && task.pid != own);
            return Some(vec![Arg::Number(0), leader.map_or(Arg::Number(0), Arg::Actor)]);
        }
        let pgid = match self.random.below(10) {
            0..3 => Arg::Number(0),
            3..5 => pid,
            5..8 => self.leader().map_or(Arg::Number(0), Arg::Actor),
            _ => self.somebody(),
        };
        Some(vec![pid, pgid])
    }

    /// Mostly when it could be done: it leads no group.
    pub(crate) fn setsid(&mut self) -> Option<Vec<Arg>> {
        let own = self.own();
        (own.pgid != own.pid || self.random.one_in(6)).then(Vec::new)
    }

    /// Mostly by the leader of a session.
    pub(crate) fn setctty(&mut self) -> Option<Vec<Arg>> {
        let own = self.own();
        let may = own.sid == own.process && own.foreground.is_none();
        if !may && !self.random.one_in(10) {
            return None;
        }
        let steals = self.rights == Rights::Superuser && self.random.one_in(3);
        Some(vec![Arg::Word(if steals { "steal" } else { "free" })])
    }

    /// Whether an actor may use the terminal. In a process of one thread: another's catching
    /// would not end the call, which then begins again for ever. And alone in its group, so
    /// that the order in which several begin again does not matter.
    fn may_use_terminal(&self) -> bool {
        let own = self.own();
        let is_there = |task: &Task| task.pgid == own.pgid && task.call.is_some_and(is_of_terminal);
        self.threads() == 1 && self.is_first() && count(self.state, is_there) == 0
    }

    /// Mostly from the background.
    pub(crate) fn at_terminal(&mut self) -> Option<Vec<Arg>> {
        let own = self.own();
        let is_behind = own.foreground.is_some_and(|foreground| foreground != own.pgid);
        ((is_behind || self.random.one_in(8)) && self.may_use_terminal()).then(Vec::new)
    }

    pub(crate) fn tcsetpgrp(&mut self) -> Option<Vec<Arg>> {
        let (sid, has_one) = (self.own().sid, self.own().foreground.is_some());
        if !self.may_use_terminal() || !(has_one || self.random.one_in(8)) {
            return None;
        }
        let of_session = self.one(|task| task.sid == sid && task.stage != Stage::Gone);
        Some(vec![match of_session {
            Some(name) if !self.random.one_in(4) => Arg::Actor(name),
            _ => self.somebody(),
        }])
    }

    pub(crate) fn vhangup(&mut self) -> Option<Vec<Arg>> {
        let has_one = self.own().foreground.is_some();
        let may = self.rights == Rights::Superuser && (has_one || self.random.one_in(10));
        may.then(Vec::new)
    }

    pub(crate) fn limit(&mut self) -> Option<Vec<Arg>> {
        self.has_ids()?;
        Some(vec![Arg::Number(self.random.below(5) as i64)])
    }

    /// A number after which comes one that is borne, or that is the first of a round, or the
    /// last.
    pub(crate) fn last(&mut self) -> Option<Vec<Arg>> {
        if self.own().users[1] != 0 {
            return None;
        }
        let max = self.pid_max as i64;
        let near = |random: &mut Random, number: i64| number - 8 + random.below(12) as i64;
        Some(vec![match self.random.below(10) {
            0..4 => Arg::Number(near(self.random, max - 2)),
            4..6 => Arg::Number(near(self.random, 300)),
            6..8 => self.leader().map_or(Arg::Number(max), Arg::Actor),
            8 => Arg::Number(self.random.below(8) as i64),
            _ => Arg::Number(*self.random.of(&[-1, max, max + 1, 0]).expect("some")),
        }])
    }

    pub(crate) fn number(&mut self) -> Option<Vec<Arg>> {
        Some(vec![self.somebody()])
    }

    fn a_set(&mut self) -> Arg {
        let mut set = 0;
        for _ in 0..self.random.below(4) {
            set |= signals::bit(self.signal());
        }
        if self.random.one_in(12) {
            set |= signals::bit(9);
        }
        Arg::Set(set)
    }

    pub(crate) fn set(&mut self) -> Option<Vec<Arg>> {
        let pending = self.own().pending | self.own().own_pending;
        Some(vec![if self.random.one_in(2) { Arg::Set(pending) } else { self.a_set() }])
    }

    pub(crate) fn suspend(&mut self) -> Option<Vec<Arg>> {
        (self.free > 2).then(|| vec![self.a_set()])
    }

    pub(crate) fn mask(&mut self) -> Option<Vec<Arg>> {
        let how = *self.random.of(&["block", "block", "unblock", "setmask"]).expect("some");
        Some(vec![Arg::Word(how), self.a_set()])
    }

    pub(crate) fn action(&mut self) -> Option<Vec<Arg>> {
        let mut what = *self.random.of(&["default", "ignore", "catch", "catch"]).expect("some");
        let mut signo = if self.random.one_in(20) { 9 } else { self.signal() };
        if self.random.one_in(5) {
            signo = libc::SIGCHLD as u8;
            let flags = ["nowait", "nostop", "default-nowait", "ignore"];
            what = *self.random.of(&flags).expect("some");
        }
        Some(vec![Arg::Signal(signo), Arg::Word(what)])
    }

    fn an_id(&mut self) -> Arg {
        let own = self.own();
        let had = [own.users, own.groups].concat();
        let had = *self.random.of(&had).expect("some");
        let new = self.random.below(1 + usize::from(ids::COUNT)) as u8;
        match self.random.below(3) {
            0 => {
                (1..=ids::COUNT).find(|&name| ids::of(name) == had).map_or(Arg::Number(0), Arg::Id)
            }
            _ if new == 0 => Arg::Number(0),
            _ => Arg::Id(new),
        }
    }

    fn maybe_an_id(&mut self) -> Arg {
        if self.random.one_in(3) { Arg::Number(-1) } else { self.an_id() }
    }

    /// Whether ids can change here.
    fn has_ids(&self) -> Option<()> {
        (self.rights == Rights::Superuser).then_some(())
    }

    pub(crate) fn id(&mut self) -> Option<Vec<Arg>> {
        self.has_ids()?;
        let id = if self.random.one_in(20) { Arg::Number(-1) } else { self.an_id() };
        Some(vec![id])
    }

    pub(crate) fn two_ids(&mut self) -> Option<Vec<Arg>> {
        self.has_ids()?;
        Some(vec![self.maybe_an_id(), self.maybe_an_id()])
    }

    pub(crate) fn three_ids(&mut self) -> Option<Vec<Arg>> {
        self.has_ids()?;
        Some(vec![self.maybe_an_id(), self.maybe_an_id(), self.maybe_an_id()])
    }
}
