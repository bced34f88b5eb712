//! The server: who connects, and how a connection comes to be a process.

use crate::Host;
use crate::calls::{Calls, all_processes};
use crate::conn::Conn;
use crate::file::{Access, Null, OpenFile};
use crate::frame::{self, Class, Fault, Frame, HEADER, Handshake, Kind, Parsed};
use crate::layout::Kinfo;
use crate::listen::{Admit, Listener};
use crate::prefork::{Preforks, Ticket};
use crate::stream::Stream;
use crate::url::Url;
use crate::wire::Wire;
use lwproc::{Kernel, Lwp, OnExec, Pid, ProcHandle, Rfork};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// What a client may make a server keep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Connections at once. One more is closed at once.
    pub clients: usize,
    /// Bytes of a frame, its header included. A longer one costs the connection.
    pub frame: usize,
    /// Bytes that are copied out of a client, or into it, at once.
    pub copy: usize,
    /// Calls of a client that sleep. One more is answered EAGAIN.
    pub requests: usize,
    /// Bytes to be sent to a client. With more, it is to read before it may ask.
    pub backlog: usize,
    /// Children of a client that nobody has taken over. One more is refused, as by
    /// `children` and `family`.
    pub preforks: usize,
    /// Children of a process, zombies included.
    pub children: usize,
    /// Processes that descend from one client by forks, and that live.
    pub family: usize,
    /// How long a child waits to be taken over,
    pub prefork_time: Duration,
    /// and how long when its parent has gone: the parent of a daemon goes at once.
    pub orphan_time: Duration,
    /// How long a connection may take to say who it is.
    pub handshake_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            clients: 4096,
            frame: 32 << 10,
            copy: 16 << 10,
            requests: 256,
            backlog: 256 << 10,
            preforks: 64,
            children: 1024,
            family: 1024,
            prefork_time: Duration::from_secs(5),
            orphan_time: Duration::from_secs(2),
            handshake_time: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// What is copied at once: an answer of the client's must be a frame that is taken.
    pub(crate) fn copied(&self) -> usize {
        self.copy.min(self.frame.saturating_sub(HEADER))
    }
}

/// The processes that descend from one guest: each has a share.
#[derive(Clone, Default)]
pub(crate) struct Family(Arc<()>);

impl Family {
    pub(crate) fn has_room(&self, most: usize) -> bool {
        Arc::strong_count(&self.0) < most
    }
}

/// What all connections of a server share.
pub(crate) struct Shared {
    pub(crate) kernel: Arc<Kernel<Host>>,
    pub(crate) calls: Box<dyn Calls>,
    pub(crate) limits: Limits,
    pub(crate) preforks: Preforks,
    pub(crate) stop: Notify,
    init: ProcHandle<Host>,
    unknown: Mutex<BTreeMap<u32, u64>>,
    panics: AtomicU64,
}

impl Shared {
    pub(crate) fn count_unknown(&self, number: u32) {
        /// Numbers are counted apart up to here, so that nobody fills the memory.
        const NUMBERS: usize = 1024;
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        if unknown.len() < NUMBERS || unknown.contains_key(&number) {
            *unknown.entry(number).or_default() += 1;
        }
    }
}

/// A server that listens, for clients that will be processes in a kernel.
///
/// It runs on tokio: a thousand clients that mostly wait cost a thousand small tasks, and one
/// wake-up of a thread answers many that are busy, where a thread for each request needs one
/// or two for each.
pub struct Server {
    shared: Arc<Shared>,
    listener: Listener,
}

/// A server from outside: to look at it, and to stop it. May be kept after its end.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

impl Server {
    /// Listens at that address. Must be called in a runtime of tokio.
    ///
    /// On a Unix socket, which gets mode 0600, only programs of the server's own user and of
    /// root are admitted, by what the system says of them (`SO_PEERCRED`). The protocol has
    /// no secret, so an address that other machines reach is refused, unless `admit` says
    /// otherwise. A socket that a server has left that is gone is replaced.
    ///
    /// # Errors
    /// `AddrInUse`: a server listens there. `PermissionDenied`: other machines would reach
    /// it. Whatever the system answers.
    pub async fn bind(
        url: &Url,
        admit: Admit,
        kernel: Arc<Kernel<Host>>,
        calls: impl Calls,
        limits: Limits,
    ) -> io::Result<Self> {
        let init = kernel.pin().proc(Pid::INIT).and_then(|init| init.handle());
        let init = init.ok_or(io::ErrorKind::NotFound)?;
        let listener = Listener::bind(url, admit).await?;
        let shared = Shared {
            kernel,
            calls: Box::new(calls),
            limits,
            preforks: Preforks::new()?,
            stop: Notify::new(),
            init,
            unknown: Mutex::default(),
            panics: AtomicU64::new(0),
        };
        Ok(Self { shared: Arc::new(shared), listener })
    }

    /// Where it listens: with the port that was free.
    pub fn url(&self) -> &Url {
        self.listener.url()
    }

    /// A handle.
    pub fn handle(&self) -> Handle {
        Handle(self.shared.clone())
    }

