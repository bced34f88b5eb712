//! The C library as C programs use it: installed, found by pkg-config, linked statically and
//! dynamically, by every compiler there is, from C and from C++.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;

const WARNINGS: [&str; 3] = ["-Wall", "-Wextra", "-Werror"];

fn dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A directory of this test's own.
fn fresh(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// The library of this build, installed. Cargo leaves it beside the test.
fn installed(name: &str) -> PathBuf {
    let prefix = fresh(name);
    let exe = std::env::current_exe().unwrap();
    let built = exe.parent().unwrap();
    let script = dir().parent().unwrap().join("ci/install-capi.sh");
    succeeds(Command::new(script).arg("--built").arg(built).arg(&prefix));
    prefix
}

fn is_there(tool: &str) -> bool {
    Command::new(tool)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Says once what is not tested. Not by `eprintln!`, which the tests keep to themselves.
fn skipped(what: String) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if SAID.lock().unwrap().insert(what.clone()) {
        std::io::stderr().write_all(format!("NOT TESTED: {what}\n").as_bytes()).unwrap();
    }
}

fn compilers(names: [&'static str; 2]) -> Vec<&'static str> {
    let is_there = |name: &&str| {
        let found = is_there(name);
        if !found {
            skipped(format!("C programs with {name}, which is not here"));
        }
        found
    };
    let found: Vec<_> = names.into_iter().filter(is_there).collect();
    assert!(!found.is_empty(), "none of {names:?} is there");
    found
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|why| panic!("{command:?}: {why}"))
}

fn succeeds(command: &mut Command) -> String {
    let output = output(command);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
    out
}

/// How a program is linked.
#[derive(Clone, Copy, Debug)]
enum Link {
    /// This library statically.
    Archive,
    Shared,
    /// Everything statically.
    Static,
}

/// What pkg-config says to a compiler.
fn pkg_config(prefix: &Path, options: &[&str]) -> Vec<String> {
    let mut ask = Command::new("pkg-config");
    ask.args(options).args(["--cflags", "--libs", "lwproc"]);
    let said = succeeds(ask.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")));
    said.split_whitespace().map(str::to_owned).collect()
}

fn compile(compiler: &str, flags: &[&str], prefix: &Path, source: &str, link: Link) -> PathBuf {
    let source = dir().join(source);
    let stem = source.file_stem().unwrap().to_str().unwrap();
    let program = prefix.join(format!("{stem}-{compiler}-{link:?}-{}", flags.len()));
    let mut command = Command::new(compiler);
    command.args(WARNINGS).args(flags).args(["-g", "-pthread"]).arg(&source).arg("-o");
    // What was said of the source's language ends there.
    command.arg(&program).args(["-x", "none"]).arg("-I").arg(prefix.join("include"));
    match link {
        Link::Archive => {
            command.arg(prefix.join("lib/liblwproc.a"));
        }
        Link::Static => {
            command.arg("-static").args(pkg_config(prefix, &["--static"]));
        }
        Link::Shared if is_there("pkg-config") => {
            command.args(pkg_config(prefix, &[]));
        }
        Link::Shared => {
            command.arg("-L").arg(prefix.join("lib")).arg("-llwproc");
        }
    }
    succeeds(&mut command);
    program
}

/// Finds the shared library where it is installed.
fn run(prefix: &Path, program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.env("LD_LIBRARY_PATH", prefix.join("lib")).env("RUST_BACKTRACE", "0");
    command
}

const PROGRAMS: [&str; 16] = [
    "tests/c/behaviour.c",
    "tests/c/births.c",
    "tests/c/callbacks.c",
    "tests/c/deadlines.c",
    "tests/c/death.c",
    "tests/c/families.c",
    "tests/c/fork.c",
    "tests/c/handles.c",
    "tests/c/queue.c",
    "tests/c/resources.c",
    "tests/c/rules.c",
    "tests/c/services.c",
    "tests/c/sleep.c",
    "tests/c/stress.c",
    "tests/c/terminals.c",
    "tests/c/users.c",
];

#[test]
fn c_programs_run_statically_and_dynamically() {
    let prefix = installed("c");
    for compiler in compilers(["gcc", "clang"]) {
        for link in [Link::Archive, Link::Shared] {
            for source in PROGRAMS {
                let program = compile(compiler, &["-std=gnu11"], &prefix, source, link);
                succeeds(&mut run(&prefix, program));
            }
        }
    }
}

/// Whether a compiler makes a program with these flags.
fn can(compiler: &str, flags: &[&str], place: &Path) -> bool {
    let source = place.join("nothing.c");
    std::fs::write(&source, "int main(void) { return 0; }").unwrap();
    let mut command = Command::new(compiler);
    output(command.args(flags).arg(source).arg("-o").arg(place.join("nothing"))).status.success()
}

#[test]
fn pkg_config_says_what_a_static_link_needs() {
    if !is_there("pkg-config") {
        return skipped("what pkg-config says: it is not here".into());
    }
    let prefix = installed("static");
    for compiler in compilers(["gcc", "clang"]) {
        if !can(compiler, &["-static"], &prefix) {
            skipped(format!("static C programs with {compiler}: there is no static libc"));
            continue;
        }
        for source in PROGRAMS {
            let program = compile(compiler, &["-std=gnu11"], &prefix, source, Link::Static);
            succeeds(&mut run(&prefix, &program));
            let linked = succeeds(Command::new("readelf").arg("-l").arg(program));
            assert!(!linked.contains("INTERP"), "{linked}");
        }
    }
    // Also where the archive is not taken.
    let dynamic = pkg_config(&prefix, &["--static"]);
    let mut command = Command::new(compilers(["gcc", "clang"])[0]);
    command.arg("-pthread").arg(dir().join(PROGRAMS[0])).args(dynamic);
    succeeds(command.arg("-o").arg(prefix.join("dynamic")));
    succeeds(&mut run(&prefix, prefix.join("dynamic")));
}

#[test]
fn the_same_run_from_cxx() {
    let prefix = installed("cxx");
    // All zero is `{ 0 }` in C.
    let flags = ["-std=c++17", "-Wno-missing-field-initializers", "-x", "c++"];
    for compiler in compilers(["g++", "clang++"]) {
        for source in PROGRAMS {
            let program = compile(compiler, &flags, &prefix, source, Link::Archive);
            succeeds(&mut run(&prefix, program));
        }
        let program = compile(compiler, &flags, &prefix, PROGRAMS[0], Link::Shared);
        succeeds(&mut run(&prefix, program));
    }
}

#[test]
fn the_header_compiles_alone() {
    let check = |compiler: &str, flags: [&str; 3]| {
        let mut command = Command::new(compiler);
        command.args(WARNINGS).args(["-pedantic", "-fsyntax-only"]).args(flags);
        succeeds(command.arg(dir().join("include/lwproc.h")));
    };
    for compiler in compilers(["gcc", "clang"]) {
        check(compiler, ["-std=c99", "-x", "c"]);
        check(compiler, ["-std=c17", "-x", "c"]);
    }
    for compiler in compilers(["g++", "clang++"]) {
        check(compiler, ["-std=c++11", "-x", "c++"]);
    }
}

/// What the header declares: names before a parenthesis on lines that are not indented, and
/// the variable.
fn declared() -> BTreeSet<String> {
    let header = std::fs::read_to_string(dir().join("include/lwproc.h")).unwrap();
    let functions = header.lines().filter(|line| {
        line.starts_with(|c: char| c.is_ascii_lowercase()) && !line.starts_with("typedef")
    });
    let name = |line: &str| {
        let before = line.split('(').next()?;
        let name = before.rsplit([' ', '*']).next()?;
        (line.contains('(') && !name.is_empty()).then(|| name.to_owned())
    };
    let mut names: BTreeSet<_> = functions.filter_map(name).collect();
    names.insert("rump_i_know_what_i_am_doing_with_sysents".into());
    names
}

#[test]
fn exactly_what_the_header_declares_is_exported() {
    let prefix = installed("exports");
    let library = prefix.join("lib/liblwproc.so");
    let listed = succeeds(Command::new("nm").args(["-D", "--defined-only"]).arg(&library));
    let exported = listed.lines().filter_map(|line| line.split_whitespace().nth(2));
    let exported: BTreeSet<String> = exported.map(str::to_owned).collect();
    assert_eq!(exported, declared());
    assert!(exported.len() > 90, "{} symbols", exported.len());

    let listed = succeeds(Command::new("readelf").arg("-d").arg(library));
    assert!(listed.contains("[liblwproc.so.0]"), "{listed}");
}

#[test]
fn two_threads_under_the_address_sanitizer() {
    let prefix = installed("asan");
    for compiler in compilers(["gcc", "clang"]) {
        if !can(compiler, &["-fsanitize=address"], &prefix) {
            skipped(format!("the address sanitizer of {compiler}, which is not here"));
            continue;
        }
        // The sanitizer's own allocator hangs in a child of a fork beside other threads.
        let left_out = |source: &&str| ["death", "fork"].iter().any(|name| source.contains(name));
        for source in PROGRAMS.into_iter().filter(|source| !left_out(source)) {
            let flags = ["-std=gnu11", "-fsanitize=address"];
            let program = compile(compiler, &flags, &prefix, source, Link::Archive);
            succeeds(&mut run(&prefix, program));
        }
    }
}

#[test]
fn two_threads_under_valgrind() {
    if !is_there("valgrind") {
        return skipped("C programs under valgrind, which is not here".into());
    }
    let prefix = installed("valgrind");
    let compiler = compilers(["gcc", "clang"])[0];
    let checked = [
        ("births.c", ""),
        ("callbacks.c", ""),
        ("deadlines.c", ""),
        ("families.c", ""),
        ("handles.c", ""),
        ("queue.c", ""),
        ("resources.c", ""),
        ("rules.c", ""),
        ("services.c", "10"),
        ("sleep.c", ""),
        ("stress.c", "5000"),
        ("terminals.c", ""),
        ("users.c", ""),
    ];
    for (source, rounds) in checked {
        let source = &format!("tests/c/{source}");
        let program = compile(compiler, &["-std=gnu11"], &prefix, source, Link::Shared);
        let mut command = run(&prefix, "valgrind");
        command.args(["-q", "--error-exitcode=99", "--leak-check=full"]);
        command.arg("--errors-for-leak-kinds=definite").arg(program).arg(rounds);
        succeeds(&mut command);
    }
}

#[test]
fn clients_of_the_server_die_at_random_and_leave_nothing() {
    let prefix = installed("server");
    let compiler = compilers(["gcc", "clang"])[0];
    let build = |source| compile(compiler, &["-std=c11"], &prefix, source, Link::Shared);
    let (server, clients) = (build("examples/server.c"), build("examples/clients.c"));
    // The path of a socket has to be short.
    let place = std::env::temp_dir().join(format!("lwproc-{}", std::process::id()));
    std::fs::create_dir_all(&place).unwrap();
    for seed in ["1", "2", "3"] {
        let socket = place.join(seed);
        let serving =
            run(&prefix, &server).arg(&socket).arg("40").stdout(Stdio::piped()).spawn().unwrap();
        succeeds(run(&prefix, &clients).arg(&socket).args(["40", seed]));
        let served = serving.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&served.stdout).into_owned();
        assert!(served.status.success(), "{said}");
        assert!(said.contains("left: 0 processes, 0 LWPs, 0 files"), "{said}");
    }
    std::fs::remove_dir_all(&place).unwrap();
}
