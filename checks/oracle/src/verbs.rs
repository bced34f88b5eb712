//! The operations, one entry each: how it is invented, what the actor calls, how its answer
//! is read, and the embedder's system call.

use crate::embedder::Ours;
use crate::embedder::calls::{self, Asked, Called};
use crate::embedder::{terminal, waiting};
use crate::generate::Inventor;
use crate::linux::{Call, MOST_PROCESSES, Reply, Seat, plain};
use crate::signals;
use crate::step::{Answer, Arg};
use lwproc::CredChange;

/// What a verb makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Makes {
    /// Nobody.
    Nobody,
    /// A process.
    Process,
    /// The init of a pid namespace.
    Init,
    /// A thread of its actor's process.
    Thread,
}

/// One operation.
pub struct Verb {
    /// Its name in a sequence.
    pub name: &'static str,
    /// How many arguments it has.
    pub args: usize,
    /// How often it is chosen.
    pub weight: u32,
    /// What it makes: an actor, which its first argument names.
    pub makes: Makes,
    /// Arguments for it; `None` when it would be of no use now.
    pub invent: fn(&mut Inventor<'_>) -> Option<Vec<Arg>>,
    /// The actor's system call.
    pub call: fn(&[i64], Seat) -> Call,
    /// What the actor was told.
    pub answer: fn(Reply<'_>) -> Answer,
    /// The same in the kernel of ours.
    pub ours: fn(&mut Ours, &Asked<'_>) -> Called,
}

impl std::fmt::Debug for Verb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The operation of that name.
pub fn named(name: &str) -> Option<&'static Verb> {
    VERBS.iter().find(|verb| verb.name == name)
}

fn call<const N: usize>(number: i64, args: [i64; N]) -> Call {
    let args = std::array::from_fn(|i| args.get(i).map_or(0, |&arg| arg as u64));
    Call { number, args, data: Vec::new() }
}

/// How the system forks.
pub(crate) fn fork_call() -> Call {
    call(libc::SYS_clone, [libc::SIGCHLD.into()])
}

/// A fork that returns when the child has execed or ended. The system writes the child's
/// number before.
fn vfork_call(_: &[i64], seat: Seat) -> Call {
    let how = libc::CLONE_VFORK | libc::CLONE_PARENT_SETTID | libc::SIGCHLD;
    let args = [how.into(), 0, seat.data() as i64];
    Call { data: vec![0; 8], ..call(libc::SYS_clone, args) }
}

/// A fork of the init of a pid namespace.
fn namespace_call() -> Call {
    call(libc::SYS_clone, [i64::from(libc::SIGCHLD | libc::CLONE_NEWPID)])
}

/// A thread: on the parent's stack, until it takes its own slot's.
fn thread_call() -> Call {
    let shared = libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SIGHAND;
    call(libc::SYS_clone, [(shared | libc::CLONE_THREAD | libc::CLONE_SYSVSEM).into()])
}

/// Leaves a signal to the system.
pub(crate) fn default_action(seat: Seat, signo: i32) -> Call {
    action_call(&[signo.into(), 0], seat)
}

/// Numbers as the bytes of a call's data.
fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

const SA_RESTORER: u64 = 0x0400_0000;

/// What is done with a signal, 0 to 2, and the flags of SIGCHLD.
pub(crate) fn action_of(what: i64) -> (i64, u64) {
    match what {
        0..=2 => (what, 0),
        3 => (2, libc::SA_NOCLDWAIT as u64),
        4 => (2, libc::SA_NOCLDSTOP as u64),
        _ => (0, libc::SA_NOCLDWAIT as u64),
    }
}

fn action_call(args: &[i64], seat: Seat) -> Call {
    let (does, flags) = action_of(args[1]);
    let handler = match does {
        0 => libc::SIG_DFL as u64,
        1 => libc::SIG_IGN as u64,
        _ => seat.handler(),
    };
    // Handler, flags, restorer, mask.
    let data = words(&[handler, SA_RESTORER | flags, seat.restorer(), 0]);
    Call { data, ..call(libc::SYS_rt_sigaction, [args[0], seat.data() as i64, 0, 8]) }
}

fn mask_call(args: &[i64], seat: Seat) -> Call {
    let (set, old) = (seat.data() as i64, seat.data() as i64 + 8);
    let data = words(&[args[1] as u64, 0]);
    Call { data, ..call(libc::SYS_rt_sigprocmask, [args[0], set, old, 8]) }
}

fn mask_answer(reply: Reply<'_>) -> Answer {
    let answer = plain(reply);
    let out = if answer.result.is_ok() { signals::show(reply.long(8)) } else { String::new() };
    Answer { out, ..answer }
}

fn suspend_call(args: &[i64], seat: Seat) -> Call {
    let data = words(&[args[0] as u64]);
    Call { data, ..call(libc::SYS_rt_sigsuspend, [seat.data() as i64, 8]) }
}

fn take_call(args: &[i64], seat: Seat) -> Call {
    let at = |offset: usize| seat.data() as i64 + offset as i64;
    let mut data = words(&[args[0] as u64, 0, 0]);
    data.resize(INFO + INFO_SIZE, 0);
    Call { data, ..call(libc::SYS_rt_sigtimedwait, [at(0), at(INFO), at(8), 8]) }
}

/// With the value that was sent, if one was.
fn take_answer(reply: Reply<'_>) -> Answer {
    let answer = plain(reply);
    let has_value = answer.result.is_ok() && reply.int(INFO + 8) == libc::SI_QUEUE;
    let out = if has_value { signals::value(reply.int(INFO + 24)) } else { String::new() };
    Answer { out, ..answer }
}

/// What is sent with a signal; the sender's ids are nobody's.
fn info(value: i64) -> Vec<u8> {
    let mut info = vec![0; INFO_SIZE];
    info[8..12].copy_from_slice(&libc::SI_QUEUE.to_le_bytes());
    info[24..28].copy_from_slice(&(value as i32).to_le_bytes());
    info
}

fn queue_call(args: &[i64], seat: Seat) -> Call {
    let data = info(args[2]);
    Call { data, ..call(libc::SYS_rt_sigqueueinfo, [args[0], args[1], seat.data() as i64]) }
}

fn tqueue_call(args: &[i64], seat: Seat) -> Call {
    let (data, at) = (info(args[3]), seat.data() as i64);
    Call { data, ..call(libc::SYS_rt_tgsigqueueinfo, [args[0], args[1], args[2], at]) }
}

fn exec_call(_: &[i64], seat: Seat) -> Call {
    let at = seat.data();
    // The only argument; the list of arguments; the empty environment; the empty path.
    let data = words(&[seat.argument().into(), at, 0, 0, 0]);
    let [path, argv, envp] = [at + 32, at + 8, at + 24].map(|at| at as i64);
    let (image, how) = (Seat::IMAGE.into(), libc::AT_EMPTY_PATH.into());
    Call { data, ..call(libc::SYS_execveat, [image, path, argv, envp, how]) }
}

/// The C library's: Linux has no such call.
fn seteuid_call(args: &[i64]) -> Call {
    match args[0] {
        // It refuses that itself; so does this one.
        -1 => call(libc::SYS_setuid, [-1]),
        id => call(libc::SYS_setresuid, [-1, id, -1]),
    }
}

/// Of a user's processes: the soft limit.
fn limit_call(args: &[i64], seat: Seat) -> Call {
    let data = words(&[args[0] as u64, MOST_PROCESSES]);
    Call { data, ..call(libc::SYS_setrlimit, [libc::RLIMIT_NPROC.into(), seat.data() as i64]) }
}

fn last_call(args: &[i64], seat: Seat) -> Call {
    let data = args[0].to_string().into_bytes();
    let (at, len) = (seat.data() as i64, data.len() as i64);
    Call { data, ..call(libc::SYS_pwrite64, [Seat::LAST.into(), at, len, 0]) }
}

/// However many bytes were taken.
fn taken(reply: Reply<'_>) -> Answer {
    Answer { result: reply.result().map(|_| 0), out: String::new() }
}

/// Where a `siginfo_t` is in the data, and its size.
const INFO: usize = 64;
const INFO_SIZE: usize = 128;

fn wait_call(args: &[i64], seat: Seat) -> Call {
    let &[whom, hang, look] = args else { unreachable!("three arguments") };
    let flags = if hang == 1 { i64::from(libc::WNOHANG) } else { 0 };
    if look == 1 {
        return waitid(whom, flags as i32 | libc::WEXITED | libc::WNOWAIT, seat);
    }
    let data = vec![0; 256];
    Call { data, ..call(libc::SYS_wait4, [whom, seat.data() as i64, flags, 0]) }
}

fn waitid_call(args: &[i64], seat: Seat) -> Call {
    let &[whom, hang, look, what] = args else { unreachable!("four arguments") };
    let flags = match what {
        0 => libc::WEXITED,
        1 => libc::WSTOPPED,
        2 => libc::WCONTINUED,
        3 => libc::WEXITED | libc::WSTOPPED | libc::WCONTINUED,
        4 => libc::WEXITED | libc::__WCLONE,
        6 => libc::WEXITED | libc::__WNOTHREAD,
        _ => libc::WEXITED | libc::__WALL,
    };
    let hang = if hang == 1 { libc::WNOHANG } else { 0 };
    let look = if look == 1 { libc::WNOWAIT } else { 0 };
    waitid(whom, flags | hang | look, seat)
}

fn waitid(whom: i64, flags: i32, seat: Seat) -> Call {
    let (kind, id) = match whom {
        1.. => (libc::P_PID, whom),
        0 => (libc::P_PGID, 0),
        -1 => (libc::P_ALL, 0),
        group => (libc::P_PGID, -group),
    };
    let info = seat.data() as i64 + INFO as i64;
    let args = [kind.into(), id, info, flags.into(), 0];
    Call { data: vec![0; 256], ..call(libc::SYS_waitid, args) }
}

/// The child in the information, if there is one.
fn waitid_answer(reply: Reply<'_>) -> Answer {
    let answer = plain(reply);
    let (pid, code, status) = (reply.int(INFO + 16), reply.int(INFO + 8), reply.int(INFO + 24));
    if answer.result.is_err() || pid == 0 {
        return answer;
    }
    let signal = || signals::of_linux(status.into()).map_or("?", |signal| signal.name);
    let out = match code {
        libc::CLD_EXITED => ended(0, status),
        libc::CLD_STOPPED => format!("stopped {}", signal()),
        libc::CLD_CONTINUED => "continued".into(),
        _ => ended(status, 0),
    };
    Answer { result: Ok(pid.into()), out }
}

/// How a child ended, in words.
pub(crate) fn ended(signal: i32, code: i32) -> String {
    match (signal, signals::of_linux(signal.into())) {
        (0, _) => format!("exited {code}"),
        (_, Some(signal)) => format!("killed {}", signal.name),
        (signal, None) => format!("killed {signal}"),
    }
}

fn wait_answer(reply: Reply<'_>) -> Answer {
    match plain(reply).result {
        // Nothing, or waitid's way to say it.
        Ok(0) | Err(_) => waitid_answer(reply),
        Ok(pid) => Answer { result: Ok(pid), out: ended(reply.int(0) & 0x7f, reply.int(0) >> 8) },
    }
}

/// A request to the terminal.
fn tty(request: u64, arg: i64) -> Call {
    call(libc::SYS_ioctl, [Seat::TERMINAL.into(), request as i64, arg])
}

/// One with a number in memory.
fn tty_number(request: u64, number: i64, seat: Seat) -> Call {
    Call { data: words(&[number as u64 & 0xffff_ffff]), ..tty(request, seat.data() as i64) }
}

/// The number that a request answers.
fn tty_answer(reply: Reply<'_>) -> Answer {
    let answer = plain(reply);
    Answer { result: answer.result.map(|_| reply.int(0).into()), ..answer }
}

/// A byte to or from the terminal.
fn tty_byte(number: i64, seat: Seat) -> Call {
    Call { data: words(&[0]), ..call(number, [Seat::TERMINAL.into(), seat.data() as i64, 1]) }
}

fn open_call(_: &[i64], seat: Seat) -> Call {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    let data = b"/dev/tty\0".to_vec();
    Call { data, ..call(libc::SYS_open, [seat.data() as i64, flags.into(), 0]) }
}

/// Which descriptor it is does not matter.
fn open_answer(reply: Reply<'_>) -> Answer {
    let answer = plain(reply);
    Answer { result: answer.result.map(|_| 0), ..answer }
}

/// Fills an entry in whose actor is told nothing but a number.
macro_rules! verb {
    ($name:literal $args:literal, weight $weight:literal, $invent:expr, $call:expr, $ours:expr) => {
        verb!($name $args, weight $weight, $invent, $call, plain, $ours)
    };
    ($name:literal $args:literal, weight $weight:literal, $invent:expr, $call:expr, $answer:expr,
     $ours:expr) => {
        Verb {
            name: $name,
            args: $args,
            weight: $weight,
            makes: Makes::Nobody,
            invent: $invent,
            call: $call,
            answer: $answer,
            ours: $ours,
        }
    };
}

/// A change of credentials: what the actor calls, and the change.
macro_rules! cred {
    ($name:literal $args:literal, $invent:expr, $call:expr, $change:expr) => {
        verb!($name $args, weight 3, $invent, |a, _| $call(a), |ours, asked| {
            calls::set_cred(ours, asked, &$change(asked.values))
        })
    };
}

fn id(value: i64) -> u32 {
    value as u32
}

fn maybe(value: i64) -> Option<u32> {
    (value != -1).then_some(value as u32)
}

/// All of them.
pub static VERBS: &[Verb] = &[
    Verb {
        makes: Makes::Process,
        ..verb!("fork" 1, weight 30, |i| i.fork(), |_, _| fork_call(), calls::fork)
    },
    Verb {
        makes: Makes::Process,
        ..verb!("vfork" 1, weight 6, |i| i.fork(), vfork_call, waiting::vfork)
    },
    Verb {
        makes: Makes::Init,
        ..verb!("namespace" 1, weight 4, |i| i.fork(), |_, _| namespace_call(), calls::namespace)
    },
    Verb {
        makes: Makes::Thread,
        ..verb!("thread" 1, weight 8, |i| i.thread(), |_, _| thread_call(), calls::thread)
    },
    verb!("leave" 1, weight 4, |i| i.leave(), |a, _| call(libc::SYS_exit, [a[0]]), calls::leave),
    verb!("exit" 1, weight 8, |i| i.exit(), |a, _| call(libc::SYS_exit_group, [a[0]]), calls::exit),
    verb!("exec" 0, weight 6, |i| i.nothing(), exec_call, calls::exec),
    verb!("wait" 3, weight 22, |i| i.wait(), wait_call, wait_answer, waiting::wait),
    verb!("waitid" 4, weight 12, |i| i.waitid(), waitid_call, waitid_answer, waiting::waitid),
    Verb {
        makes: Makes::Process,
        ..verb!("clone" 2, weight 6, |i| i.clone_(),
            |a, _| call(libc::SYS_clone, [a[1]]), calls::clone)
    },
    Verb {
        makes: Makes::Process,
        ..verb!("sibling" 1, weight 3, |i| i.fork(),
            |_, _| call(libc::SYS_clone, [libc::CLONE_PARENT.into()]), calls::sibling)
    },
    verb!("subreaper" 1, weight 4, |i| i.flag(),
        |a, _| call(libc::SYS_prctl, [libc::PR_SET_CHILD_SUBREAPER.into(), a[0], 0, 0, 0]),
        calls::subreaper),
    verb!("deathsig" 1, weight 4, |i| i.deathsig(),
        |a, _| call(libc::SYS_prctl, [libc::PR_SET_PDEATHSIG.into(), a[0], 0, 0, 0]),
        calls::deathsig),
    verb!("kill" 2, weight 30, |i| i.kill(), |a, _| call(libc::SYS_kill, [a[0], a[1]]), calls::kill),
    verb!("tkill" 2, weight 8, |i| i.tkill(), |a, _| call(libc::SYS_tkill, [a[0], a[1]]), calls::tkill),
    verb!("setpgid" 2, weight 22, |i| i.setpgid(),
        |a, _| call(libc::SYS_setpgid, [a[0], a[1]]), calls::setpgid),
    verb!("setsid" 0, weight 6, |i| i.setsid(), |_, _| call(libc::SYS_setsid, []), calls::setsid),
    verb!("limit" 1, weight 8, |i| i.limit(), limit_call, calls::limit),
    verb!("last" 1, weight 4, |i| i.last(), last_call, taken, calls::last),
    verb!("getpgid" 1, weight 3, |i| i.number(), |a, _| call(libc::SYS_getpgid, [a[0]]), calls::getpgid),
    verb!("getsid" 1, weight 3, |i| i.number(), |a, _| call(libc::SYS_getsid, [a[0]]), calls::getsid),
    verb!("getppid" 0, weight 1, |i| i.nothing(), |_, _| call(libc::SYS_getppid, []), calls::getppid),
    verb!("mask" 2, weight 14, |i| i.mask(), mask_call, mask_answer, calls::mask),
    verb!("action" 2, weight 12, |i| i.action(), action_call, calls::action),
    verb!("suspend" 1, weight 4, |i| i.suspend(), suspend_call, calls::suspend),
    verb!("take" 1, weight 8, |i| i.set(), take_call, take_answer, calls::take),
    verb!("queue" 3, weight 14, |i| i.queue(), queue_call, calls::queue),
    verb!("tqueue" 4, weight 6, |i| i.tqueue(), tqueue_call, calls::tqueue),
    verb!("setctty" 1, weight 5, |i| i.setctty(), |a, _| tty(libc::TIOCSCTTY, a[0]),
        terminal::acquire),
    verb!("notty" 0, weight 1, |i| i.nothing(), |_, _| tty(libc::TIOCNOTTY, 0), terminal::give_up),
    verb!("tcsetpgrp" 1, weight 10, |i| i.tcsetpgrp(),
        |a, seat| tty_number(libc::TIOCSPGRP, a[0], seat), terminal::set_foreground),
    verb!("tcgetpgrp" 0, weight 2, |i| i.nothing(), |_, s| tty_number(libc::TIOCGPGRP, 0, s),
        tty_answer, terminal::foreground),
    verb!("tcgetsid" 0, weight 1, |i| i.nothing(), |_, s| tty_number(libc::TIOCGSID, 0, s),
        tty_answer, terminal::session),
    verb!("ttyread" 0, weight 8, |i| i.at_terminal(), |_, s| tty_byte(libc::SYS_read, s),
        terminal::read),
    verb!("ttywrite" 0, weight 8, |i| i.at_terminal(), |_, s| tty_byte(libc::SYS_write, s),
        terminal::write),
    verb!("tcflush" 0, weight 6, |i| i.at_terminal(), |_, _| tty(libc::TCFLSH, 0),
        terminal::flush),
    verb!("devtty" 0, weight 2, |i| i.nothing(), open_call, open_answer, terminal::open),
    verb!("vhangup" 0, weight 1, |i| i.vhangup(), |_, _| call(libc::SYS_vhangup, []),
        terminal::hang_up),
    cred!("setuid" 1, |i| i.id(), |a: &[i64]| call(libc::SYS_setuid, [a[0]]),
        |a: &[i64]| CredChange::SetUid(id(a[0]))),
    cred!("seteuid" 1, |i| i.id(), seteuid_call,
        |a: &[i64]| CredChange::SetEuid(id(a[0]))),
    cred!("setreuid" 2, |i| i.two_ids(), |a: &[i64]| call(libc::SYS_setreuid, [a[0], a[1]]),
        |a: &[i64]| CredChange::SetReuid(maybe(a[0]), maybe(a[1]))),
    cred!("setresuid" 3, |i| i.three_ids(),
        |a: &[i64]| call(libc::SYS_setresuid, [a[0], a[1], a[2]]),
        |a: &[i64]| CredChange::SetResuid(maybe(a[0]), maybe(a[1]), maybe(a[2]))),
    cred!("setgid" 1, |i| i.id(), |a: &[i64]| call(libc::SYS_setgid, [a[0]]),
        |a: &[i64]| CredChange::SetGid(id(a[0]))),
    cred!("setregid" 2, |i| i.two_ids(), |a: &[i64]| call(libc::SYS_setregid, [a[0], a[1]]),
        |a: &[i64]| CredChange::SetRegid(maybe(a[0]), maybe(a[1]))),
    cred!("setresgid" 3, |i| i.three_ids(),
        |a: &[i64]| call(libc::SYS_setresgid, [a[0], a[1], a[2]]),
        |a: &[i64]| CredChange::SetResgid(maybe(a[0]), maybe(a[1]), maybe(a[2]))),
];
