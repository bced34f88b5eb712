//! The side of the system: real processes, each of which makes one call at a time.

mod image;
mod memory;
mod namespace;
mod procfs;

pub use memory::Call;
pub use namespace::{MOST_PROCESSES, Rights, Unavailable};

use crate::numbers::{IsInit, Numbers};
use crate::state::{Stage, State, Task};
use crate::step::{Answer, Name, Outcome, Step};
use crate::verbs::{Makes, Verb};
use memory::Memory;
use namespace::{INIT, Namespace};
use procfs::{Files, Stat};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

mod endless;
mod system;

/// What a call finds out about its actor.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    slot: usize,
}

impl Seat {
    /// The address of the call's data in the actor.
    pub fn data(self) -> u64 {
        memory::data_of(self.slot)
    }

    /// What the image finds in the first argument to know its slot.
    pub fn argument(self) -> u8 {
        self.slot as u8
    }

    /// The descriptor of the image.
    pub const IMAGE: i32 = memory::IMAGE_FD;

    /// That of `/proc/sys/kernel/ns_last_pid`.
    pub const LAST: i32 = memory::LAST_FD;

    /// The descriptor of the terminal.
    pub const TERMINAL: i32 = memory::TERMINAL_FD;

    /// The address of the handler that notes a caught signal.
    pub fn handler(self) -> u64 {
        image::handler()
    }

    /// What a handler returns to.
    pub fn restorer(self) -> u64 {
        image::restorer()
    }
}

/// What an actor's call has left.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// As the system answers: an error is negative.
    pub result: i64,
    /// The call's data.
    pub data: &'a [u8],
}

impl Reply<'_> {
    /// The value or the error.
    pub fn result(self) -> Result<i64, i32> {
        if self.result < 0 { Err(-self.result as i32) } else { Ok(self.result) }
    }

    /// A number of four bytes of the data.
    pub fn int(self, at: usize) -> i32 {
        i32::from_le_bytes(self.data[at..at + 4].try_into().expect("four bytes"))
    }

    /// A number of eight bytes of the data.
    pub fn long(self, at: usize) -> u64 {
        u64::from_le_bytes(self.data[at..at + 8].try_into().expect("eight bytes"))
    }
}

/// The system did what no sequence asks for.
#[derive(Debug)]
pub struct Trouble(String);

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Trouble {}

impl From<Unavailable> for Trouble {
    fn from(why: Unavailable) -> Self {
        Self(why.to_string())
    }
}

/// One actor.
#[derive(Debug)]
struct Actor {
    slot: usize,
    /// Its numbers, and its process's in the sequence's own namespace.
    numbers: Numbers,
    process: i32,
    /// The first actor of its process: the number may be another's later.
    of: Name,
    files: Files,
    /// What it has been asked and has not been seen to answer.
    asked: Option<&'static Verb>,
    /// As it was when all was still.
    stat: Stat,
    /// Its number in our namespace, until that has been seen free.
    number: Option<i32>,
}

/// The system, and the actors of one sequence.
#[derive(Debug)]
pub struct Linux {
    memory: Memory,
    image: OwnedFd,
    rights: Rights,
    namespace: Option<Namespace>,
    actors: BTreeMap<Name, Actor>,
}

impl Linux {
    /// The most actors that a sequence can make.
    pub const ACTORS: usize = memory::SLOTS - 2;

    /// Looks whether the system lets us.
    ///
    /// # Errors
    /// What it forbids.
    pub fn new(rights: Rights) -> Result<Self, Unavailable> {
        let shared = system::memfd(c"lwproc-oracle-slots")?;
        let memory = Memory::new(shared).map_err(|why| Unavailable::new("shared memory", why))?;
        let image = system::program(&image::elf())?;
        let mut this = Self { memory, image, rights, namespace: None, actors: BTreeMap::new() };
        this.enter_namespace()?;
        this.leave();
        Ok(this)
    }

    /// The end of the sequence's numbers: each is below it.
    pub fn pid_max(&self) -> usize {
        self.namespace.as_ref().expect("a sequence has begun").pid_max
    }

    /// Whose rights sequences begin with.
    pub fn rights(&self) -> Rights {
        self.rights
    }

    fn enter_namespace(&mut self) -> Result<(), Unavailable> {
        let image = self.image.as_raw_fd();
        self.namespace = Some(Namespace::new(&self.memory, image, self.rights)?);
        Ok(())
    }

