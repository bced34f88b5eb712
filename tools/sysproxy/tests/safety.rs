//! What a client may not do, and that it costs nobody else anything.

mod common;

use common::{Ask, Dir, World, refused, until};
use lwproc::{Entered, Errno};
use lwproc_sysproxy::client::{Client, Error, Space};
use lwproc_sysproxy::frame::{self, Class, Fault, Header, Kind};
use lwproc_sysproxy::number::*;
use lwproc_sysproxy::{Admit, Answer, Call, Calls, Host, Limits, Malformed, NetBsd, Server, Url};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, thread};

/// The answer to a request that is an error.
fn fault(c: &mut Client, request: u64) -> u32 {
    refused(c.finish(request))
}

fn is_closed(c: &mut Client) -> bool {
    matches!(c.receive(), Err(Error::Io(_)))
}

fn unknown(world: &World) -> Client {
    Client::open(&world.url, Space::default()).unwrap()
}

#[test]
fn who_does_not_say_who_it_is_is_refused() {
    let world = World::new();
    let auth = Fault::Auth as u32;
    // A call, a secret, an exec of nobody, a handshake that there is not.
    for (kind, value) in
        [(Kind::Syscall, 20), (Kind::Handshake, 1), (Kind::Handshake, 3), (Kind::Handshake, 9)]
    {
        let mut c = unknown(&world);
        let request = c.send(kind, value, b"x\0").unwrap();
        assert_eq!(fault(&mut c, request), auth, "{kind:?} {value}");
        assert!(is_closed(&mut c));
    }
    assert_eq!(world.kernel.counts().procs, 2);
}

#[test]
fn a_malformed_request_costs_its_sender_an_error() {
    let world = World::new();
    let mut c = world.client();
    let pid = c.pid();
    let malformed = Fault::Malformed as u32;
    // Fewer arguments than the call has.
    for number in [EXIT, READ, WRITE, KILL, WAIT4, SYSCTL, FCNTL, SIGPROCMASK, PIPE2] {
        let request = c.send(Kind::Syscall, number, &[0; 3]).unwrap();
        assert_eq!(fault(&mut c, request), malformed, "{number}");
    }
    // No request of a client's, and a second handshake.
    for (kind, value) in [
        (Kind::Raise, 9),
        (Kind::Copyin, 0),
        (Kind::Anonmmap, 0),
        (Kind::Handshake, 0),
        (Kind::Handshake, 2),
    ] {
        let request = c.send(kind, value, &[0; 20]).unwrap();
        assert_eq!(fault(&mut c, request), malformed, "{kind:?}");
    }
    // Classes and kinds that there are not, and answers that nobody waits for.
    for (class, kind) in [(3, 1), (0, 9), (u16::MAX, u16::MAX), (1, 2), (2, 2), (1, 99)] {
        let header = Header { len: 24, request: 77, class, kind, value: 0 };
        c.send_raw(&header.to_bytes()).unwrap();
    }
    assert_eq!(c.pid(), pid);
}

#[test]
fn a_length_out_of_bounds_costs_the_connection() {
    let world = World::new();
    let mut other = world.client();
    let most = Limits::default().frame as u64;
    for len in [0, 23, most + 1, u64::MAX] {
        let header = Header { len, ..Header::new(Class::Request, Kind::Syscall, 1, 20, 0) };
        for mut c in [world.client(), unknown(&world)] {
            c.send_raw(&header.to_bytes()).unwrap();
            // What was asked as number 1 is answered with an error.
            while !is_closed(&mut c) {}
        }
    }
    // The longest that is taken.
    let mut c = world.client();
    let room = usize::try_from(most).unwrap() - frame::HEADER;
    let request = c.send(Kind::Syscall, GETPID, &vec![0; room]).unwrap();
    c.finish(request).unwrap();
    other.pid();
}

#[test]
fn a_child_is_taken_over_once_and_by_who_knows_it() {
    let world = World::new();
    let mut c = world.client();
    let ticket = c.prefork().unwrap();
    let child = Client::join(&world.url, &ticket, Space::default()).unwrap();
    let again = Client::join(&world.url, &ticket, Space::default());
    assert!(matches!(again, Err(Error::Refused(3))), "{again:?}");
    for (payload, expected) in [
        (&[0; 20][..], Fault::Prefork),
        (&[0; 16], Fault::Malformed),
        (&[0; 21], Fault::Malformed),
        (&[], Fault::Malformed),
    ] {
        let mut c = unknown(&world);
        let request = c.send(Kind::Handshake, 2, payload).unwrap();
        assert_eq!(fault(&mut c, request), expected as u32);
        assert!(is_closed(&mut c));
    }
    drop(child);
    c.wait(-1, 0).unwrap();
}

