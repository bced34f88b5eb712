//! A client that is a process: its connection, its main LWP and its requests, in one task.
//!
//! The task runs as the process's main LWP ([`lwproc::Scope`]). It carries out what can be
//! carried out at once, and polls each call that sleeps as an LWP of its own; so a call that
//! sleeps holds no thread, and what belongs to one client needs no lock against itself.
//!
//! The main LWP takes the process's signals: it raises them in the client, and unsleeps the
//! calls. When the process drains, for an exec or for its end, the library tells their LWPs.

use crate::Host;
use crate::calls::{Answer, Call, Done, Later};
use crate::frame::{self, Class, Fault, Frame, Handshake, Header, Kind, Parsed};
use crate::prefork::Ticket;
use crate::server::{Family, Shared};
use crate::stream::Stream;
use crate::wire::{Memory, Wire};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lwproc::{
    Abi, Entered, Errno, ExitStatus, ProcHandle, Rfork, SigSet, Signo, Usage, current_of,
};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How the connection of a process ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The client has gone.
    Gone,
    /// What is left to be sent is sent; then it is closed.
    Closing,
}

/// A call that has slept, and its answer.
type Slept = (u64, Result<Done, Errno>);

type Sleeper = Pin<Box<dyn Future<Output = Slept> + Send>>;

/// The connection of a process. Polled in the scope of the main LWP.
pub(crate) struct Conn {
    pub(crate) stream: Stream,
    pub(crate) wire: Arc<Wire>,
    shared: Arc<Shared>,
    memory: Memory,
    proc: ProcHandle<Host>,
    family: Family,
    /// What has come of a frame that is not whole.
    input: Vec<u8>,
    asleep: FuturesUnordered<Sleeper>,
    /// Children that nobody may have taken over yet.
    preforked: Vec<Ticket>,
    /// The exec that waits for the calls: its request, and the new name.
    exec: Option<(u64, String)>,
    /// A signal that by default ends a process was raised, and the client has not asked
    /// anything since.
    raised: Option<Signo>,
}

/// Whether a part of a poll has done something, so that there may be more to do.
type Moved = bool;

impl Conn {
    pub(crate) fn new(
        shared: Arc<Shared>,
        stream: Stream,
        input: Vec<u8>,
        proc: ProcHandle<Host>,
        family: Family,
    ) -> Self {
        let wire = Arc::<Wire>::default();
        let memory = Memory::new(wire.clone(), shared.limits.copied());
        Self {
            stream,
            wire,
            memory,
            proc,
            family,
            input,
            asleep: FuturesUnordered::new(),
            preforked: Vec::new(),
            exec: None,
            raised: None,
            shared,
        }
    }

    /// Whether so much is still to be sent that the client is to read first.
    fn is_clogged(&self) -> bool {
        self.wire.backlog() >= self.shared.limits.backlog
    }

