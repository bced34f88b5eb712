//! A rump server: programs that speak the rump kernel's system call protocol live as
//! processes in an [`lwproc::Kernel`].
//!
//! A program that is linked with the unmodified rump client library, or any other speaker
//! of the protocol, connects ([`url`]), says its name, and is a process: its calls are
//! carried out in the kernel, its forks are forks there, its end is one. What it has in its
//! own memory is asked of it ([`Memory`]); an address of its own is never followed here.
//!
//! ```
//! use lwproc_sysproxy::client::Client;
//! use lwproc_sysproxy::{Admit, Limits, NetBsd, Server, Url, number};
//! use std::sync::Arc;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let runtime = tokio::runtime::Runtime::new()?;
//! let kernel = Arc::new(lwproc_sysproxy::kernel()?);
//! let url: Url = "tcp://127.0.0.1:0".parse()?;
//! let server = Server::bind(&url, Admit::Local, kernel, NetBsd::default(), Limits::default());
//! let server = runtime.block_on(server)?;
//! let (url, handle) = (server.url().clone(), server.handle());
//! let served = runtime.spawn(server.run());
//!
//! let mut client = Client::connect(&url, "hello")?;
//! let [pid, parent] = client.call(number::GETPID, &[])?;
//! assert_eq!(parent, 1);
//! assert!(handle.processes().iter().any(|proc| i64::from(proc.pid) == pid && proc.comm == "hello"));
//!
//! handle.stop();
//! runtime.block_on(served)?;
//! # Ok(())
//! # }
//! ```
//!
//! # The rooms, from the bottom up
//!
//! [`frame`] (headers and payloads), [`url`], [`layout`] (NetBSD's structures), [`mod@file`] and
//! [`pipe`] (what a descriptor refers to), `wire` (what a connection and its requests share),
//! [`calls`] (the table of system calls), `prefork` (children that are not taken over yet),
//! `conn` (a client that is a process), `listen`, [`server`], [`client`], [`command`].
//!
//! # Signals
//!
//! A signal that the process does not block is raised in the client at once, by its number,
//! and ends the sleep of the process's calls with EINTR; what it does is the client's own
//! affair. One that is blocked (`sigprocmask`) pends. SIGKILL ends the process here as well,
//! and its connection. A process whose client disconnects has ended with status 0; but by the
//! signal, where the last that came was one that by default ends a process, and the client
//! has not sent anything since.

pub mod calls;
pub mod client;
pub mod command;
mod conn;
pub mod file;
pub mod frame;
pub mod layout;
mod listen;
pub mod pipe;
mod prefork;
pub mod server;
mod stream;
pub mod url;
mod wire;

pub use calls::{Answer, Call, Calls, Done, Malformed, NetBsd, number};
pub use file::OpenFile;
pub use listen::Admit;
pub use server::{Handle, Limits, Server};
pub use url::{BadUrl, Url};
pub use wire::Memory;

use lwproc::{BuildError, Kernel, Limit, Resource, Rules, SigModel, ThreadHost, WaitPolicy};

/// The host of a kernel that is served: its files are [`OpenFile`]s.
pub type Host = ThreadHost<OpenFile>;

/// What clients are told that they talk to.
pub const OS_TYPE: &str = "NetBSD";
/// Its release: whose structures and numbers these are.
pub const OS_RELEASE: &str = "10.0";
/// The machine whose structures these are.
pub const MACHINE: &str = "amd64";

/// The version of the protocol.
pub const VERSION: &str = "0.4";

/// The most processes of [`kernel`].
pub const MAX_PROCS: u64 = 16384;

/// The most descriptors of a process, whatever limit it sets: what NetBSD calls `maxfiles`.
pub const MAX_FILES: u64 = 4096;

/// The most pipes of all processes, each of which may hold 16 KiB. One more is ENFILE.
pub const MAX_PIPES: usize = 4096;

/// How many it may have before it sets a limit: `OPEN_MAX` of NetBSD's `sys/sys/syslimits.h`.
const OPEN_MAX: u64 = 128;

/// A kernel as a server wants it: NetBSD's rules, signals that are kept until the client
/// can be told, zombies until they are waited for, and nobody who acts as init by accident.
///
/// # Errors
/// None: as [`lwproc::Builder::build`].
pub fn kernel() -> Result<Kernel<Host>, BuildError> {
    let files = Limit { soft: OPEN_MAX, hard: MAX_FILES };
    let limits = lwproc::Limits::unlimited().with(Resource::Nofile, files).unwrap_or_default();
    Kernel::builder()
        .limits(limits)
        .host(Host::new())
        .rules(Rules::NETBSD)
        .signal_model(SigModel::Record)
        .wait_policy(WaitPolicy::Wait)
        .max_procs(MAX_PROCS)
        .forbid_implicit_contexts()
        .build()
}

/// The first line that a client gets.
pub(crate) fn banner() -> String {
    format!("RUMPSP-{VERSION}-{OS_TYPE}-{OS_RELEASE}/{MACHINE}\n")
}

/// A name that a client gave, up to its NUL, as text that a terminal can be shown.
pub(crate) fn printable(name: &[u8]) -> String {
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    let shown = |c: char| if c.is_control() { '?' } else { c };
    String::from_utf8_lossy(name).chars().take(255).map(shown).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_banner_is_short_and_one_line() {
        let banner = super::banner();
        assert!(banner.len() <= super::frame::BANNER && banner.starts_with("RUMPSP-0.4-"));
        assert_eq!(banner.find('\n'), Some(banner.len() - 1));
    }

    #[test]
    fn a_name_shows_no_control_characters() {
        assert_eq!(super::printable(b"a\x1b[2J\xffb\0c"), "a?[2J\u{fffd}b");
        assert_eq!(super::printable(&[b'x'; 999]).len(), 255);
    }
}
