//! A server, given arbitrary bytes by a client: no panic, the connection ends, and the kernel
//! is empty again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lwproc::{Entered, Errno, Kernel};
use lwproc_sysproxy::frame::{self, Class, Kind};
use lwproc_sysproxy::{Admit, Answer, Call, Calls, Host, Limits, Malformed, NetBsd, Server, Url};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// All calls, but none that ends the server.
struct Table(NetBsd);

impl Calls for Table {
    fn call(&self, k: &mut Entered<'_, Host>, call: &Call<'_>) -> Result<Answer, Malformed> {
        let answer = self.0.call(k, call)?;
        Ok(if matches!(answer, Answer::Shutdown) { Answer::Now(Err(Errno::EPERM)) } else { answer })
    }
}

fn server() -> &'static (PathBuf, Arc<Kernel<Host>>) {
    static SERVER: OnceLock<(PathBuf, Arc<Kernel<Host>>)> = OnceLock::new();
    SERVER.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("fuzz-sysproxy-{}", std::process::id()));
        let kernel = Arc::new(lwproc_sysproxy::kernel().unwrap());
        let (url, table) = (Url::Unix(path.clone()), Table(NetBsd::default()));
        let limits = Limits {
            prefork_time: Duration::from_millis(50),
            orphan_time: Duration::ZERO,
            ..Limits::default()
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let server = Server::bind(&url, Admit::Local, kernel.clone(), table, limits);
        let server = runtime.block_on(server).unwrap();
        std::thread::spawn(move || runtime.block_on(server.run()));
        (path, kernel)
    })
}

fuzz_target!(|data: &[u8]| {
    let (path, kernel) = server();
    let Some((first, data)) = data.split_first() else { return };
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    if first % 8 != 0 {
        let mut hello = Vec::new();
        frame::put(&mut hello, Class::Request, Kind::Handshake, 1, 0, &[b"fuzz\0"]);
        stream.write_all(&hello).unwrap();
    }
    let _closed_already = stream.write_all(data);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answers = Vec::new();
    match stream.read_to_end(&mut answers) {
        Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "it hangs"),
        Ok(_) => assert!(answers.starts_with(b"RUMPSP-")),
    }
    let begin = Instant::now();
    while kernel.counts().procs > 2 {
        assert!(begin.elapsed() < Duration::from_secs(10), "a process is left");
        std::thread::yield_now();
    }
});
