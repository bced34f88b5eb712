//! Every example is named in Cargo.toml, and ends with 0.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What an example may take.
const LONGEST: Duration = Duration::from_secs(60);

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The names of the files.
fn files() -> BTreeSet<String> {
    let files = fs::read_dir(here()).expect("the folder of the examples");
    let paths = files.map(|file| file.expect("a file").path());
    let sources = paths.filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    sources.map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned()).collect()
}

/// What follows `key = ` in the entries of the examples in Cargo.toml.
fn entries(key: &str) -> Vec<String> {
    let manifest = fs::read_to_string(here().join("Cargo.toml")).expect("the manifest");
    let of_examples = manifest.split("\n[[").filter_map(|part| part.strip_prefix("example]]\n"));
    let values = of_examples.flat_map(str::lines).filter_map(|line| {
        let value = line.strip_prefix(key)?.strip_prefix(" = ")?;
        Some(value.trim_matches('"').to_owned())
    });
    values.collect()
}

#[test]
fn each_is_named() {
    let files = files();
    assert!(!files.is_empty());
    let names: BTreeSet<_> = entries("name").into_iter().collect();
    let unnamed: Vec<_> = files.difference(&names).collect();
    assert!(unnamed.is_empty(), "Cargo.toml has no [[example]] for {unnamed:?}");
    let gone: Vec<_> = names.difference(&files).collect();
    assert!(gone.is_empty(), "Cargo.toml names {gone:?}, which are no files");
    let paths: Vec<_> = entries("name").iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(entries("path"), paths);
}

/// Where cargo has put an example. It builds all of them before it runs the tests of their
/// package, but not when it is asked for one test by name: then what is there may be old.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this program");
    let folder = test.parent().and_then(Path::parent).expect("the folder of the build");
    let path = folder.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let changed = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
    let sources = fs::read_to_string(path.with_extension("d")).unwrap_or_default();
    let sources = sources.split_once(": ").map_or("", |(_, sources)| sources).trim_end();
    let sources = sources.replace("\\ ", "\0");
    let newer = sources.split(' ').map(|source| PathBuf::from(source.replace('\0', " ")));
    let newer: Vec<_> = newer.filter(|source| changed(source) > changed(&path)).collect();
    let built = path.is_file() && !sources.is_empty() && newer.is_empty();
    assert!(built, "{name} is not built from {newer:?}: use `cargo test -p lwproc-examples`");
    path
}

/// How an example ended, and what it printed.
fn run(name: &str) -> (ExitStatus, String) {
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.log"));
    let out = fs::File::create(&log).expect("a scratch file");
    let err = out.try_clone().expect("a second handle");
    let mut child = Command::new(program(name))
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .unwrap_or_else(|why| panic!("{name}: {why}"));
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        if begin.elapsed() > LONGEST {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{name} runs for more than {LONGEST:?}");
        }
        sleep(Duration::from_millis(5));
    };
    (status, fs::read_to_string(log).expect("what it printed"))
}

#[test]
fn each_ends_well() {
    for name in files() {
        let (status, printed) = run(&name);
        assert!(status.success(), "{name}: {status}\n{printed}");
        assert!(!printed.trim().is_empty(), "{name} says nothing");
    }
}
