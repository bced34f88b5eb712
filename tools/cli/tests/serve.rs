//! The verbs `serve` and `ps`, with the shell of lwproc-sysproxy for a client: what that
//! crate's README shows, line by line.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

const README: &str = include_str!("../../sysproxy/README.md");

/// The block of the README that begins with that line, without the line.
fn block(first: &str) -> Vec<&'static str> {
    let mut lines = README.lines().skip_while(|line| *line != first);
    assert_eq!(lines.next(), Some(first), "the README has no such line");
    lines.take_while(|line| *line != "```").collect()
}

/// The shell, which cargo builds with the tests of the workspace.
fn shell() -> Command {
    let test = env::current_exe().expect("this program");
    let folder = test.parent().and_then(Path::parent).expect("the folder of the build");
    let path = folder.join("examples/rump_shell");
    assert!(path.exists(), "first: cargo build -p lwproc-sysproxy --examples");
    Command::new(path)
}

fn lwproc(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lwproc"));
    command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A server, which is killed when a test fails.
struct Served {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    path: PathBuf,
}

impl Served {
    fn start(name: &str) -> Self {
        let name = format!("lwproc-{}-{name}.sock", std::process::id());
        let path = env::temp_dir().join(name);
        let mut child =
            lwproc(&["serve", &format!("unix://{}", path.display())]).spawn().expect("it runs");
        let out = BufReader::new(child.stdout.take().expect("its output"));
        Self { child, out, path }
    }

    fn url(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("its output");
        line.trim_end().to_owned()
    }

    fn signal(&self, name: &str) {
        let kill = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(kill.expect("kill").success());
    }

    /// Ends it by a signal: what it still says, on both outputs.
    fn end(mut self, name: &str) -> (Option<i32>, String, String) {
        self.signal(name);
        let (mut out, mut err) = (String::new(), String::new());
        self.out.read_to_string(&mut out).expect("its output");
        let mut errors = self.child.stderr.take().expect("its errors");
        errors.read_to_string(&mut err).expect("its errors");
        (self.child.wait().expect("it ends").code(), out, err)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("text")
}

#[test]
fn the_readme_is_what_happens() {
    // Whose directory the README is in.
    let shown = "unix:///home/me/lwproc.sock";
    let mut served = Served::start("readme");
    let url = served.url();
    let here = |line: &str| line.replace(shown, &url);

    let said = block("$ cargo run --release -- serve unix://lwproc.sock");
    assert_eq!(said.len(), 3);
    for line in said {
        assert_eq!(served.line(), here(line));
    }

    let first =
        "$ RUMP_SERVER=unix://lwproc.sock cargo run -p lwproc-sysproxy --example rump_shell";
    let session = block(first);
    let mut run = shell()
        .env("RUMP_SERVER", &url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the shell");
    let mut input = run.stdin.take().expect("its input");
    let mut output = BufReader::new(run.stdout.take().expect("its output")).lines();
    let (mut background, mut listed) = (false, false);
    for line in session {
        // Numbers of processes are whichever are free.
        let plain = |line: &str| line.split(']').next_back().map(str::to_owned);
        match line.strip_prefix("> ") {
            Some(command) => writeln!(input, "{command}").expect("it reads"),
            None => {
                let said = output.next().expect("a line").expect("text");
                assert_eq!(plain(&said), plain(line), "{said} for {line}");
            }
        }
        background |= line.ends_with('&');
        if line.starts_with('[') && background && !listed {
            listed = true;
            let shown = block("$ cargo run --release -- ps unix://lwproc.sock");
            let columns = |line: &str| {
                let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
                // But the numbers: who it is, in which state.
                (words[4].clone(), words[5].clone(), words[6..].join(" "))
            };
            let shown: Vec<_> = shown.into_iter().map(columns).collect();
            // Soon, what is in the background sleeps.
            let begin = Instant::now();
            loop {
                let ps = text(&lwproc(&["ps", &url]).output().expect("ps"));
                if ps.lines().map(columns).eq(shown.iter().cloned()) {
                    break;
                }
                assert!(begin.elapsed() < Duration::from_secs(20), "{ps}");
            }
        }
    }
    assert!(listed);
    drop(input);
    assert!(run.wait().expect("it ends").success());

    served.signal("-USR1");
    let path = served.path.clone();
    let (code, out, err) = served.end("-INT");
    assert_eq!((code, out.as_str()), (Some(0), "ended; 0 processes left\n"));
    assert!(err.contains("COMMAND") && err.contains(" init"), "{err}");
    assert!(!path.exists());
}

#[test]
fn a_killed_server_does_not_stop_the_next() {
    let mut first = Served::start("killed");
    first.line();
    let path = first.path.clone();
    let (code, ..) = first.end("-KILL");
    assert_eq!((code, path.exists()), (None, true));
    let mut second = Served::start("killed");
    second.line();
    assert!(lwproc(&["ps", &second.url()]).status().expect("ps").success());
    // Another one, while this one lives.
    let third = lwproc(&["serve", &second.url()]).output().expect("it ends");
    assert_eq!(third.status.code(), Some(2));
    let (code, out, _) = second.end("-TERM");
    assert_eq!((code, out.ends_with("ended; 0 processes left\n")), (Some(0), true));
    let _ = fs::remove_file(path);
}

#[test]
fn addresses_are_refused_with_a_reason() {
    for (args, reason) in [
        (&["serve", "tcp://0.0.0.0:0"][..], "no secret"),
        (&["serve", "somewhere"], "unix://PATH"),
        (&["ps", "unix:///nowhere/at/all"], "No such file"),
    ] {
        let output = lwproc(args).output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.contains(reason)), (Some(2), true), "{said}");
    }
}
