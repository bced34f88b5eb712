//! A client of our own: for tests, and for programs that would be processes in a rump server
//! without C.
//!
//! One thread uses one client at a time. Calls that sleep may be begun one after the other
//! ([`Client::begin`]) and their answers taken later.

use crate::frame::{self, Class, HEADER, Handshake, Header, Kind, Parsed};
use crate::url::Url;
use lwproc::{Abi, Errno};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The most of a frame that a client takes.
const MOST: usize = 64 << 20;

/// Why something that was asked for was not had.
#[derive(Debug)]
pub enum Error {
    /// The call was carried out, and answered with that error.
    Errno(Errno),
    /// The call was answered with an error number that is none of POSIX's.
    Number(i32),
    /// The request was not carried out: a [`frame::Fault`], if it is one.
    Refused(u32),
    /// The server has said what cannot be understood.
    Protocol,
    /// The connection: it is gone, most likely.
    Io(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errno(errno) => errno.fmt(f),
            Self::Number(number) => write!(f, "error {number}"),
            Self::Refused(fault) => match frame::Fault::from_number(*fault) {
                Some(fault) => write!(f, "refused: {fault:?}"),
                None => write!(f, "refused: {fault}"),
            },
            Self::Protocol => f.write_str("the server does not speak the protocol"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Stream {
    fn connect(url: &Url) -> io::Result<Self> {
        Ok(match url {
            Url::Unix(path) => Self::Unix(UnixStream::connect(path)?),
            Url::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                Self::Tcp(stream)
            }
        })
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buf),
            Self::Tcp(stream) => stream.read(buf),
        }
    }

    fn write_all(&mut self, buf: &[u8]) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.write_all(buf),
            Self::Tcp(stream) => stream.write_all(buf),
        }
    }

    fn set_read_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.set_read_timeout(limit),
            Self::Tcp(stream) => stream.set_read_timeout(limit),
        }
    }
}

/// The memory of a client: what the server reads and writes. Its addresses mean nothing
/// elsewhere.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Space(Vec<u8>);

impl Space {
    /// Where it begins: nothing lies at address 0.
    const BASE: u64 = 0x1_0000;

    /// Puts bytes into new memory: their address.
    pub fn put(&mut self, bytes: &[u8]) -> u64 {
        let address = Self::BASE + self.0.len() as u64;
        self.0.extend_from_slice(bytes);
        // Numbers lie at multiples of 8.
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        address
    }

    /// New memory, with zeroes in it: its address.
    pub fn room(&mut self, len: usize) -> u64 {
        self.put(&vec![0; len])
    }

    /// What is there; `None` outside of the memory.
    pub fn get(&self, address: u64, len: usize) -> Option<&[u8]> {
        let at = usize::try_from(address.checked_sub(Self::BASE)?).ok()?;
        self.0.get(at..at.checked_add(len)?)
    }

    /// The `N` bytes that are there.
    pub fn array<const N: usize>(&self, address: u64) -> Option<[u8; N]> {
        self.get(address, N)?.try_into().ok()
    }

    /// Writes over what is there; `None`, and nothing is written, outside.
    pub fn set(&mut self, address: u64, bytes: &[u8]) -> Option<()> {
        let at = usize::try_from(address.checked_sub(Self::BASE)?).ok()?;
        self.0.get_mut(at..at.checked_add(bytes.len())?)?.copy_from_slice(bytes);
        Some(())
    }

    /// Forgets all that was put.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    fn text(&self, address: u64, most: usize) -> Option<&[u8]> {
        let at = usize::try_from(address.checked_sub(Self::BASE)?).ok()?;
        let text = self.0.get(at..)?;
        let len = text.iter().position(|byte| *byte == 0).map_or(text.len(), |nul| nul + 1);
        text.get(..len.min(most))
    }
}

/// A child that the server has made, for another connection to become.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ticket([u8; 16]);

struct Answer {
    header: Header,
    payload: Vec<u8>,
}

/// A connection, and the process that it is in the server.
pub struct Client {
    url: Url,
    stream: Stream,
    /// What the server reads and writes.
    pub space: Space,
    input: Vec<u8>,
    next: u64,
    answers: HashMap<u64, Answer>,
    raised: VecDeque<u32>,
}