#[test]
fn a_child_that_nobody_takes_over_ends_in_time() {
    let time = Duration::from_millis(200);
    let world = World::with(NetBsd::default(), Limits { prefork_time: time, ..Limits::default() });
    let mut c = world.client();
    let ticket = c.prefork().unwrap();
    let (pid, status) = c.wait(-1, 0).unwrap();
    assert_eq!((status, pid > 0), (9, true), "as a process that is dropped");
    assert!(Client::join(&world.url, &ticket, Space::default()).is_err());
}

#[test]
fn a_child_outlives_its_parent_for_as_long_as_it_takes_to_connect() {
    let prefork_time = Duration::from_secs(3600);
    let orphan_time = Duration::from_millis(1500);
    let limits = Limits { prefork_time, orphan_time, ..Limits::default() };
    let world = World::with(NetBsd::default(), limits);
    let mut c = world.client();
    let (first, second) = (c.prefork().unwrap(), c.prefork().unwrap());
    drop(c);
    until("the parent has ended", || world.kernel.counts().procs == 4);
    // As the child of a daemon, whose parent goes at once.
    let mut child = Client::join(&world.url, &first, Space::default()).unwrap();
    until("it is an orphan", || child.ask(GETPPID, &[])[0] == 1);
    until("the other has ended", || world.kernel.counts().procs == 3);
    assert!(Client::join(&world.url, &second, Space::default()).is_err());
}

#[test]
fn what_a_client_may_have_is_limited() {
    let limits = Limits {
        preforks: 3,
        children: 5,
        family: 4,
        requests: 6,
        clients: 8,
        ..Limits::default()
    };
    let world = World::with(NetBsd::default(), limits);
    let mut c = world.client();
    let tickets: Vec<_> = (0..3).map(|_| c.prefork().unwrap()).collect();
    assert!(matches!(c.prefork(), Err(Error::Refused(4))), "too many that nobody has taken over");
    let join = |ticket| Client::join(&world.url, ticket, Space::default()).unwrap();
    let mut children: Vec<_> = tickets.iter().map(join).collect();
    assert!(matches!(children[0].prefork(), Err(Error::Refused(4))), "of one family");
    drop(children);
    until("they have ended", || world.kernel.counts().zombies == 3);
    let fourth = c.fork().unwrap();
    let fifth = c.fork().unwrap();
    assert!(matches!(c.prefork(), Err(Error::Refused(4))), "zombies are children");
    drop((fourth, fifth));
    for _ in 0..5 {
        c.wait(-1, 0).unwrap();
    }
    let [r, _] = c.pipe();
    for _ in 0..6 {
        c.begin(READ, &[r, 0, 1]).unwrap();
    }
    assert_eq!(common::errno(c.call(READ, &[r, 0, 1])), Errno::EAGAIN);
    let more: Vec<_> = (0..7).map(|_| world.client()).collect();
    assert!(Client::connect(&world.url, "one more").is_err());
    drop(more);
}

