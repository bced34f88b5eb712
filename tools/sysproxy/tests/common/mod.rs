//! A server in this process, and what clients of it have in common.
#![allow(dead_code)]

use lwproc::{Errno, Kernel};
use lwproc_sysproxy::client::{Client, Error};
use lwproc_sysproxy::{Admit, Calls, Handle, Host, Limits, NetBsd, Server, Url, number};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// A directory of a test's own.
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("sysproxy-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    pub fn url(&self) -> Url {
        Url::Unix(self.0.join("s"))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server. At its end nothing may be left in its kernel.
pub struct World {
    pub url: Url,
    pub handle: Handle,
    pub kernel: Arc<Kernel<Host>>,
    /// How many calls are to have panicked.
    pub panics: u64,
    runtime: Option<Runtime>,
    served: Option<JoinHandle<()>>,
    _dir: Dir,
}

impl World {
    pub fn new() -> Self {
        Self::with(NetBsd::default(), Limits::default())
    }

    pub fn with(calls: impl Calls, limits: Limits) -> Self {
        let dir = Dir::new();
        let runtime = Runtime::new().unwrap();
        let kernel = Arc::new(lwproc_sysproxy::kernel().unwrap());
        let bound = dir.url();
        let server = Server::bind(&bound, Admit::Local, kernel.clone(), calls, limits);
        let server = runtime.block_on(server).unwrap();
        let (url, handle) = (server.url().clone(), server.handle());
        let served = Some(runtime.spawn(server.run()));
        Self { url, handle, kernel, panics: 0, runtime: Some(runtime), served, _dir: dir }
    }

    pub fn client(&self) -> Client {
        let client = Client::connect(&self.url, "test").unwrap();
        client.set_time_limit(Some(Duration::from_secs(20))).unwrap();
        client
    }

    /// Whether the server has ended by itself, within a time.
    pub fn ends(&mut self) -> bool {
        let served = self.served.take().unwrap();
        let runtime = self.runtime.as_ref().unwrap();
        runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(10), served).await })
            .is_ok()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.handle.stop();
        if let (Some(runtime), Some(served)) = (&self.runtime, self.served.take()) {
            let ended = runtime.block_on(served);
            if thread::panicking() {
                return;
            }
            ended.unwrap();
        }
        drop(self.runtime.take());
        if !thread::panicking() {
            assert_eq!(self.handle.panics(), self.panics);
            let counts = self.kernel.counts();
            assert_eq!((counts.procs, counts.zombies), (2, 0), "proc0 and init");
            // proc0's and init's.
            assert_eq!(counts.lwps, 2, "no LWP of a call is left");
        }
    }
}

/// Waits until something is so.
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// The error of a call.
pub fn errno(result: Result<[i64; 2], Error>) -> Errno {
    match result {
        Err(Error::Errno(errno)) => errno,
        other => panic!("no errno: {other:?}"),
    }
}

pub fn refused(result: Result<[i64; 2], Error>) -> u32 {
    match result {
        Err(Error::Refused(fault)) => fault,
        other => panic!("not refused: {other:?}"),
    }
}

/// Calls that tests make often.
pub trait Ask {
    fn pid(&mut self) -> i64;
    fn pipe(&mut self) -> [i64; 2];
    fn write(&mut self, fd: i64, bytes: &[u8]) -> Result<i64, Error>;
    fn read(&mut self, fd: i64, most: usize) -> Result<Vec<u8>, Error>;
    /// Waits for a child: its pid and status.
    fn wait(&mut self, pid: i64, options: i64) -> Result<(i64, i32), Error>;
    fn ask(&mut self, number: u32, arguments: &[i64]) -> [i64; 2];
}

impl Ask for Client {
    fn pid(&mut self) -> i64 {
        self.ask(number::GETPID, &[])[0]
    }

    fn pipe(&mut self) -> [i64; 2] {
        self.ask(number::PIPE, &[])
    }

    fn write(&mut self, fd: i64, bytes: &[u8]) -> Result<i64, Error> {
        self.space.clear();
        let at = self.space.put(bytes).cast_signed();
        self.call(number::WRITE, &[fd, at, bytes.len() as i64]).map(|[n, _]| n)
    }

    fn read(&mut self, fd: i64, most: usize) -> Result<Vec<u8>, Error> {
        self.space.clear();
        let at = self.space.room(most);
        let [n, _] = self.call(number::READ, &[fd, at.cast_signed(), most as i64])?;
        Ok(self.space.get(at, n as usize).unwrap().to_vec())
    }

    fn wait(&mut self, pid: i64, options: i64) -> Result<(i64, i32), Error> {
        self.space.clear();
        let at = self.space.room(8);
        let [pid, _] = self.call(number::WAIT4, &[pid, at.cast_signed(), options, 0])?;
        Ok((pid, i32::from_ne_bytes(self.space.array(at).unwrap())))
    }

    fn ask(&mut self, number: u32, arguments: &[i64]) -> [i64; 2] {
        self.call(number, arguments).unwrap()
    }
}