    /// Begins a sequence: init, and [`Name::FIRST`].
    ///
    /// # Errors
    /// The system is at its limits.
    pub fn begin(&mut self) -> Result<(), Trouble> {
        self.leave();
        self.enter_namespace()?;
        let slot = self.new_slot();
        let fork = crate::verbs::fork_call();
        self.memory.ask(INIT, &fork, Some(slot));
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.memory.is_idle(INIT) {
            self.memory.wait(INIT);
            if Instant::now() > deadline {
                return Err(Trouble("init does not answer".into()));
            }
        }
        let first = i32::try_from(self.memory.result(INIT)).unwrap_or(-1);
        self.seat(Name::FIRST, slot, Numbers::new(vec![], vec![first]), None)?;
        // init ignores it, and a child inherits that.
        let ordinary = crate::verbs::default_action(Seat { slot }, libc::SIGCHLD);
        self.memory.ask(slot, &ordinary, None);
        self.settle()
    }

    /// Ends the sequence, and all its actors.
    pub fn leave(&mut self) {
        self.namespace = None;
        self.actors.clear();
    }

    fn new_slot(&self) -> usize {
        let slot = INIT + 1 + self.actors.len();
        self.memory.clear(slot);
        slot
    }

    /// Notes an actor that was made; in a process that is there, if it is a thread.
    fn seat(
        &mut self,
        name: Name,
        slot: usize,
        numbers: Numbers,
        process: Option<(i32, Name)>,
    ) -> Result<(), Trouble> {
        let proc = &self.namespace.as_ref().expect("a sequence has begun").proc;
        let pid = numbers.outermost();
        let failed = |why: io::Error| Trouble(format!("{name}, number {pid}: {why}"));
        let (process, of) = process.unwrap_or((pid, name));
        let files = Files::open(proc, process, pid).map_err(failed)?;
        let stat = files.stat();
        let own = &self.namespace.as_ref().expect("a sequence has begun").own;
        let number = system::number_here(own, pid);
        let actor = Actor { slot, numbers, process, of, files, asked: None, stat, number };
        self.actors.insert(name, actor);
        Ok(())
    }

    /// The number of an actor in the sequence's own namespace, whether it is there still or
    /// not.
    pub fn pid_of(&self, name: Name) -> Option<i32> {
        self.actors.get(&name).map(|actor| actor.numbers.outermost())
    }

    /// The number by which an actor knows another, whether that is there still or not.
    pub fn number_for(&self, actor: Name, name: Name) -> Option<i32> {
        Some(self.actors.get(&name)?.numbers.seen_by(&self.actors.get(&actor)?.numbers))
    }

    /// The number of an actor's process, as it knows that.
    pub fn process_of(&self, name: Name) -> Option<i64> {
        let actor = self.actors.get(&name)?;
        let mut all = self.actors.values();
        let first = all.find(|other| other.numbers.outermost() == actor.process)?;
        Some(first.numbers.seen_by(&actor.numbers).into())
    }

    /// The numbers of a task that an actor has just made, which knows it by `made`.
    fn numbers_of_made(
        &self,
        actor: Name,
        (name, made): (Name, i64),
        makes: Makes,
    ) -> Result<Numbers, Trouble> {
        let proc = &self.namespace.as_ref().expect("a sequence has begun").proc;
        let trouble = |why: String| Trouble(format!("{name}, number {made}: {why}"));
        let maker = &self.actors[&actor];
        let is_init = if makes == Makes::Init { IsInit::Yes } else { IsInit::No };
        let spaces = maker.numbers.spaces_of(name, is_init);
        let made = i32::try_from(made).map_err(|why| trouble(why.to_string()))?;
        if spaces.is_empty() {
            return Ok(Numbers::new(spaces, vec![made]));
        }
        let process = (makes == Makes::Thread).then_some(maker.process);
        // The number of one that is gone may be another's.
        let there = || self.actors.values().filter(|actor| actor.stat.state != '-');
        let known = |pid: i32| there().any(|actor| actor.numbers.outermost() == pid);
        let all = procfs::numbers(proc, process).map_err(|why| trouble(why.to_string()))?;
        let is_it = |each: &Vec<i32>| {
            !known(each[0])
                && each.len() == spaces.len() + 1
                && each.get(maker.numbers.depth()) == Some(&made)
        };
        let found = all.into_iter().find(is_it);
        Ok(Numbers::new(spaces, found.ok_or_else(|| trouble("not found".into()))?))
    }

