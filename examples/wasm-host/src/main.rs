//! WASM guests as processes. Each guest is an instance of a module that runs as a process of
//! one kernel; its threads are further instances, which run as LWPs of that process. What it
//! imports from `host` are its system calls. A guest is a future: it yields when its fuel is
//! used up, and awaits when a call takes time. The scope of its LWP does the rest: whatever
//! ends the process from outside ends the future, be it computing, asleep or waiting.
//!
//! cargo run --release -p lwproc-wasm-host

use lwproc::{
    Abi, CoreDump, Entered, Errno, ExitStatus, Fd, FileHandle, Kernel, KillTarget, Lwp, OnExec,
    Rfork, SigModel, SpawnGroup, ThreadHost, WaitChild, WaitPolicy, WaitTarget, current_of,
    interruptible,
};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use std::{future, panic};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{sleep, timeout};
use wasmi::{Caller, Engine, ExternType, Func, Linker, Memory, Module, ResumableCall, Store, Val};

macro_rules! programs {
    ($($name:literal)+) => { [$(($name, include_str!(concat!("../guests/", $name, ".wat")))),+] };
}

/// The programs that a guest can spawn, by number. The last three run for ever.
const PROGRAMS: [(&str, &str); 8] =
    programs!("sum" "trap" "panic" "pipe" "threads" "spin" "sleep" "wait");
const ENDLESS: usize = 5;
const GUESTS: usize = 1000;
/// What a guest may compute before another one has its turn.
const FUEL: u64 = 5_000;
const SIGILL: u8 = 4;
const SIGTERM: i32 = 15;

type Host = ThreadHost<File>;
type Cx<'k> = Entered<'k, Host>;

/// An open file: an end of a pipe.
enum File {
    Reader(Mutex<UnboundedReceiver<u8>>),
    Writer(UnboundedSender<u8>),
}

/// A system call, by its name and its arguments. A host function leaves it in the store and
/// traps; the future serves it.
type Call = (String, Vec<i32>);

/// The programs, compiled, each with the functions that it imports.
type System = Arc<[(Module, Linker<Call>)]>;

fn compile(text: &str, engine: &Engine) -> Result<(Module, Linker<Call>), wasmi::Error> {
    let (module, mut linker) = (Module::new(engine, text)?, Linker::new(engine));
    for import in module.imports() {
        let ExternType::Func(ty) = import.ty() else { continue };
        let name = import.name().to_owned();
        let call = move |mut guest: Caller<'_, Call>, args: &[Val], _: &mut [Val]| {
            *guest.data_mut() = (name.clone(), args.iter().filter_map(Val::i32).collect());
            Err(wasmi::Error::new("a call"))
        };
        linker.func_new(import.module(), import.name(), ty.clone(), call)?;
    }
    Ok((module, linker))
}

/// Starts a thread of a guest: a task that runs as that LWP, until its program ends or its
/// process does. The LWP's number.
fn start(of: &System, lwp: Lwp<Host>, program: usize, entry: &'static str, arg: i32) -> i32 {
    let (system, lid) = (of.clone(), lwp.lid());
    let guest = lwp.scope(async move {
        let (module, linker) = &system[program];
        let mut store = Store::new(module.engine(), Call::default());
        let instance = linker.instantiate_and_start(&mut store, module).expect("one of ours");
        let memory = instance.get_memory(&store, "memory").expect("it exports its memory");
        let entry = instance.get_func(&store, entry).expect("it has that function");
        Guest { system, program, store, memory }.run(entry, arg).await;
    });
    tokio::spawn(guest.or_exit());
    lid.0
}

/// A thread of a guest.
struct Guest {
    system: System,
    program: usize,
    store: Store<Call>,
    memory: Memory,
}

