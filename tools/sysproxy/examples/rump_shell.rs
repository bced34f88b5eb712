//! A shell whose world is a server: each command is a process there, made by a fork over the
//! proxy, and what they write to each other goes through its pipes.
//!
//! It reads commands: `echo WORDS`, `seq N`, `tac`, `cat`, `false`, `sleep`, with `|` between
//! them, `&` at the end, and `wait`, which ends what is in the background.
//!
//! RUMP_SERVER=unix://PATH cargo run -p lwproc-sysproxy --example rump_shell

use lwproc_sysproxy::client::{Client, Error};
use lwproc_sysproxy::number::{CLOSE, DUP2, EXIT, GETPID, KILL, PIPE, READ, SETPGID, WAIT4, WRITE};
use std::io::{BufRead, stdin};
use std::thread::{self, JoinHandle};

type Result<T> = std::result::Result<T, Error>;

fn read_all(c: &mut Client, fd: i64) -> Result<String> {
    let mut text = Vec::new();
    loop {
        c.space.clear();
        let room = c.space.room(4096);
        let [len, _] = c.call(READ, &[fd, room.cast_signed(), 4096])?;
        if len == 0 {
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
        text.extend_from_slice(c.space.get(room, len as usize).unwrap_or_default());
    }
}

fn write_all(c: &mut Client, fd: i64, text: &str) -> Result<()> {
    c.space.clear();
    let at = c.space.put(text.as_bytes());
    c.call(WRITE, &[fd, at.cast_signed(), text.len() as i64]).map(drop)
}

/// A command, as the process that it is: its exit code.
fn run(c: &mut Client, words: &[String]) -> Result<i64> {
    let (name, args) = words.split_first().map_or(("", &[][..]), |(name, args)| (name, args));
    let text = match name {
        "echo" => args.join(" ") + "\n",
        "seq" => {
            let most = args.first().and_then(|most| most.parse().ok()).unwrap_or(0);
            (1..=most).map(|n: u32| format!("{n}\n")).collect()
        }
        "cat" => read_all(c, 0)?,
        "tac" => read_all(c, 0)?.lines().rev().flat_map(|line| [line, "\n"]).collect(),
        "false" => return Ok(1),
        "sleep" => {
            // Until a signal comes: nobody writes.
            let [reader, _writer] = c.call(PIPE, &[])?;
            return c.call(READ, &[reader, 0, 1]).map(|_| 0);
        }
        _ => return Ok(127),
    };
    write_all(c, 1, &text)?;
    Ok(0)
}

/// A fork that is to become a command.
fn start(
    shell: &mut Client,
    words: &[String],
    files: [(i64, i64); 2],
    close: &[i64],
    group: i64,
) -> Result<(i64, JoinHandle<()>)> {
    let mut child = shell.fork()?;
    let pid = child.call(GETPID, &[])?[0];
    child.call(SETPGID, &[0, group])?;
    for (from, to) in files.into_iter().filter(|(from, to)| from != to) {
        child.call(DUP2, &[from, to])?;
    }
    for fd in close {
        child.call(CLOSE, &[*fd])?;
    }
    child.exec(words.first().map_or("", String::as_str))?;
    let words = words.to_vec();
    let thread = thread::spawn(move || {
        // A process without a code goes as it is.
        let code = run(&mut child, &words);
        let _gone = code.and_then(|code| child.call(EXIT, &[code]));
    });
    Ok((pid, thread))
}

/// Waits for any child, or one of a group: its pid and exit code.
fn wait(shell: &mut Client, whom: i64) -> Result<(i64, i32)> {
    shell.space.clear();
    let status = shell.space.room(8);
    let [pid, _] = shell.call(WAIT4, &[whom, status.cast_signed(), 0, 0])?;
    let status = shell.space.array(status).map_or(0, i32::from_ne_bytes);
    Ok((pid, if status & 0x7f == 0 { status >> 8 } else { 128 + (status & 0x7f) }))
}

/// One line: a pipeline, which is a process group.
fn pipeline(shell: &mut Client, line: &str, jobs: &mut Vec<i64>) -> Result<()> {
    let (line, background) = match line.strip_suffix('&') {
        Some(line) => (line, true),
        None => (line, false),
    };
    let commands: Vec<Vec<String>> =
        line.split('|').map(|part| part.split_whitespace().map(str::to_owned).collect()).collect();
    let (mut group, mut input, mut threads) = (0, 0, Vec::new());
    for words in &commands {
        let [reader, writer] = shell.call(PIPE, &[])?;
        let close: Vec<i64> = [reader, writer, input].into_iter().filter(|fd| *fd > 2).collect();
        let (pid, thread) = start(shell, words, [(input, 0), (writer, 1)], &close, group)?;
        group = if group == 0 { pid } else { group };
        threads.push(thread);
        shell.call(CLOSE, &[writer])?;
        if input > 2 {
            shell.call(CLOSE, &[input])?;
        }
        input = reader;
    }
    if background {
        shell.call(CLOSE, &[input])?;
        println!("[{group}]");
        jobs.push(group);
        return Ok(());
    }
    print!("{}", read_all(shell, input)?);
    shell.call(CLOSE, &[input])?;
    for _ in commands {
        let (pid, code) = wait(shell, -group)?;
        if code != 0 {
            println!("[{pid}] {code}");
        }
    }
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    Ok(())
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("RUMP_SERVER").map_err(|_| "RUMP_SERVER says no server")?.parse()?;
    let mut shell = Client::connect(&url, "shell")?;
    let mut jobs: Vec<i64> = Vec::new();
    for line in stdin().lock().lines() {
        match line?.trim() {
            "" => {}
            "wait" => {
                for job in jobs.drain(..) {
                    let _ended_already = shell.call(KILL, &[-job, 15]);
                    let (pid, code) = wait(&mut shell, -job)?;
                    println!("[{pid}] {code}");
                }
            }
            line => pipeline(&mut shell, line, &mut jobs)?,
        }
    }
    Ok(())
}