    /// Whether an actor could make a call now.
    pub fn is_free(&self, name: Name) -> bool {
        self.actors.get(&name).is_some_and(|actor| actor.asked.is_none() && actor.stat.state == 'S')
    }

    /// Lets an actor do a step, waits until nothing moves any more, and says what came of it,
    /// for this actor and for those whose calls have ended by it. `None`: it cannot be done.
    ///
    /// # Errors
    /// It does not come to rest.
    pub fn step(&mut self, step: &Step) -> Result<Option<Vec<(Name, Outcome)>>, Trouble> {
        let values = step.values(|name| self.number_for(step.actor, name));
        let makes = step.makes();
        let has_room = self.actors.len() < Self::ACTORS;
        let is_new = makes.is_none_or(|name| has_room && !self.actors.contains_key(&name));
        let (true, true, Some(values)) = (self.is_free(step.actor), is_new, values) else {
            return Ok(None);
        };
        if self.has_no_end(step, &values) {
            return Ok(None);
        }
        let child = makes.map(|_| self.new_slot());
        let actor = self.actors.get_mut(&step.actor).expect("it is free");
        let slot = actor.slot;
        let process = (step.verb.makes == Makes::Thread).then_some((actor.process, actor.of));
        actor.asked = Some(step.verb);
        self.memory.ask(slot, &(step.verb.call)(&values, Seat { slot }), child);
        self.memory.wait(slot);
        if let (Some(name), Some(child)) = (makes, child) {
            let made = match step.verb.name {
                "vfork" => self.made_by_vfork(slot),
                // It does not block.
                _ => {
                    self.has_answered(slot);
                    self.memory.result(slot)
                }
            };
            if made > 0 {
                let made = self.numbers_of_made(step.actor, (name, made), step.verb.makes)?;
                self.seat(name, child, made, process)?;
            }
        }
        if step.verb.name == "exec" {
            self.let_take_pid(step.actor)?;
        }
        self.settle()?;
        Ok(Some(self.outcomes(step.actor)))
    }

    /// A further thread that has execed is its process's first from now on, and the files of
    /// that one show it.
    fn let_take_pid(&mut self, name: Name) -> Result<(), Trouble> {
        let Actor { slot, process, of, .. } = self.actors[&name];
        let first = self.actors.values().find(|actor| actor.numbers.outermost() == process);
        let numbers = first.map(|first| first.numbers.clone());
        let numbers = numbers.ok_or_else(|| Trouble(format!("{name}: who was first?")))?;
        if self.actors[&name].numbers.outermost() == process
            || !self.has_answered(slot)
            || self.memory.result(slot) != 0
        {
            return Ok(());
        }
        let asked = self.actors[&name].asked;
        for actor in self.actors.values_mut().filter(|actor| actor.process == process) {
            actor.stat.state = '-';
        }
        self.seat(name, slot, numbers, Some((process, of)))?;
        self.actor_of(name).asked = asked;
        Ok(())
    }

    fn actor_of(&mut self, name: Name) -> &mut Actor {
        self.actors.get_mut(&name).expect("it was made")
    }

    /// The number of a child whose parent may be asleep until it execs.
    fn made_by_vfork(&self, slot: usize) -> i64 {
        for _ in 0..50_000 {
            let data = self.memory.data(slot);
            match (Reply { result: 0, data: &data }).int(0) {
                0 if self.memory.is_idle(slot) => break,
                0 => self.memory.wait(slot),
                pid => return pid.into(),
            }
        }
        self.memory.result(slot)
    }

    /// Waits for an answer, which comes, but the machine may be slow.
    fn has_answered(&self, slot: usize) -> bool {
        for _ in 0..50_000 {
            if self.memory.is_idle(slot) {
                break;
            }
            self.memory.wait(slot);
        }
        self.memory.is_idle(slot)
    }

    fn outcomes(&mut self, asked: Name) -> Vec<(Name, Outcome)> {
        let mut outcomes = Vec::new();
        for (name, actor) in &mut self.actors {
            let Some(verb) = actor.asked else { continue };
            let outcome = if matches!(actor.stat.state, 'Z' | '-') {
                actor.asked = None;
                Outcome::Ended
            } else if self.memory.is_idle(actor.slot) {
                actor.asked = None;
                let data = self.memory.data(actor.slot);
                let reply = Reply { result: self.memory.result(actor.slot), data: &data };
                Outcome::Answered((verb.answer)(reply))
            } else if *name == asked {
                Outcome::Blocks
            } else {
                continue;
            };
            outcomes.push((*name, outcome));
        }
        outcomes
    }