impl Guest {
    async fn run(mut self, entry: Func, arg: i32) {
        self.store.set_fuel(FUEL).expect("fuel is counted");
        let mut call = entry.call_resumable(&mut self.store, &[Val::I32(arg)], &mut []);
        loop {
            call = match call {
                Ok(ResumableCall::Finished) => return,
                Ok(ResumableCall::OutOfFuel(guest)) => {
                    tokio::task::yield_now().await;
                    take_signals().await;
                    // One instruction may need more: `memory.fill`, say.
                    let fuel = guest.required_fuel().max(FUEL);
                    self.store.set_fuel(fuel).expect("fuel is counted");
                    guest.resume(&mut self.store, &mut [])
                }
                Ok(ResumableCall::HostTrap(guest)) => {
                    let (name, args) = std::mem::take(self.store.data_mut());
                    let answer = self.serve(&name, &args).await;
                    take_signals().await;
                    let answer = answer.unwrap_or_else(|errno| -errno.number(Abi::Linux));
                    guest.resume(&mut self.store, &[Val::I32(answer)], &mut [])
                }
                // To the process a trap is what an illegal instruction is.
                Err(_) => return end(ExitStatus::signaled(SIGILL, CoreDump::None)).await,
            }
        }
    }

    async fn serve(&mut self, name: &str, args: &[i32]) -> Result<i32, Errno> {
        match (name, args) {
            ("getpid", []) => cx(|k| Ok::<_, Errno>(k.pid().0)),
            ("getppid", []) => cx(|k| Ok::<_, Errno>(k.ppid().0)),
            ("exit", &[code]) => end(ExitStatus::exited(code as u8)).await,
            ("panic", []) => panic!("asked for"),
            ("sleep", &[ms]) => Ok(interruptible(sleep(millis(ms))).await.map(|()| 0)?),
            ("kill", &[pid, signo]) => {
                cx(|k| k.signals().kill(KillTarget::from_raw(pid), signo)).map(|()| 0)
            }
            ("spawn", &[program]) => {
                let program = program as usize;
                let (name, _) = PROGRAMS.get(program).ok_or(Errno::ENOENT)?;
                let child = cx(|k| k.spawn().files(Rfork::Copy).name(name).start())?;
                Ok(start(&self.system, child, program, "main", 0))
            }
            ("thread_spawn", &[arg]) => {
                let thread = cx(|k| k.new_lwp(k.pid()))?;
                Ok(start(&self.system, thread, self.program, "thread", arg))
            }
            ("waitpid", &[pid, status, ms]) => {
                let child = wait(WaitTarget::from_raw(pid))?;
                let limit = if ms < 0 { Duration::MAX } else { millis(ms) };
                let child = timeout(limit, child).await.map_err(|_| Errno::ETIMEDOUT)??;
                self.store(status, &child.status.as_wait_status().to_le_bytes())
                    .map(|()| child.pid.0)
            }
            ("pipe", &[fds]) => {
                let (writer, reader) = unbounded_channel();
                let open = |file| cx(|k| k.files().open(file, OnExec::Keep));
                let reader = open(File::Reader(Mutex::new(reader)))?.0.to_le_bytes();
                let writer = open(File::Writer(writer))?.0.to_le_bytes();
                self.store(fds, &[reader, writer].concat()).map(|()| 0)
            }
            ("read", &[fd, to, len]) => {
                let (file, mut bytes) = (file(fd)?, Vec::new());
                let File::Reader(pipe) = &*file else { return Err(Errno::EBADF) };
                let read = async { pipe.lock().await.recv_many(&mut bytes, len as usize).await };
                interruptible(read).await?;
                self.store(to, &bytes).map(|()| bytes.len() as i32)
            }
            ("write", &[fd, from, len]) => {
                let file = file(fd)?;
                let File::Writer(pipe) = &*file else { return Err(Errno::EBADF) };
                let bytes = self.memory.data(&self.store).get(from as usize..);
                let mut bytes = bytes.ok_or(Errno::EFAULT)?.iter().take(len as usize);
                bytes.try_for_each(|byte| pipe.send(*byte)).map_err(|_| Errno::EPIPE)?;
                Ok(len)
            }
            ("close", &[fd]) => cx(|k| k.files().close(Fd(fd))).map(|()| 0),
            ("dup2", &[old, new]) => cx(|k| k.files().dup2(Fd(old), Fd(new))).map(|fd| fd.0),
            _ => Err(Errno::ENOSYS),
        }
    }