impl Client {
    /// Connects, as a new process of that name, a child of init.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Refused`], [`Error::Protocol`].
    pub fn connect(url: &Url, name: &str) -> Result<Self, Error> {
        let mut client = Self::open(url, Space::default())?;
        client.handshake(Handshake::Guest, &nul_terminated(name))?;
        Ok(client)
    }

    /// Connects, and says nothing yet: for who speaks the protocol by hand.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn open(url: &Url, space: Space) -> Result<Self, Error> {
        let mut stream = Stream::connect(url)?;
        let mut banner = Vec::new();
        while !banner.ends_with(b"\n") {
            let mut byte = [0];
            if banner.len() == frame::BANNER || stream.read(&mut byte)? == 0 {
                return Err(Error::Protocol);
            }
            banner.push(byte[0]);
        }
        if !banner.starts_with(b"RUMPSP-0.") {
            return Err(Error::Protocol);
        }
        let (input, answers, raised) = Default::default();
        Ok(Self { url: url.clone(), stream, space, input, next: 0, answers, raised })
    }

    /// Connects as a child of another client, which it has [made](Client::prefork), with the
    /// memory that it is to have.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn join(url: &Url, ticket: &Ticket, space: Space) -> Result<Self, Error> {
        let mut client = Self::open(url, space)?;
        let payload = [&ticket.0[..], &[0; 4]].concat();
        client.handshake(Handshake::Fork, &payload)?;
        Ok(client)
    }

    /// A child, as another client: with a copy of the memory, and of the descriptors.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn fork(&mut self) -> Result<Self, Error> {
        let ticket = self.prefork()?;
        Self::join(&self.url, &ticket, self.space.clone())
    }

    /// A child that another connection is to become.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn prefork(&mut self) -> Result<Ticket, Error> {
        let request = self.send(Kind::Prefork, 0, &[])?;
        let Answer { payload, .. } = self.answer(request)?;
        payload.try_into().map(Ticket).map_err(|_| Error::Protocol)
    }

    /// The process becomes another program: what is marked is closed, its calls end.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn exec(&mut self, name: &str) -> Result<(), Error> {
        self.handshake(Handshake::Exec, &nul_terminated(name))
    }

    fn handshake(&mut self, kind: Handshake, payload: &[u8]) -> Result<(), Error> {
        let request = self.send(Kind::Handshake, kind as u32, payload)?;
        let Answer { payload, .. } = self.answer(request)?;
        match frame::u32_at(&payload, 0) {
            Some(0) => Ok(()),
            Some(number) => Err(failed(number.cast_signed())),
            None => Err(Error::Protocol),
        }
    }

    /// A system call: what it gives back. Meanwhile the server is given what it asks for.
    ///
    /// # Errors
    /// [`Error::Errno`], and as [`Client::connect`].
    pub fn call(&mut self, number: u32, arguments: &[i64]) -> Result<[i64; 2], Error> {
        let request = self.begin(number, arguments)?;
        self.finish(request)
    }

    /// Begins a system call: its request.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn begin(&mut self, number: u32, arguments: &[i64]) -> Result<u64, Error> {
        let bytes: Vec<u8> = arguments.iter().flat_map(|arg| arg.to_ne_bytes()).collect();
        self.send(Kind::Syscall, number, &bytes)
    }

    /// Waits for the answer to a call that was begun.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn finish(&mut self, request: u64) -> Result<[i64; 2], Error> {
        let Answer { header, payload } = self.answer(request)?;
        let error = frame::u32_at(&payload, 0).map(u32::cast_signed);
        let value = |at| frame::u64_at(&payload, at).map(u64::cast_signed);
        match (error, value(8), value(16)) {
            (Some(0), Some(first), Some(second)) if header.kind == Kind::Syscall as u16 => {
                Ok([first, second])
            }
            (Some(number), Some(_), Some(_)) if number != 0 => Err(failed(number)),
            _ => Err(Error::Protocol),
        }
    }

    /// The signals that were raised since the last time.
    pub fn raised(&mut self) -> Vec<u32> {
        self.raised.drain(..).collect()
    }

    /// How long a wait for the server may last; `None`: for ever. [`Error::Io`] when it is
    /// over.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn set_time_limit(&self, limit: Option<Duration>) -> Result<(), Error> {
        Ok(self.stream.set_read_timeout(limit)?)
    }

    /// Sends bytes as they are: for tests.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<(), Error> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// Sends a request: its number.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn send(&mut self, kind: Kind, value: u32, payload: &[u8]) -> Result<u64, Error> {
        self.next += 1;
        let mut bytes = Vec::new();
        frame::put(&mut bytes, Class::Request, kind, self.next, value, &[payload]);
        self.stream.write_all(&bytes)?;
        Ok(self.next)
    }

    /// Waits for an answer, and does meanwhile what the server asks.
    fn answer(&mut self, request: u64) -> Result<Answer, Error> {
        loop {
            if let Some(answer) = self.answers.remove(&request) {
                return match Class::from_number(answer.header.class) {
                    Some(Class::Response) => Ok(answer),
                    _ => Err(Error::Refused(answer.header.value)),
                };
            }
            self.receive()?;
        }
    }

    /// Takes the next frame, and does what it asks.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Protocol`].
    pub fn receive(&mut self) -> Result<(), Error> {
        let len = loop {
            match frame::parse(&self.input, MOST) {
                Parsed::Frame(_, len) => break len,
                Parsed::Bad(_) => return Err(Error::Protocol),
                Parsed::More => {
                    let mut some = [0; 4096];
                    let read = self.stream.read(&mut some)?;
                    if read == 0 {
                        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                    }
                    self.input.extend_from_slice(&some[..read]);
                }
            }
        };
        let whole: Vec<u8> = self.input.drain(..len).collect();
        let header = Header::from_bytes(whole.first_chunk().ok_or(Error::Protocol)?);
        let payload = &whole[HEADER..];
        match Class::from_number(header.class) {
            Some(Class::Response | Class::Error) => {
                let answer = Answer { header, payload: payload.to_vec() };
                self.answers.insert(header.request, answer);
                Ok(())
            }
            Some(Class::Request) => self.serve(header, payload),
            None => Err(Error::Protocol),
        }
    }

    fn serve(&mut self, header: Header, payload: &[u8]) -> Result<(), Error> {
        let long = |at| frame::u64_at(payload, at).ok_or(Error::Protocol);
        let most = || long(0).map(|len| usize::try_from(len).unwrap_or(usize::MAX));
        let answer = match Kind::from_number(header.kind) {
            Some(Kind::Copyin) => self.space.get(long(8)?, most()?).map(<[u8]>::to_vec),
            Some(Kind::Copyinstr) => self.space.text(long(8)?, most()?).map(<[u8]>::to_vec),
            Some(Kind::Copyout) => {
                // The protocol has no answer for memory that is not there.
                let bytes = payload.get(16..).ok_or(Error::Protocol)?;
                let _there = self.space.set(long(8)?, bytes);
                return Ok(());
            }
            Some(Kind::Anonmmap) => {
                let address = if most()? <= MOST { self.space.room(most()?) } else { 0 };
                Some(address.to_ne_bytes().to_vec())
            }
            Some(Kind::Raise) => {
                self.raised.push_back(header.value);
                return Ok(());
            }
            _ => return Err(Error::Protocol),
        };
        let mut bytes = Vec::new();
        let kind = match Kind::from_number(header.kind) {
            Some(Kind::Anonmmap) => Kind::Anonmmap,
            _ => Kind::Copyin,
        };
        match &answer {
            Some(answer) => {
                frame::put(&mut bytes, Class::Response, kind, header.request, 0, &[answer]);
            }
            None => frame::put(&mut bytes, Class::Error, kind, header.request, 0, &[]),
        }
        Ok(self.stream.write_all(&bytes)?)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.url)
    }
}

fn nul_terminated(name: &str) -> Vec<u8> {
    name.bytes().chain([0]).collect()
}

fn failed(number: i32) -> Error {
    Errno::from_number(Abi::NetBsd, number).map_or(Error::Number(number), Error::Errno)
}