    /// Reads what has come.
    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        let mut room = [MaybeUninit::uninit(); 2048];
        let mut read = ReadBuf::uninit(&mut room);
        let result = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read));
        if result.is_err() || read.filled().is_empty() {
            return Poll::Ready(Err(End::Gone));
        }
        self.input.extend_from_slice(read.filled());
        Poll::Ready(Ok(()))
    }

    /// Carries out the frames that are whole.
    fn dispatch(&mut self) -> Result<Moved, End> {
        let input = std::mem::take(&mut self.input);
        let mut at = 0;
        while !self.is_clogged() {
            match frame::parse(&input[at..], self.shared.limits.frame) {
                Parsed::More => break,
                Parsed::Bad(header) => {
                    self.wire.fault(header.request, header.kind, Fault::Malformed);
                    return Err(End::Closing);
                }
                Parsed::Frame(frame, len) => {
                    at += len;
                    self.frame(frame)?;
                }
            }
        }
        if at < input.len() {
            self.input = input;
            self.input.drain(..at);
        }
        Ok(at > 0)
    }

    fn frame(&mut self, Frame { header, payload }: Frame<'_>) -> Result<(), End> {
        self.raised = None;
        let request = header.request;
        match (Class::from_number(header.class), Kind::from_number(header.kind)) {
            (Some(Class::Response), _) => self.wire.answered(request, Some(payload)),
            (Some(Class::Error), _) => self.wire.answered(request, None),
            (Some(Class::Request), Some(Kind::Syscall | Kind::Prefork | Kind::Handshake))
                if self.exec.is_some() =>
            {
                self.wire.fault(request, header.kind, Fault::InExec);
            }
            (Some(Class::Request), Some(Kind::Syscall)) => return self.call(header, payload),
            (Some(Class::Request), Some(Kind::Prefork)) => self.prefork(request),
            (Some(Class::Request), Some(Kind::Handshake))
                if Handshake::from_number(header.value) == Some(Handshake::Exec) =>
            {
                self.exec = Some((request, crate::printable(payload)));
                // The calls that sleep are told to end. When the process exits already, the
                // next poll sees it.
                let _begun = current_of::<Host, _>(|k| k.drain());
            }
            _ => self.wire.fault(request, header.kind, Fault::Malformed),
        }
        Ok(())
    }

    fn call(&mut self, header: Header, arguments: &[u8]) -> Result<(), End> {
        let (request, shared) = (header.request, self.shared.clone());
        let called = current_of::<Host, _>(|k| {
            let call = Call::new(header.value, arguments, &self.memory);
            let answer = shared.calls.call(k, &call);
            self.raised = self.raised.max(raise_all(k, &self.wire));
            (answer, k.curlwp().is_none())
        });
        let (answer, exited) = called.map_err(|_| End::Gone)?;
        match answer {
            Err(_malformed) => self.wire.fault(request, header.kind, Fault::Malformed),
            Ok(Answer::Now(result)) => self.answer(request, result),
            Ok(Answer::Later(later)) => self.sleep(request, later),
            Ok(Answer::Shutdown) => {
                self.answer(request, Ok([0, 0]));
                shared.stop.notify_one();
            }
            Ok(Answer::Unknown) => {
                shared.count_unknown(header.value);
                self.answer(request, Err(Errno::ENOSYS));
            }
        }
        if exited { Err(End::Closing) } else { Ok(()) }
    }

    fn answer(&self, request: u64, result: Result<[i64; 2], Errno>) {
        match result {
            Ok(values) => self.wire.answer_call(request, 0, values),
            Err(errno) => self.wire.answer_call(request, errno.number(Abi::NetBsd), [-1, 0]),
        }
    }

    /// Has a call sleep as an LWP of its own.
    fn sleep(&mut self, request: u64, later: Later) {
        if self.asleep.len() >= self.shared.limits.requests {
            // No fault: on "try again" the client's library asks at once, and on and on.
            return self.answer(request, Err(Errno::EAGAIN));
        }
        let lwp = match self.proc.new_lwp() {
            Ok(lwp) => lwp,
            Err(why) => return self.answer(request, Err(why.into())),
        };
        self.asleep.push(Box::pin(lwp.scope(async move {
            let masked = current_of::<Host, _>(|k| k.signals().set_blocked(SigSet::ALL));
            match masked {
                Ok(Ok(_before)) => (request, later.await),
                _ => (request, Err(Errno::EINTR)),
            }
        })));
    }

    /// Answers the calls that have slept enough.
    fn wake(&mut self, cx: &mut Context<'_>) -> Moved {
        let mut moved = false;
        while !self.is_clogged()
            && let Poll::Ready(Some((request, slept))) = self.asleep.poll_next_unpin(cx)
        {
            moved = true;
            let result = match slept {
                Ok(Done::Values(values)) => Ok(values),
                Err(errno) => Err(errno),
                Ok(Done::Then(then)) => {
                    let done = current_of::<Host, _>(|k| {
                        let done = then(k);
                        self.raised = self.raised.max(raise_all(k, &self.wire));
                        done
                    });
                    done.unwrap_or(Err(Errno::EINTR))
                }
            };
            self.answer(request, result);
        }
        moved
    }

    /// Makes a child, for another connection to take over.
    fn prefork(&mut self, request: u64) {
        let Shared { preforks, limits, .. } = &*self.shared;
        self.preforked.retain(|ticket| preforks.has(ticket));
        let has_room =
            self.preforked.len() < limits.preforks && self.family.has_room(limits.family);
        let made = current_of::<Host, _>(|k| {
            let guard = k.pin();
            let own = guard.proc(k.pid());
            let children = own.map_or(0, |own| own.children().take(limits.children).count());
            drop(guard);
            let has_room = has_room && children < limits.children;
            has_room.then(|| k.spawn().files(Rfork::Copy).start().ok()).flatten()
        });
        let made = made.ok().flatten().ok_or(Fault::Rfork);
        match made.and_then(|lwp| preforks.add(lwp, self.family.clone(), limits.prefork_time)) {
            Ok(ticket) => {
                self.wire.answer(request, Kind::Prefork, ticket.bytes());
                self.preforked.push(ticket);
            }
            Err(fault) => self.wire.fault(request, Kind::Prefork as u16, fault),
        }
    }

    /// Becomes the new program, when all calls of the old one have been answered.
    fn finish_exec(&mut self) -> Result<Moved, End> {
        let Some((request, name)) = self.exec.take_if(|_| self.asleep.is_empty()) else {
            return Ok(false);
        };
        let done = current_of::<Host, _>(|k| k.exec(&name));
        let error = match done {
            Ok(Ok(())) => 0,
            Ok(Err(why)) => {
                let _ = current_of::<Host, _>(|k| k.reopen());
                why.errno().number(Abi::NetBsd)
            }
            Err(_) => return Err(End::Gone),
        };
        self.wire.answer(request, Kind::Handshake, &error.to_ne_bytes());
        Ok(true)
    }

    /// Sends what is to be sent, as far as the client takes it.
    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        let stream = &mut self.stream;
        self.wire.send(|out| {
            let mut sent = 0;
            let mut result = Ok(());
            while sent < out.len() {
                match Pin::new(&mut *stream).poll_write(cx, &out[sent..]) {
                    Poll::Ready(Ok(some @ 1..)) => sent += some,
                    Poll::Ready(_) => {
                        result = Err(End::Gone);
                        break;
                    }
                    Poll::Pending => break,
                }
            }
            out.drain(..sent);
            result
        })
    }

    /// Takes signals, and looks whether the process is to end.
    fn look(&mut self) -> Result<(), End> {
        let looked = current_of::<Host, _>(|k| {
            if !self.is_clogged() {
                self.raised = self.raised.max(raise_all(k, &self.wire));
            }
            k.must_exit()
        });
        if looked.map_err(|_| End::Gone)? {
            // Somebody has ended it, by SIGKILL or otherwise.
            self.wire.raise(Signo::KILL.number());
            return Err(End::Closing);
        }
        Ok(())
    }

    /// All that can be done now.
    fn step(&mut self, cx: &mut Context<'_>) -> Result<Moved, End> {
        self.look()?;
        let mut moved = false;
        let clogged = self.is_clogged();
        if !clogged {
            // What stayed when it was clogged; then what has come.
            moved |= self.dispatch()?;
            if let Poll::Ready(read) = self.fill(cx) {
                read?;
                self.dispatch()?;
                moved = true;
            }
        }
        moved |= self.wake(cx);
        moved |= self.finish_exec()?;
        self.flush(cx)?;
        // Where there is room again, nobody else says so.
        Ok(moved || clogged && !self.is_clogged())
    }

    /// The process ends: what of it is not said yet is said.
    fn end(&mut self) {
        self.asleep.clear();
        for ticket in self.preforked.drain(..) {
            self.shared.preforks.expire(&ticket, self.shared.limits.orphan_time);
        }
        let status = self.raised.map_or(ExitStatus::exited(0), |signo| {
            ExitStatus::signaled(signo.number(), lwproc::CoreDump::None)
        });
        // An LWP that has exited already has said it.
        let _ = current_of::<Host, _>(|k| k.exit_group(status));
    }
}