    /// Waits until nothing moves: two looks at all see the same, and nobody on the way.
    /// A parent is told a moment *after* `/proc` shows that its child has ended, but under
    /// the lock of the list of tasks; so between the looks is a call that takes that.
    fn settle(&mut self) -> Result<(), Trouble> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(first) = self.look() {
                system::take_lock_of_tasks();
                if self.look().as_ref() == Some(&first) {
                    for (actor, (stat, _)) in self.actors.values_mut().zip(first) {
                        actor.stat = stat;
                    }
                    self.wait_for_numbers();
                    return Ok(());
                }
            }
            if Instant::now() > deadline {
                let stats: Vec<_> =
                    self.actors.iter().map(|(name, a)| (*name, a.files.stat())).collect();
                return Err(Trouble(format!("it does not come to rest: {stats:?}")));
            }
            std::thread::yield_now();
        }
    }

    /// Waits until the numbers are free that nobody bears any more. Who ends without being
    /// waited for gives its own back a moment after `/proc` has forgotten it. (Should a
    /// stranger have the number meanwhile, it is not waited for.)
    fn wait_for_numbers(&mut self) {
        let borne: Vec<i32> = self
            .actors
            .values()
            .filter(|actor| actor.stat.state != '-')
            .flat_map(|actor| [actor.numbers.outermost(), actor.stat.pgid, actor.stat.sid])
            .collect();
        let deadline = Instant::now() + Duration::from_millis(200);
        for actor in self.actors.values_mut() {
            let Some(number) = actor.number else { continue };
            if borne.contains(&actor.numbers.outermost()) {
                continue;
            }
            while !system::is_free(number, &self.image) && Instant::now() < deadline {
                std::thread::yield_now();
            }
            actor.number = None;
        }
    }

    /// Where all are, and whether they have answered; `None` when one is on its way.
    fn look(&self) -> Option<Vec<(Stat, bool)>> {
        let seen: Vec<(Stat, bool)> = self
            .actors
            .values()
            .map(|actor| {
                // What is gone stays so.
                let stat = if actor.stat.state == '-' { actor.stat } else { actor.files.stat() };
                (stat, self.memory.is_idle(actor.slot))
            })
            .collect();
        // A first thread that has ended before others is a zombie that waits for them.
        let lives = |process| {
            let mut all = self.actors.values().zip(&seen);
            all.any(|(actor, (stat, _))| actor.process == process && !"Z-".contains(stat.state))
        };
        let mut all = self.actors.values().zip(&seen);
        all.all(|(actor, (stat, _))| match stat.state {
            // Who is idle has nothing to do but to fall asleep.
            'S' => !stat.is_exiting && (self.memory.is_idle(actor.slot) || actor.files.is_asleep()),
            // It waits for the child of its vfork.
            'D' => {
                let verb = actor.asked.map(|verb| verb.name);
                verb == Some("vfork") && actor.files.is_asleep()
            }
            // It is seen to have stopped before it tells its parent.
            'T' => actor.files.is_asleep(),
            '-' => true,
            // init's are about to go.
            'Z' => stat.ppid != 1 || lives(actor.process),
            _ => false,
        })
        .then_some(seen)
    }

    /// How all actors are.
    pub fn state(&self) -> State {
        let tasks = self.actors.iter().map(|(name, actor)| {
            let mut task = match actor.stat.state {
                '-' => Task::default(),
                _ => actor.files.task(actor.stat),
            };
            if self.rights == Rights::OneUser && task.stage != Stage::Gone {
                // The one user, who is 0 there, is shown as we know it.
                let own = system::own_ids();
                task.users = task.users.map(|id| id.wrapping_sub(own[0]));
                task.groups = task.groups.map(|id| id.wrapping_sub(own[1]));
            }
            task.pid = actor.numbers.outermost();
            task.process = actor.process;
            let own = self.actors.values().filter(|other| other.of == actor.of);
            task.caught = own.fold(0, |all, other| all | self.memory.caught(other.slot));
            task.call = actor.asked.map(|verb| verb.name);
            (*name, task)
        });
        tasks.collect()
    }
}

/// The answer of a call that tells nothing else.
pub fn plain(reply: Reply<'_>) -> Answer {
    Answer { result: reply.result(), out: String::new() }
}