    /// Serves clients until it is [stopped](Handle::stop), or a client with the right to
    /// reboots it. Then it closes all connections, which their clients see, and their
    /// processes end.
    pub async fn run(self) {
        let Self { shared, listener } = self;
        let mut clients = JoinSet::new();
        loop {
            tokio::select! {
                () = shared.stop.notified() => break,
                Some(ended) = clients.join_next() => {
                    if ended.is_err_and(|why| why.is_panic()) {
                        // Relaxed: a sum.
                        shared.panics.fetch_add(1, Relaxed);
                    }
                }
                stream = listener.accept() => match stream {
                    Ok(stream) if clients.len() < shared.limits.clients => {
                        clients.spawn(serve(shared.clone(), stream));
                    }
                    Ok(_too_many) => {}
                    // Too many files are open, most likely; they will be fewer.
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                },
            }
        }
        drop(listener);
        clients.shutdown().await;
        shared.preforks.clear();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({})", self.url())
    }
}

impl Handle {
    /// Has the server end. What it answered already is still sent.
    pub fn stop(&self) {
        self.0.stop.notify_one();
    }

    /// The kernel.
    pub fn kernel(&self) -> &Arc<Kernel<Host>> {
        &self.0.kernel
    }

    /// All processes, in the order of their numbers.
    pub fn processes(&self) -> Vec<Kinfo> {
        all_processes(&self.0.kernel.pin())
    }

    /// The calls that were asked for and are not there, by number: how often.
    pub fn unknown_calls(&self) -> BTreeMap<u32, u64> {
        self.0.unknown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many connections a panic of a call has ended. It costs nobody else anything.
    pub fn panics(&self) -> u64 {
        // Relaxed: a sum.
        self.0.panics.load(Relaxed)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle")
    }
}

/// How long a client that is being left may take to read what is still for it.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// One connection, from the banner to its end.
async fn serve(shared: Arc<Shared>, mut stream: Stream) {
    let mut input = Vec::new();
    let wire = Wire::default();
    let greeted = timeout(shared.limits.handshake_time, async {
        stream.write_all(crate::banner().as_bytes()).await?;
        greet(&shared, &mut stream, &wire, &mut input).await
    });
    let Ok(Ok(greeted)) = greeted.await else { return };
    let mut left = wire.send(std::mem::take);
    if stream.write_all(&left).await.is_err() {
        return;
    }
    let Some((lwp, family)) = greeted else { return };
    let conn = Conn::new(shared, stream, input, lwp.proc_handle(), family);
    let mut scope = Box::pin(lwp.scope(async move {
        let mut conn = conn;
        let end = (&mut conn).await;
        (end, conn.stream, conn.wire)
    }));
    let (end, mut stream, wire) = scope.as_mut().await;
    // The process ends before its client hears so.
    drop(scope);
    if end == crate::conn::End::Closing {
        left = wire.send(std::mem::take);
        let _ = timeout(LAST_WORDS, stream.write_all(&left)).await;
    }
}

/// The handshake of a new connection: its process, if it gets one. What is to be sent is on
/// the wire.
async fn greet(
    shared: &Shared,
    stream: &mut Stream,
    wire: &Wire,
    input: &mut Vec<u8>,
) -> io::Result<Option<(Lwp<Host>, Family)>> {
    let len = loop {
        match frame::parse(input, shared.limits.frame) {
            Parsed::Frame(_, len) => break len,
            Parsed::More => {
                if stream.read_buf(input).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Parsed::Bad(header) => {
                wire.fault(header.request, header.kind, Fault::Malformed);
                return Ok(None);
            }
        }
    };
    let first: Vec<u8> = input.drain(..len).collect();
    let header = frame::Header::from_bytes(first.first_chunk().unwrap_or(&[0; HEADER]));
    let frame = Frame { header, payload: &first[HEADER..] };
    match take_process(shared, frame) {
        Ok(taken) => {
            wire.answer(header.request, Kind::Handshake, &0i32.to_ne_bytes());
            Ok(taken)
        }
        Err(fault) => {
            wire.fault(header.request, header.kind, fault);
            Ok(None)
        }
    }
}

fn take_process(
    shared: &Shared,
    Frame { header, payload }: Frame<'_>,
) -> Result<Option<(Lwp<Host>, Family)>, Fault> {
    if Class::from_number(header.class) != Some(Class::Request)
        || Kind::from_number(header.kind) != Some(Kind::Handshake)
    {
        return Err(Fault::Auth);
    }
    match Handshake::from_number(header.value) {
        Some(Handshake::Guest) => {
            let lwp = guest(shared, payload).ok_or(Fault::Rfork)?;
            Ok(Some((lwp, Family::default())))
        }
        Some(Handshake::Fork) => {
            // 16 bytes, and an int that is not 0 when nobody will come.
            let ticket = payload.first_chunk().copied().map(Ticket::from_bytes);
            let cancel = frame::u32_at(payload, 16).filter(|_| payload.len() == 20);
            let (ticket, cancel) = ticket.zip(cancel).ok_or(Fault::Malformed)?;
            let taken = shared.preforks.take(&ticket).ok_or(Fault::Prefork)?;
            Ok(Some(taken).filter(|_| cancel == 0))
        }
        Some(Handshake::Auth | Handshake::Exec) | None => Err(Fault::Auth),
    }
}

/// A new process, a child of init, with descriptors 0 to 2 open.
fn guest(shared: &Shared, name: &[u8]) -> Option<Lwp<Host>> {
    let name = crate::printable(name);
    let lwp = shared.init.spawn().files(Rfork::Fresh).name(&name).start().ok()?;
    let k = shared.kernel.enter_as(lwp).ok()?;
    let null = OpenFile::new(Null, Access::Both, 0);
    let null = k.files().open(null, OnExec::Keep).ok()?;
    k.files().dup(null).and_then(|_| k.files().dup(null)).ok()?;
    Kernel::leave(k)
}
