//! How many calls a second, and how long each takes: the server of this crate beside one of
//! the shape that rump servers in C have, on the same kernel: a thread that reads, and
//! another thread for each request, new or kept.
//!
//! cargo run --release -p lwproc-sysproxy --example throughput [SECONDS]

use lwproc::{Kernel, Pid, Rfork};
use lwproc_sysproxy::client::Client;
use lwproc_sysproxy::frame::{self, Class, Kind, Parsed};
use lwproc_sysproxy::{Admit, Host, Limits, NetBsd, Server, Url, number};
use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Builder;

/// Which server.
const MODES: [&str; 3] = ["tasks", "thread", "pool"];

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match &args[..] {
        [serve, mode, path] if serve == "serve" => serve_as(mode, path),
        [] => measure(1.0),
        [seconds] => measure(seconds.parse()?),
        _ => Err("throughput [SECONDS]".into()),
    }
}

// The servers, each in a process of its own.

fn serve_as(mode: &str, path: &str) -> Result<(), Box<dyn Error>> {
    let kernel = Arc::new(lwproc_sysproxy::kernel()?);
    if mode == "tasks" {
        return Builder::new_multi_thread().enable_all().build()?.block_on(async {
            let url = Url::Unix(path.into());
            let calls = NetBsd::default();
            let server = Server::bind(&url, Admit::Local, kernel, calls, Limits::default()).await?;
            println!("ready");
            server.run().await;
            Ok(())
        });
    }
    let run: Run =
        if mode == "pool" { Pool::new() } else { Box::new(|job| drop(thread::spawn(job))) };
    let run: &'static Run = Box::leak(Box::new(run));
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = UnixListener::bind(path)?;
        println!("ready");
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(one(kernel.clone(), stream, run));
        }
    })
}

type Job = Box<dyn FnOnce() + Send>;
type Run = Box<dyn Fn(Job) + Send + Sync>;

/// Threads that are kept, as many as were ever needed at once.
struct Pool {
    jobs: Mutex<(VecDeque<Job>, usize)>,
    come: Condvar,
}

impl Pool {
    #[allow(clippy::new_ret_no_self)]
    fn new() -> Run {
        let pool = Arc::new(Self { jobs: Mutex::default(), come: Condvar::new() });
        Box::new(move |job| {
            let mut jobs = pool.jobs.lock().expect("no panic");
            jobs.0.push_back(job);
            if jobs.0.len() > jobs.1 {
                let pool = pool.clone();
                thread::spawn(move || pool.work());
            }
            drop(jobs);
            pool.come.notify_one();
        })
    }

    fn work(&self) {
        let mut jobs = self.jobs.lock().expect("no panic");
        loop {
            if let Some(job) = jobs.0.pop_front() {
                drop(jobs);
                job();
                jobs = self.jobs.lock().expect("no panic");
            } else {
                jobs.1 += 1;
                jobs = self.come.wait(jobs).expect("no panic");
                jobs.1 -= 1;
            }
        }
    }
}

/// A connection to a server with a thread a request, which knows getpid.
async fn one(kernel: Arc<Kernel<Host>>, stream: UnixStream, run: &'static Run) -> Option<()> {
    let init = kernel.pin().proc(Pid::INIT)?.handle()?;
    let lwp = init.spawn().files(Rfork::Fresh).name("guest").start().ok()?;
    let proc = lwp.proc_handle();
    let (mut reader, stream) = stream.into_split();
    let stream = Arc::new(stream);
    stream.try_write(b"RUMPSP-0.4-NetBSD-10.0/amd64\n").ok()?;
    let mut input = Vec::new();
    while reader.read_buf(&mut input).await.ok()? > 0 {
        while let Parsed::Frame(frame, len) = frame::parse(&input, 4096) {
            let header = frame.header;
            input.drain(..len);
            let (kernel, proc, stream) = (kernel.clone(), proc.clone(), stream.clone());
            run(Box::new(move || {
                let mut out = Vec::new();
                if header.kind == Kind::Handshake as u16 {
                    frame::put(
                        &mut out,
                        Class::Response,
                        Kind::Handshake,
                        header.request,
                        0,
                        &[&[0; 4]],
                    );
                } else {
                    let lwp = proc.new_lwp().expect("the process lives");
                    let mut k = kernel.enter_as(lwp).expect("a thread of its own");
                    let values = [k.pid().0.into(), k.ppid().0.into()];
                    k.release().expect("not held");
                    drop(k);
                    let answer = frame::sysresp(0, values);
                    frame::put(
                        &mut out,
                        Class::Response,
                        Kind::Syscall,
                        header.request,
                        0,
                        &[&answer],
                    );
                }
                let _ = stream.try_write(&out);
            }));
        }
    }
    None
}

