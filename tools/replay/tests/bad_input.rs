//! Damaged input: a clear error that names the line, or a count. Never a panic.

mod common;

use common::{FORK, load, own_log, own_logs, replayed, shared_logs};
use flate2::{Compression, write::GzEncoder};
use lwproc_replay::parse::{LineError, LineReader, LoadError, RawLine, input::LONGEST_LINE};
use lwproc_replay::plan::{Plan, ProblemKind};
use lwproc_replay::report::{Report, nodes, timeline};
use std::io::{Cursor, Write};
use std::path::Path;

fn read(bytes: &[u8]) -> Result<Plan, LoadError> {
    Plan::read(Cursor::new(bytes.to_vec()))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn plain(path: &Path) -> Vec<u8> {
    let mut reader = LineReader::open(path).expect("a log");
    let mut bytes = Vec::new();
    while let Some(line) = reader.next_line().expect("a line") {
        if let RawLine::Text(_, text) = line {
            bytes.extend_from_slice(text);
        }
    }
    bytes
}

/// Everything the tool does with a log, as far as it gets.
fn everything(bytes: &[u8]) -> Result<(), LoadError> {
    let plan = read(bytes)?;
    let kinds: u32 = plan.census.by_kind().iter().map(|(_, count)| count).sum();
    assert_eq!(kinds, plan.census.lines, "every line is counted once");
    let run = replayed(&plan);
    assert!(run.is_empty(), "the kernel ends empty: {:?}", run.left);
    let report = Report::new("log", &plan, &run);
    for row in &report.calls {
        let answered = row.agreed + row.disagreed + row.unexplained;
        let accounted = answered + row.not_modelled + row.unanswered;
        // A call whose task could not run has no outcome; that is counted as broken.
        assert!(accounted <= row.calls, "{}: {accounted} of {}", row.name, row.calls);
        assert!(
            accounted == row.calls || run.first.broken > 0,
            "{}: {accounted} of {}",
            row.name,
            row.calls
        );
    }
    assert!(!report.to_string().is_empty());
    assert_eq!(nodes(&plan).len(), plan.procs.len());
    assert!(timeline("log", &plan).ends_with("</svg>\n"));
    Ok(())
}

#[test]
fn nothing_to_read() {
    assert!(matches!(read(b""), Err(LoadError::Empty)));
    assert!(matches!(read(b"\n\n  \n"), Err(LoadError::Empty)));
    assert!(matches!(read(&gzip(b"")), Err(LoadError::Empty)));
    assert!(matches!(Plan::open(Path::new("/no/such/log")), Err(LoadError::Open { .. })));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(matches!(Plan::open(folder), Err(LoadError::Open { .. })));
}

#[test]
fn not_a_log() {
    for bytes in [
        &b"\nDear reader,\nthis is no log.\n"[..],
        b"\n\x7fELF\x02\x01\x00\xff\xfe\n",
        &[0; 4096],
        b"\n12345\n",
    ] {
        match read(bytes) {
            Err(error @ LoadError::NotALog { reason: LineError::NotACall, .. }) => {
                assert!(error.to_string().contains("line "), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(read(b"\nDear reader,\n"), Err(LoadError::NotALog { line: 2, .. })));
}

#[test]
fn a_gzip_that_ends_early_names_the_line() {
    let whole = std::fs::read(own_log("shell-jobs")).expect("a log");
    match read(&whole[..whole.len() / 2]) {
        Err(LoadError::Read { line, .. }) => assert!(line > 1, "line {line}"),
        other => panic!("{other:?}"),
    }
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x55;
    assert!(read(&flipped).is_err() || everything(&flipped).is_ok());
    assert!(matches!(read(&[0x1f, 0x8b]), Err(LoadError::Read { line: 1, .. })));
}

#[test]
fn a_line_cut_short_is_counted() {
    let plan = load("10 getpid() = 10\n10 getpid()   \n10 getpid() = 10\n10 wait4(-1, [{WIFEX");
    let lines: Vec<_> =
        plan.census.problems.iter().map(|problem| (problem.line, problem.kind)).collect();
    let cut = ProblemKind::Line(LineError::NoAnswer);
    assert_eq!(lines, [(2, cut), (4, cut)]);
    assert!(plan.census.problems[0].to_string().starts_with("line 2: "));
    let run = replayed(&plan);
    assert!(run.is_good());
    assert_eq!(run.first.total().agreed, 2);
}

#[test]
fn rubbish_within_a_log_is_counted() {
    let mut bytes = b"10 getpid() = 10\n".to_vec();
    bytes
        .extend_from_slice(b"\x00\xff\xfe\x80 \x1b[31m\n10 \xc3\x28(\xff) = 3\n10 getpid() = 10\n");
    let plan = read(&bytes).expect("a log");
    assert_eq!((plan.census.bad, plan.census.whole), (2, 2));
    everything(&bytes).expect("a log");
}

#[test]
fn a_line_too_long_is_counted() {
    let mut bytes = b"10 getpid() = 10\n10 write(1, \"".to_vec();
    bytes.resize(bytes.len() + LONGEST_LINE, b'x');
    bytes.extend_from_slice(b"\", 9) = 9\n10 getpid() = 10\n");
    let plan = read(&bytes).expect("a log");
    assert_eq!(plan.census.problems[0].kind, ProblemKind::Line(LineError::TooLong));
    assert_eq!((plan.census.lines, plan.census.bad, plan.census.whole), (3, 1, 2));
}

#[test]
fn an_unknown_syscall_is_not_modelled() {
    let plan = load(
        "10 frobnicate(1, \"a = b\") = 0\n10 syscall_0x1ff(0) = -1 ENOSYS (Function not implemented)\n",
    );
    let names: Vec<_> =
        plan.census.names.iter().map(|n| (n.name.as_str(), n.calls, n.not_modelled)).collect();
    assert_eq!(names, [("frobnicate", 1, 1), ("syscall_0x1ff", 1, 1)]);
    assert!(replayed(&plan).is_good());
}

#[test]
fn a_call_never_resumed_is_named() {
    let plan = load("10 getpid() = 10\n10 wait4(-1,  <unfinished ...>\n");
    assert_eq!(plan.census.problems[0].to_string(), "line 2: the call is never resumed");
    let unanswered: u32 = plan.census.names.iter().map(|name| name.unanswered).sum();
    assert_eq!(unanswered, 1);
    assert!(replayed(&plan).is_good());
    // Nor is one that its task has visibly left.
    let plan = load(
        "10 wait4(-1,  <unfinished ...>\n10 getpid() = 10\n10 <... wait4 resumed>0, 0, NULL) = 0\n",
    );
    let lines: Vec<_> = plan.census.problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [1, 3]);
}

#[test]
fn a_resume_without_a_start_is_named() {
    let plan = load("10 getpid() = 10\n10 <... getppid resumed>) = 1\n");
    assert_eq!(plan.census.problems[0].kind, ProblemKind::ResumedWithoutStart);
    let plan = load(
        "10 getpid( <unfinished ...>\n10 <... gettid resumed>) = 10\n10 <... getpid resumed>) = 10\n",
    );
    assert_eq!(plan.census.problems[0].line, 2);
    assert_eq!(replayed(&plan).first.total().agreed, 1);
}

#[test]
fn a_clone_whose_child_never_appears_is_named() {
    let plan = load(&format!("10 {FORK} 11\n10 getpid() = 10\n"));
    let problem = plan.census.problems[0];
    assert_eq!((problem.line, problem.kind), (1, ProblemKind::ChildNeverAppears(11)));
    let run = replayed(&plan);
    assert!(run.is_good());
    assert_eq!(run.first.alive_at_end, 2);
}

#[test]
fn a_task_from_nowhere_is_named() {
    let plan = load("10 getpid() = 10\n77 getpid() = 77\n");
    assert_eq!(plan.census.problems[0].kind, ProblemKind::Stray(77));
    assert!(replayed(&plan).is_good());
}

#[test]
fn a_fork_that_never_returns_is_tied_to_its_child() {
    let plan = load(
        "10 getpid() = 10\n10 vfork( <unfinished ...>\n11 getppid() = 10\n10 <... vfork resumed>) = ?\n\
         10 +++ killed by SIGKILL +++\n11 getppid() = 1\n",
    );
    assert_eq!(plan.census.problem_count, 0, "{:?}", plan.census.problems);
    assert!(replayed(&plan).is_good());
}

#[test]
fn an_execve_of_a_stranger_is_named() {
    let plan =
        load("10 getpid() = 10\n10 +++ superseded by execve in pid 99 +++\n10 getpid() = 10\n");
    assert_eq!(plan.census.problems[0].kind, ProblemKind::SupersededByStranger(99));
}

#[test]
fn a_log_without_numbers() {
    let plan = load(
        "getpid() = 7\ngettid() = 7\ngetppid() = 3\nexit_group(0) = ?\n+++ exited with 0 +++\n",
    );
    assert_eq!(plan.tasks[0].number, 7);
    let run = replayed(&plan);
    assert!(run.is_good());
    assert_eq!(run.first.total().agreed, 4);
}

#[test]
fn a_log_from_a_terminal() {
    // Without -o: numbers come and go, and messages break lines.
    let text = "execve(\"/bin/sh\", [\"sh\"], 0x7f /* 1 vars */) = 0\n\
        clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLDstrace: Process 11 attached\n\
        , child_tidptr=0x7f) = 11\n\
        [pid    11] getpid() = 11\n\
        [pid    10] vfork(strace: Process 12 attached\n \
         <unfinished ...>\n\
        [pid    12] getppid() = 10\n\
        [pid    12] exit_group(1) = ?\n\
        [pid    12] +++ exited with 1 +++\n\
        [pid    10] <... vfork resumed>) = 12\n\
        [pid    11] exit_group(0) = ?\n\
        [pid    11] +++ exited with 0 +++\n\
        wait4(11, NULL, 0, NULL) = 11\n\
        wait4(12, [{WIFEXITED(s) && WEXITSTATUS(s) == 1}], 0, NULL) = 12\n\
        getpid() = 10\n";
    let run = common::agrees(text);
    assert_eq!(run.first.alive_at_end, 1);
}

/// Deterministic (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }
}

fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.below(bytes.len());
    match dice.below(7) {
        0 => bytes[at] ^= 1 << dice.below(8),
        1 => bytes[at] = b"0123456789()=,?+-<>\n\xff"[dice.below(21)],
        2 => bytes.truncate(at.max(1)),
        3 => drop(bytes.drain(at..(at + dice.below(40)).min(bytes.len()))),
        kind => {
            // Lines: drop, double, or move one.
            let mut lines: Vec<Vec<u8>> =
                bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
            let (from, to) = (dice.below(lines.len()), dice.below(lines.len()));
            let line = if kind == 5 { lines[from].clone() } else { lines.remove(from) };
            if kind != 4 {
                lines.insert(to.min(lines.len()), line);
            }
            *bytes = lines.concat();
        }
    }
    if bytes.is_empty() {
        bytes.push(b'\n');
    }
}

#[test]
fn damaged_logs_never_panic() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut refused = 0;
    for path in own_logs() {
        let whole = plain(&path);
        for _ in 0..120 {
            let mut bytes = whole.clone();
            for _ in 0..1 + dice.below(6) {
                mutate(&mut bytes, &mut dice);
            }
            refused += u32::from(everything(&bytes).is_err());
        }
        // Packed, then damaged.
        let packed = gzip(&whole);
        for _ in 0..30 {
            let mut bytes = packed.clone();
            mutate(&mut bytes, &mut dice);
            refused += u32::from(everything(&bytes).is_err());
        }
    }
    println!("{refused} damaged logs refused");
}

#[test]
fn every_cut_of_a_log_is_read() {
    let whole = plain(&own_log("threads-exec"));
    // From the end of the first line on.
    for end in (200..whole.len()).step_by(97) {
        everything(&whole[..end]).unwrap_or_else(|error| panic!("cut at {end}: {error}"));
    }
}

#[test]
fn a_larger_log_upside_down() {
    for path in shared_logs().iter().filter(|path| !path.ends_with("apt-install.strace.gz")) {
        let whole = plain(path);
        let mut lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
        lines.reverse();
        everything(&lines.concat()).expect("still lines of a log");
    }
}
