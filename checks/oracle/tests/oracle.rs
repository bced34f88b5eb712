//! Checked-in sequences and random ones, on real processes and on the library.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use lwproc_oracle::compare::{self, Run, Sides, Source};
use lwproc_oracle::known::KNOWN;
use lwproc_oracle::linux::{Linux, Rights};
use lwproc_oracle::random::Random;
use lwproc_oracle::{shrink, step};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The system, unless it forbids what is needed. One test at a time has it: the actors of
/// another would be in the way of their coming to rest.
fn linux() -> Option<(MutexGuard<'static, ()>, Linux)> {
    static ONE: Mutex<()> = Mutex::new(());
    let guard = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    match Linux::new(Rights::here()) {
        Ok(linux) => {
            if linux.rights() == Rights::OneUser {
                eprintln!("SKIPPED in part: not the superuser, so ids do not change");
            }
            Some((guard, linux))
        }
        Err(why) => {
            eprintln!("SKIPPED, NOTHING WAS COMPARED: {why}");
            None
        }
    }
}

fn run(linux: &mut Linux, source: Source<'_>) -> Run {
    compare::run(linux, source, Sides::Both).expect("the system does what it should")
}

#[test]
fn random_sequences_agree() {
    let Some((_one, mut linux)) = linux() else { return };
    // The same each time: a difference that nobody has seen yet is the command's to find.
    let seed = 11;
    println!("seed {seed}");
    let (mut seeds, mut operations) = (Random::new(seed), 0);
    while operations < 2_000 {
        let found = run(&mut linux, Source::Random(&mut Random::new(seeds.next_u64()), 50));
        operations += found.steps.len();
        if found.mismatch.is_some() {
            let shortest = shrink::shrink(&mut linux, found).unwrap();
            panic!("the sides differ:\n{}", compare::report(&shortest));
        }
    }
}

/// In what is checked in nothing differs, and what was recorded can be done.
#[test]
fn checked_in_sequences_agree() {
    let Some((_one, mut linux)) = linux() else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sequences");
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let steps = step::read(&fs::read_to_string(&file).unwrap()).unwrap();
        if linux.rights() == Rights::OneUser && steps.iter().any(|s| s.verb.name.contains("id")) {
            eprintln!("SKIPPED: {}: ids", file.display());
            continue;
        }
        let found = run(&mut linux, Source::Steps(&steps));
        let report = compare::report(&found);
        assert!(found.mismatch.is_none(), "{}:\n{report}", file.display());
        assert_eq!(found.steps, steps, "{}: steps were left out:\n{report}", file.display());
    }
}

/// The same steps have the same outcomes, again and again; and the same states, on Linux
/// alone, where there is more.
#[test]
fn sequences_repeat() {
    let Some((_one, mut linux)) = linux() else { return };
    for (seed, sides) in (0..8).zip([Sides::Both, Sides::LinuxAlone].into_iter().cycle()) {
        let mut random = Random::new(seed);
        let first = compare::run(&mut linux, Source::Random(&mut random, 50), sides).unwrap();
        for _ in 0..2 {
            let again = compare::run(&mut linux, Source::Steps(&first.steps), sides).unwrap();
            assert_eq!((&again.steps, &again.transcript), (&first.steps, &first.transcript));
        }
    }
}

/// Whatever is invented is read again as it was written.
#[test]
fn steps_are_text() {
    let Some((_one, mut linux)) = linux() else { return };
    let found = run(&mut linux, Source::Random(&mut Random::new(7), 60));
    let text: String = found.steps.iter().map(|step| format!("{step}\n")).collect();
    assert_eq!(step::read(&text).unwrap(), found.steps);
    for bad in ["p1", "p1 dance", "p1 kill p2", "x fork p2", "p1 kill p2 SIGTERM", "p1 fork {X}"] {
        assert!(step::read(bad).is_err(), "{bad}");
    }
}

/// The guide has what the library does otherwise on purpose, by the names of here.
#[test]
fn known_differences_are_in_the_guide() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lwproc/src/guide/systems.md");
    let guide = fs::read_to_string(guide).unwrap();
    let said: BTreeSet<&str> = guide.split("**").skip(1).step_by(2).collect();
    let known: BTreeSet<&str> = KNOWN.iter().map(|known| known.name).collect();
    assert_eq!(said, known);
}