// What is measured.

struct Served {
    url: Url,
    child: Child,
}

impl Served {
    fn start(mode: &str) -> Result<Self, Box<dyn Error>> {
        let path = std::env::temp_dir().join(format!("throughput-{}-{mode}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", mode])
            .arg(&path)
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().ok_or("its output")?;
        BufReader::new(out).read_line(&mut String::new())?;
        Ok(Self { url: Url::Unix(path), child })
    }

    /// What it has had of the processors so far, in steps of 10 ms.
    fn cpu(&self) -> Result<f64, Box<dyn Error>> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields = stat.rsplit(')').next().ok_or("a name")?;
        // utime and stime, by their place after the name.
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
        Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
    }

    /// What it has of the memory, in KiB.
    fn memory(&self) -> Result<u64, Box<dyn Error>> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        Ok(rss.ok_or("VmRSS")?.trim().trim_end_matches(" kB").parse()?)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Url::Unix(path) = &self.url {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The times of all calls that some clients make in a time, ascending, in nanoseconds.
fn calls(url: &Url, clients: usize, time: Duration) -> Vec<u32> {
    let barrier = Barrier::new(clients);
    let client = || {
        let mut client = Client::connect(url, "bench").expect("a client");
        let mut times = Vec::with_capacity(1 << 16);
        barrier.wait();
        let begin = Instant::now();
        let mut last = begin;
        while last.duration_since(begin) < time {
            client.call(number::GETPID, &[]).expect("an answer");
            let now = Instant::now();
            times.push(u32::try_from((now - last).as_nanos()).unwrap_or(u32::MAX));
            last = now;
        }
        times
    };
    let mut all: Vec<u32> = thread::scope(|s| {
        let clients: Vec<_> = (0..clients).map(|_| s.spawn(client)).collect();
        clients.into_iter().flat_map(|client| client.join().expect("no panic")).collect()
    });
    all.sort_unstable();
    all
}

fn measure(seconds: f64) -> Result<(), Box<dyn Error>> {
    const ROUNDS: usize = 5;
    let time = Duration::from_secs_f64(seconds);
    let servers: Vec<_> = MODES.iter().map(|mode| Served::start(mode)).collect::<Result<_, _>>()?;
    println!("server   clients    calls/s    p50 us    p99 us  p99.9 us  cpu us a call");
    for clients in [1, 8, 64] {
        let mut rounds: Vec<Vec<(Vec<u32>, f64)>> = MODES.iter().map(|_| Vec::new()).collect();
        // In turns, so that all have the same weather.
        for _ in 0..ROUNDS {
            for (served, rounds) in servers.iter().zip(&mut rounds) {
                let before = served.cpu()?;
                let times = calls(&served.url, clients, time);
                rounds.push((times, served.cpu()? - before));
            }
        }
        for (mode, mut rounds) in MODES.iter().zip(rounds) {
            rounds.sort_by_key(|(times, _)| times.len());
            let (times, cpu) = &rounds[ROUNDS / 2];
            let at = |part: f64| f64::from(times[((times.len() - 1) as f64 * part) as usize]) / 1e3;
            let (p50, p99, most) = (at(0.5), at(0.99), at(0.999));
            let (rate, cpu) = (times.len() as f64 / seconds, cpu * 1e6 / times.len() as f64);
            println!(
                "{mode:<8} {clients:>7} {rate:>10.0} {p50:>9.1} {p99:>9.1} {most:>9.1} {cpu:>14.1}"
            );
        }
    }
    for (mode, served) in MODES.iter().zip(&servers) {
        let before = served.memory()?;
        let clients: Vec<_> =
            (0..1000).map(|_| Client::connect(&served.url, "idle")).collect::<Result<_, _>>()?;
        let after = served.memory()?;
        println!(
            "{mode:<8} {:.1} KiB for each of {} clients",
            after.saturating_sub(before) as f64 / 1e3,
            clients.len()
        );
    }
    io::stdout().flush()?;
    Ok(())
}
