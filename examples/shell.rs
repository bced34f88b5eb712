//! A shell with pipes and jobs. Each command is a process, a pipeline is a process group,
//! and a job in the background is waited for when the shell has nothing else to do.
//!
//! cargo run -p lwproc-examples --example shell

use lwproc::{
    Entered, ExitStatus, Fd, Kernel, Lwp, OnExec, Pid, Rfork, SpawnGroup, ThreadHost, WaitPolicy,
    WaitTarget,
};
use std::error::Error;
use std::io::{PipeReader, PipeWriter, Read as _, Write as _};
use std::sync::Arc;
use std::thread;

/// What a descriptor stands for: an end of a pipe. The last reference closes it.
#[derive(Clone)]
enum File {
    Reader(Arc<PipeReader>),
    Writer(Arc<PipeWriter>),
}

type Host = ThreadHost<File>;
type Program = fn(&Entered<'_, Host>) -> u8;

fn read_all(k: &Entered<'_, Host>, fd: Fd) -> Option<String> {
    let mut text = String::new();
    match &*k.files().get(fd).ok()? {
        File::Reader(pipe) => (&**pipe).read_to_string(&mut text).ok()?,
        File::Writer(_) => return None,
    };
    Some(text)
}

fn write_all(k: &Entered<'_, Host>, fd: Fd, text: &str) -> Option<()> {
    match &*k.files().get(fd).ok()? {
        File::Writer(pipe) => (&**pipe).write_all(text.as_bytes()).ok(),
        File::Reader(_) => None,
    }
}

/// `seq 5`
fn seq(k: &Entered<'_, Host>) -> u8 {
    let all = (1..=5).map(|n| format!("{n}\n")).collect::<String>();
    write_all(k, Fd(1), &all).map_or(1, |()| 0)
}

/// `tac`
fn tac(k: &Entered<'_, Host>) -> u8 {
    let Some(text) = read_all(k, Fd(0)) else { return 1 };
    let reversed = text.lines().rev().flat_map(|line| [line, "\n"]).collect::<String>();
    write_all(k, Fd(1), &reversed).map_or(1, |()| 0)
}

/// `false`
fn fails(_: &Entered<'_, Host>) -> u8 {
    1
}

/// A thread that runs a program as the process that it was made for.
fn run<'s>(s: &'s thread::Scope<'s, '_>, kernel: &'s Kernel<Host>, lwp: Lwp<Host>, main: Program) {
    s.spawn(move || {
        let mut k = kernel.enter().expect("a thread of its own");
        k.switch(lwp).expect("of this kernel");
        let code = main(&k);
        k.exit(ExitStatus::exited(code)).expect("it has an LWP");
    });
}

/// Starts a pipeline as a job: a process for each program, all in one group. What the last
/// one writes comes out of the descriptor.
fn start<'s>(
    s: &'s thread::Scope<'s, '_>,
    kernel: &'s Kernel<Host>,
    k: &Entered<'_, Host>,
    programs: &[(&str, Program)],
) -> Result<(Pid, Fd), Box<dyn Error>> {
    let mut group = None;
    let mut input = None;
    for &(name, main) in programs {
        let (reader, writer) = std::io::pipe()?;
        let output = k.files().open(File::Writer(Arc::new(writer)), OnExec::Close)?;
        let mut child = k.spawn().files(Rfork::Fresh).fd(output, Fd(1)).name(name);
        if let Some(input) = input {
            child = child.fd(input, Fd(0));
        }
        child = child.group(group.map_or(SpawnGroup::New, SpawnGroup::Join));
        let lwp = child.start()?;
        group.get_or_insert(lwp.pid());
        run(s, kernel, lwp, main);
        // The child has them now. An end that stayed here would keep the pipe open.
        k.files().close(output)?;
        input.map_or(Ok(()), |input| k.files().close(input))?;
        input = Some(k.files().open(File::Reader(Arc::new(reader)), OnExec::Close)?);
    }
    Ok((group.ok_or("no program")?, input.ok_or("no program")?))
}

fn main() -> Result<(), Box<dyn Error>> {
    let kernel = Kernel::builder().host(ThreadHost::new()).wait_policy(WaitPolicy::Wait).build()?;
    thread::scope(|s| -> Result<(), Box<dyn Error>> {
        let mut k = kernel.enter()?;
        k.switch(kernel.spawn().name("sh").start()?)?;

        // false &
        let (background, _) = start(s, &kernel, &k, &[("false", fails)])?;

        // seq 5 | tac
        let (job, out) = start(s, &kernel, &k, &[("seq", seq), ("tac", tac)])?;
        let text = read_all(&k, out).ok_or("no output")?;
        print!("{text}");
        assert_eq!(text, "5\n4\n3\n2\n1\n");
        while k.wait(WaitTarget::Pgrp(job)).is_ok() {}

        // wait
        let ended = k.wait(WaitTarget::Pgrp(background))?;
        println!("[{}] exited {:?}", ended.pid, ended.status.exit_code());
        assert_eq!(ended.status.exit_code(), Some(1));
        k.release()?;
        Ok(())
    })?;
    assert_eq!(kernel.counts().procs, 2); // proc0 and init
    Ok(())
}