#[test]
fn pipes_are_limited_for_all_together() {
    let world = World::new();
    let mut clients: Vec<_> = (0..3).map(|_| world.client()).collect();
    let mut pipes = 0;
    let refused = 'all: loop {
        for c in &mut clients {
            let limit = c.space.put(&lwproc_sysproxy::layout::rlimit(lwproc::Limit::NONE));
            c.ask(SETRLIMIT, &[8, limit.cast_signed()]);
            for _ in 0..1500 {
                match c.call(PIPE, &[]) {
                    Ok(_) => pipes += 1,
                    Err(Error::Errno(errno)) => break 'all errno,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    };
    assert_eq!((refused, pipes), (Errno::ENFILE, lwproc_sysproxy::MAX_PIPES));
    drop(clients.pop());
    until("there is room again", || clients[0].call(PIPE, &[]).is_ok());
}

#[test]
fn a_client_that_does_not_read_is_not_listened_to() {
    let world = World::new();
    let Url::Unix(path) = &world.url else { panic!("a path") };
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut bytes = Vec::new();
    frame::put(&mut bytes, Class::Request, Kind::Handshake, 1, 0, &[b"deaf\0"]);
    stream.write_all(&bytes).unwrap();
    bytes.clear();
    (0..1000).for_each(|i| frame::put(&mut bytes, Class::Request, Kind::Syscall, i, GETPID, &[]));
    let mut sent = 0;
    let stopped = loop {
        match stream.write(&bytes[sent % bytes.len()..]) {
            Ok(some) => sent += some,
            Err(error) => break error.kind(),
        }
        assert!(sent < 64 << 20, "it listens on and on");
    };
    assert_eq!(stopped, ErrorKind::WouldBlock);
    world.client().pid();
    // When it reads, all that was heard is answered.
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (mut got, mut some) = (0, vec![0; 1 << 16]);
    while got < sent / frame::HEADER * 48 {
        got += stream.read(&mut some).expect("an answer to each");
    }
}

#[test]
fn a_connection_says_who_it_is_in_time() {
    let limits = Limits { handshake_time: Duration::from_millis(100), ..Limits::default() };
    let world = World::with(NetBsd::default(), limits);
    let mut c = unknown(&world);
    assert!(is_closed(&mut c));
}

#[test]
fn memory_that_is_not_there_is_efault() {
    let world = World::new();
    let mut c = world.client();
    let [_, w] = c.pipe();
    assert_eq!(common::errno(c.call(WRITE, &[w, 0, 8])), Errno::EFAULT);
    assert_eq!(common::errno(c.call(WRITE, &[w, -1, i64::MAX])), Errno::EFAULT);
    c.ask(WRITE, &[w, 0, 0]);
}

/// Call 600 panics, at once or later.
struct Defective;

impl Calls for Defective {
    fn call(&self, k: &mut Entered<'_, Host>, call: &Call<'_>) -> Result<Answer, Malformed> {
        match call.number() {
            600 if call.int(0)? == 0 => panic!("on purpose"),
            600 => Ok(Answer::later(async { panic!("on purpose") })),
            _ => NetBsd::default().call(k, call),
        }
    }
}

#[test]
fn a_call_that_panics_costs_its_own_client_only() {
    let mut world = World::with(Defective, Limits::default());
    world.panics = 2;
    let mut c = world.client();
    for later in [0, 1] {
        let mut child = c.fork().unwrap();
        assert!(matches!(child.call(600, &[later]), Err(Error::Io(_))));
        assert_eq!(c.wait(-1, 0).unwrap().1, 6, "as by an abort");
    }
    until("both are counted", || world.handle.panics() == 2);
}

/// A server at an address, or why not.
fn bind(url: &Url, admit: Admit) -> std::io::Result<(tokio::runtime::Runtime, Server)> {
    let runtime = tokio::runtime::Runtime::new()?;
    let kernel = Arc::new(lwproc_sysproxy::kernel().unwrap());
    let server = Server::bind(url, admit, kernel, NetBsd::default(), Limits::default());
    let server = runtime.block_on(server)?;
    Ok((runtime, server))
}

#[test]
fn a_socket_is_its_owners_and_goes_with_its_server() {
    let dir = Dir::new();
    let Url::Unix(path) = dir.url() else { panic!("a path") };
    // As a server leaves it that is killed.
    drop(UnixListener::bind(&path).unwrap());
    let (_runtime, server) = bind(&dir.url(), Admit::Local).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let second = bind(&dir.url(), Admit::Local).map(drop).unwrap_err();
    assert_eq!(second.kind(), ErrorKind::AddrInUse);
    drop(server);
    assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 0);
    // What is no socket is left alone.
    fs::write(&path, "mine").unwrap();
    assert_eq!(
        bind(&dir.url(), Admit::Local).map(drop).unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
    assert_eq!(fs::read(&path).unwrap(), b"mine");
}

#[test]
fn a_server_removes_no_socket_but_its_own() {
    let dir = Dir::new();
    let Url::Unix(path) = dir.url() else { panic!("a path") };
    let (_runtime, server) = bind(&dir.url(), Admit::Local).unwrap();
    fs::remove_file(&path).unwrap();
    let _another = UnixListener::bind(&path).unwrap();
    drop(server);
    assert!(path.exists());
}

#[test]
fn other_machines_are_let_in_only_when_that_is_said() {
    let anywhere: Url = "tcp://*:0".parse().unwrap();
    let refused = bind(&anywhere, Admit::Local).map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    assert!(bind(&anywhere, Admit::Anybody).is_ok());
    let (runtime, server) = bind(&"tcp://127.0.0.1:0".parse().unwrap(), Admit::Local).unwrap();
    let (url, handle) = (server.url().clone(), server.handle());
    let served = runtime.spawn(server.run());
    let mut c = Client::connect(&url, "tcp").unwrap();
    let mut child = c.fork().unwrap();
    assert_eq!(child.ask(GETPPID, &[])[0], c.pid());
    handle.stop();
    runtime.block_on(served).unwrap();
    // The clients are told by the end of their connections.
    assert!(thread::spawn(move || is_closed(&mut c)).join().unwrap());
    assert_eq!(handle.kernel().counts().procs, 2);
}