impl Future for Conn {
    type Output = End;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            match self.step(cx) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(end) => {
                    self.end();
                    return Poll::Ready(end);
                }
            }
        }
    }
}

/// Takes the signals of the current process, raises them in its client, and ends the sleep
/// of its calls: the last of the signals that by default ends a process.
fn raise_all(k: &Entered<'_, Host>, wire: &Wire) -> Option<Signo> {
    let mut last = None;
    let mut any = 0;
    while let Some(signo) = k.signals().take() {
        any += 1;
        if signo == Signo::KILL {
            // It has ended the process, and is raised when that is seen.
            continue;
        }
        wire.raise(signo.number());
        last = last.max(Some(signo).filter(|signo| ends_by_default(*signo)));
    }
    if any > 0 {
        k.resources().add_usage(Usage { signals: any, ..Usage::default() });
        let guard = k.pin();
        let calls = guard.proc(k.pid()).into_iter().flat_map(|own| own.lwps());
        for lwp in calls.filter(|lwp| Some(lwp.lid()) != k.lid()) {
            let _ = lwp.unsleep();
        }
    }
    last
}

/// Whether a process that has said nothing about the signal ends by it: all but those that
/// stop (17, 18, 21, 22) and those that do nothing (16, 19, 20, 23, 28, 29, 32).
///
/// Source: `sigprop` of NetBSD's `sys/sys/signalvar.h`.
fn ends_by_default(signo: Signo) -> bool {
    !matches!(signo.number(), 16..=23 | 28 | 29 | 32)
}