    fn store(&mut self, at: i32, bytes: &[u8]) -> Result<(), Errno> {
        self.memory.write(&mut self.store, at as usize, bytes).map_err(|_| Errno::EFAULT)
    }
}

/// Does something as the guest that is being polled.
fn cx<R, E: Into<Errno>>(f: impl FnOnce(&mut Cx<'_>) -> Result<R, E>) -> Result<R, Errno> {
    current_of::<Host, _>(f)?.map_err(E::into)
}

/// What an open descriptor refers to.
fn file(fd: i32) -> Result<FileHandle<Host>, Errno> {
    cx(|k| k.files().get(Fd(fd)).map(|file| file.handle()))
}

/// Ends the guest's process. Its scope ends with this poll.
async fn end<T>(status: ExitStatus) -> T {
    cx(|k| k.exit_group(status)).expect("nobody holds a guest");
    future::pending().await
}

/// A signal ends a guest: none of them can handle one.
async fn take_signals() {
    if let Ok(Some(signo)) = cx(|k| Ok::<_, Errno>(k.signals().take())) {
        end(ExitStatus::signaled(signo.number(), CoreDump::None)).await
    }
}

fn wait(target: WaitTarget) -> Result<WaitChild<Host>, Errno> {
    cx(|k| Ok::<_, Errno>(k.process().wait(target)))
}

fn millis(ms: i32) -> Duration {
    Duration::from_millis(ms.unsigned_abs().into())
}

/// Starts the guests, and waits for them: how many of each program ended in each way.
async fn supervise(system: System) -> Result<BTreeMap<String, usize>, Errno> {
    let (mut names, mut ends, mut endless) = (BTreeMap::new(), BTreeMap::new(), None);
    for program in (0..PROGRAMS.len()).cycle().take(GUESTS) {
        let name = PROGRAMS[program].0;
        let own = || endless.map_or(SpawnGroup::New, SpawnGroup::Join);
        let group = if program < ENDLESS { SpawnGroup::Inherit } else { own() };
        let child = cx(|k| k.spawn().files(Rfork::Fresh).name(name).group(group).start())?;
        endless = endless.or((program >= ENDLESS).then_some(child.pid()));
        names.insert(child.pid(), name);
        start(&system, child, program, "main", 0);
    }
    for ended in 1..=GUESTS {
        let child = wait(WaitTarget::Any)?.await?;
        *ends.entry(format!("{}: {}", names[&child.pid], child.status)).or_default() += 1;
        if ended == GUESTS * ENDLESS / PROGRAMS.len() {
            let group = KillTarget::Pgrp(endless.ok_or(Errno::ESRCH)?);
            cx(|k| k.signals().kill(group, SIGTERM))?;
        }
    }
    Ok(ends)
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let kernel = Kernel::builder().host(Host::new()).wait_policy(WaitPolicy::Wait);
    let kernel = kernel.signal_model(SigModel::Record).build()?;
    let engine = Engine::new(wasmi::Config::default().consume_fuel(true));
    let system = PROGRAMS.iter().map(|(_, text)| compile(text, &engine));
    let system = system.collect::<Result<_, _>>()?;
    // The panics are asked for, and told by statuses.
    panic::set_hook(Box::new(|_| ()));
    let supervisor = kernel.spawn().name("supervisor").session().start()?;
    let ends = tokio::spawn(supervisor.scope(supervise(system)));
    sleep(millis(50)).await;
    println!("{}", kernel.to_string().lines().take(16).collect::<Vec<_>>().join("\n"));
    ends.await??.iter().for_each(|(how, count)| println!("{count:>5} {how}"));
    println!("{:?}", kernel.counts());
    Ok(())
}
