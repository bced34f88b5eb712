//! The verbs `serve` and `ps` of the command `lwproc`.

use crate::calls::NetBsd;
use crate::client::Client;
use crate::layout::{KINFO_PROC2, Kinfo};
use crate::server::{Handle, Limits, Server};
use crate::{Admit, Url, number};
use clap::Args;
use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// Serve a kernel: programs that speak the rump system call protocol are its processes
///
/// It ends on SIGINT and SIGTERM, and shows its processes on SIGUSR1.
#[derive(Debug, Args)]
pub struct Serve {
    /// Where to listen: unix://PATH, or tcp://127.0.0.1:PORT (port 0: one that is free)
    url: Url,
    /// Listen where other machines reach it; whoever connects is the superuser
    #[arg(long)]
    anybody: bool,
    /// The name that the machine has for its processes (kern.hostname)
    #[arg(long, default_value = "lwproc")]
    hostname: String,
}

impl Serve {
    /// Serves until it is told to end.
    ///
    /// # Errors
    /// The address is in use, or cannot be had.
    pub fn run(&self) -> Result<ExitCode, Box<dyn Error>> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(self.serve())?;
        Ok(ExitCode::SUCCESS)
    }

    async fn serve(&self) -> Result<(), Box<dyn Error>> {
        let kernel = Arc::new(crate::kernel()?);
        let admit = if self.anybody { Admit::Anybody } else { Admit::Local };
        let calls = NetBsd::new(&self.hostname);
        let server =
            Server::bind(&self.url, admit, kernel.clone(), calls, Limits::default()).await?;
        if !server.url().is_local() {
            let warning = "warning: whoever reaches this address is the superuser in the kernel";
            writeln!(io::stderr(), "lwproc: {warning}; the protocol has no secret")?;
        }
        let (url, handle) = (server.url(), server.handle());
        let mut out = io::stdout();
        writeln!(out, "listening on {url}")?;
        writeln!(out, "clients:     RUMP_SERVER={url} PROGRAM")?;
        writeln!(out, "processes:   lwproc ps {url}")?;
        out.flush()?;
        let (mut int, mut term) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let mut usr1 = signal(SignalKind::user_defined1())?;
        let mut served = std::pin::pin!(server.run());
        loop {
            tokio::select! {
                () = &mut served => break,
                _ = int.recv() => handle.stop(),
                _ = term.recv() => handle.stop(),
                _ = usr1.recv() => write!(io::stderr(), "{}", report(&handle))?,
            }
        }
        let left = kernel.counts().procs - 2; // but proc0 and init
        writeln!(io::stdout(), "ended; {left} processes left")?;
        Ok(())
    }
}

fn report(handle: &Handle) -> String {
    let mut text = listing(&handle.processes());
    if handle.panics() > 0 {
        let _ = writeln!(text, "{} connections were ended by a panic", handle.panics());
    }
    for (number, count) in handle.unknown_calls() {
        let _ = writeln!(text, "call {number} is not there, and was asked for {count} times");
    }
    text
}

/// A listing as `ps` prints it.
pub fn listing(procs: &[Kinfo]) -> String {
    // Numbers may have up to ten digits.
    let most = procs.iter().map(|proc| proc.pid).max().unwrap_or(0);
    let w = most.to_string().len().max(6);
    let mut text = format!(
        "{:>w$} {:>w$} {:>w$} {:>w$} {:>5} {:<4} {:>4} COMMAND\n",
        "PID", "PPID", "PGID", "SID", "UID", "STAT", "LWPS"
    );
    for proc in procs {
        let Kinfo { pid, ppid, pgid, sid, nlwps, comm, .. } = proc;
        let (uid, stat) = (proc.uids.effective, state(proc));
        let comm = crate::printable(comm.as_bytes());
        let _ = writeln!(
            text,
            "{pid:>w$} {ppid:>w$} {pgid:>w$} {sid:>w$} {uid:>5} {stat:<4} {nlwps:>4} {comm}"
        );
    }
    text
}

/// As `ps(1)` has it: running, sleeping, stopped, a zombie; `s` leads its session.
fn state(proc: &Kinfo) -> String {
    let leads = if proc.pid == proc.sid { "s" } else { "" };
    let state = match proc.stat {
        3 => "S",
        4 => "T",
        5 => "Z",
        _ => "R",
    };
    format!("{state}{leads}")
}

/// List the processes of a kernel that is served
#[derive(Debug, Args)]
pub struct Ps {
    /// Where it is served: what `lwproc serve` has printed
    url: Url,
}

impl Ps {
    /// Asks as a client, and prints the listing.
    ///
    /// # Errors
    /// There is no server, or it does not answer.
    pub fn run(&self) -> Result<ExitCode, Box<dyn Error>> {
        let mut client = Client::connect(&self.url, "ps")?;
        write!(io::stdout(), "{}", listing(&processes(&mut client)?))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// All processes, by `kern.proc2`.
///
/// # Errors
/// As [`Client::call`].
pub fn processes(client: &mut Client) -> Result<Vec<Kinfo>, crate::client::Error> {
    const KERN_PROC2_ALL: [i32; 6] = [1, 47, 0, 0, KINFO_PROC2 as i32, i32::MAX];
    let name: Vec<u8> = KERN_PROC2_ALL.iter().flat_map(|int| int.to_ne_bytes()).collect();
    client.space.clear();
    let (name, len) = (client.space.put(&name), client.space.room(8));
    let (name, len) = (name.cast_signed(), len.cast_signed());
    client.call(number::SYSCTL, &[name, 6, 0, len, 0, 0])?;
    let size =
        |client: &Client| client.space.array(len.cast_unsigned()).map_or(0, u64::from_ne_bytes);
    let room = usize::try_from(size(client)).unwrap_or(0);
    let list = client.space.room(room);
    client.call(number::SYSCTL, &[name, 6, list.cast_signed(), len, 0, 0])?;
    let used = usize::try_from(size(client)).unwrap_or(0).min(room);
    let bytes = client.space.get(list, used).unwrap_or_default();
    Ok(bytes.as_chunks().0.iter().map(Kinfo::from_bytes).collect())
}
