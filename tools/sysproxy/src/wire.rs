//! What a connection and its requests share: what is to be sent, and what is asked of the
//! client.

use crate::frame::{self, Class, Fault, Kind, sysresp};
use lwproc::{Errno, interruptible};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// How the client's memory has answered; `None`: it has no such memory.
type Answered = Option<Vec<u8>>;

#[derive(Default)]
struct State {
    out: Vec<u8>,
    next: u64,
    asked: HashMap<u64, oneshot::Sender<Answered>>,
}

/// A connection's outgoing frames. All that use it run in the connection's own task, which
/// sends them at the end of each poll.
#[derive(Default)]
pub(crate) struct Wire(Mutex<State>);

impl Wire {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many bytes are still to be sent.
    pub(crate) fn backlog(&self) -> usize {
        self.lock().out.len()
    }

    pub(crate) fn answer(&self, request: u64, kind: Kind, payload: &[u8]) {
        frame::put(&mut self.lock().out, Class::Response, kind, request, 0, &[payload]);
    }

    pub(crate) fn answer_call(&self, request: u64, error: i32, values: [i64; 2]) {
        self.answer(request, Kind::Syscall, &sysresp(error, values));
    }

    pub(crate) fn fault(&self, request: u64, kind: u16, fault: Fault) {
        let mut header = frame::Header::new(Class::Error, Kind::Syscall, request, fault as u32, 0);
        header.kind = kind;
        self.lock().out.extend_from_slice(&header.to_bytes());
    }

    pub(crate) fn raise(&self, signo: u8) {
        let mut state = self.lock();
        let State { out, next, .. } = &mut *state;
        *next += 1;
        frame::put(out, Class::Request, Kind::Raise, *next, signo.into(), &[]);
    }

    /// Lends what is to be sent; what `send` has not taken off stays.
    pub(crate) fn send<R>(&self, send: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let mut state = self.lock();
        let sent = send(&mut state.out);
        if state.out.is_empty() && state.out.capacity() > 4096 {
            state.out = Vec::new();
        }
        sent
    }

    /// The client has answered a request: `None` by an error.
    pub(crate) fn answered(&self, request: u64, payload: Option<&[u8]>) {
        if let Some(asked) = self.lock().asked.remove(&request) {
            let _nobody_waits = asked.send(payload.map(<[u8]>::to_vec));
        }
    }

    fn ask(&self, kind: Kind, parts: &[&[u8]]) -> (u64, oneshot::Receiver<Answered>) {
        let (answer, answered) = oneshot::channel();
        let mut state = self.lock();
        state.next += 1;
        let request = state.next;
        frame::put(&mut state.out, Class::Request, kind, request, 0, parts);
        state.asked.insert(request, answer);
        (request, answered)
    }
}

/// A question to the client, which is forgotten when nobody waits for the answer any more.
struct Asked<'w>(&'w Wire, u64);

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.lock().asked.remove(&self.1);
    }
}

/// The memory of a client. Its addresses are the client's, and are never followed here: the
/// client is asked for what is there.
///
/// It is for the futures of the client's own requests: what is asked or written elsewhere is
/// sent when one of those runs next.
#[derive(Clone)]
pub struct Memory {
    wire: Arc<Wire>,
    most: usize,
}

impl Memory {
    pub(crate) fn new(wire: Arc<Wire>, most: usize) -> Self {
        Self { wire, most }
    }

    /// The most bytes that [`Memory::read`] gets at once.
    pub fn most(&self) -> usize {
        self.most
    }

    /// `copyin`.
    ///
    /// # Errors
    /// EFAULT: the client says that it has no such memory, or answers another number of
    /// bytes. EINVAL: more than [`Memory::most`]. EINTR.
    pub async fn read(&self, address: u64, len: usize) -> Result<Vec<u8>, Errno> {
        if len > self.most {
            return Err(Errno::EINVAL);
        }
        if len == 0 {
            return Ok(Vec::new());
        }
        let read = self.ask(Kind::Copyin, &[&as_long(len), &address.to_ne_bytes()]).await?;
        if read.len() == len { Ok(read) } else { Err(Errno::EFAULT) }
    }

    /// `copyinstr`: a string of less than `most` bytes, without its NUL.
    ///
    /// # Errors
    /// ENAMETOOLONG; else as [`Memory::read`].
    pub async fn read_str(&self, address: u64, most: usize) -> Result<Vec<u8>, Errno> {
        let most = most.min(self.most);
        let mut read = self.ask(Kind::Copyinstr, &[&as_long(most), &address.to_ne_bytes()]).await?;
        if read.len() > most {
            return Err(Errno::EFAULT);
        }
        let end = read.iter().position(|byte| *byte == 0).ok_or(Errno::ENAMETOOLONG)?;
        read.truncate(end);
        Ok(read)
    }

    /// `copyout`. It is not answered: whether the client has such memory is not known.
    pub fn write(&self, address: u64, bytes: &[u8]) {
        let mut at = address;
        for part in bytes.chunks(self.most.max(1)) {
            let mut state = self.wire.lock();
            let State { out, next, .. } = &mut *state;
            *next += 1;
            let parts = [&as_long(part.len())[..], &at.to_ne_bytes(), part];
            frame::put(out, Class::Request, Kind::Copyout, *next, 0, &parts);
            at = at.wrapping_add(part.len() as u64);
        }
    }

    /// New memory in the client, filled with zeroes: its address.
    ///
    /// # Errors
    /// ENOMEM: the client has none. EFAULT: its answer is none. EINTR.
    pub async fn map(&self, len: usize) -> Result<u64, Errno> {
        let answer = self.ask(Kind::Anonmmap, &[&as_long(len)]).await?;
        match frame::u64_at(&answer, 0) {
            Some(0) => Err(Errno::ENOMEM),
            Some(address) if answer.len() == 8 => Ok(address),
            _ => Err(Errno::EFAULT),
        }
    }

    async fn ask(&self, kind: Kind, parts: &[&[u8]]) -> Result<Vec<u8>, Errno> {
        let (request, answered) = self.wire.ask(kind, parts);
        let _asked = Asked(&self.wire, request);
        interruptible(answered).await?.ok().flatten().ok_or(Errno::EFAULT)
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

fn as_long(len: usize) -> [u8; 8] {
    (len as u64).to_ne_bytes()
}
