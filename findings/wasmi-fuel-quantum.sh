#!/usr/bin/env bash
# wasmi 2.0.0: a resumable call that is out of fuel is not resumed in the middle of an
# instruction. One instruction over many bytes (`memory.fill`, `memory.copy`, `table.fill`, ..)
# must be paid at once.
#
# The good guess that is wrong: a host that gives each guest the same quantum whenever its fuel
# is used up gives each of them progress, as a scheduler's time slice does. A guest whose next
# instruction costs more than the quantum is resumed for ever, and never gets on; it is not
# told apart from one that computes for long. `ResumableCallOutOfFuel::required_fuel` says what
# the next step needs.
#
# Why it matters here: the WASM host among lwproc's examples slices guests by fuel; it gives
# the larger of its quantum and what is required.
# Not reported: the accessor is there for this.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
mkdir src
cat >Cargo.toml <<'END'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"
[dependencies]
wasmi = "=2.0.0"
END
cat >src/main.rs <<'END'
use wasmi::{Config, Engine, Linker, Module, ResumableCall, Store};

const GUEST: &str = r#"(module (memory 1)
    (func (export "f") (memory.fill (i32.const 0) (i32.const 7) (i32.const 65536))))"#;

/// How often it was resumed to its end; `None`: given up after a thousand times.
fn resumed(quantum: u64, at_least_required: bool) -> Option<u32> {
    let engine = Engine::new(Config::default().consume_fuel(true));
    let module = Module::new(&engine, GUEST).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate_and_start(&mut store, &module).unwrap();
    let f = instance.get_func(&store, "f").unwrap();
    store.set_fuel(quantum).unwrap();
    let mut call = f.call_resumable(&mut store, &[], &mut []).unwrap();
    for resumes in 0..1000 {
        let guest = match call {
            ResumableCall::OutOfFuel(guest) => guest,
            _ => return Some(resumes),
        };
        let required = if at_least_required { guest.required_fuel() } else { 0 };
        store.set_fuel(quantum.max(required)).unwrap();
        call = guest.resume(&mut store, &mut []).unwrap();
    }
    None
}

fn main() {
    println!("slices of 1,000: {:?}", resumed(1000, false));
    println!("of 2,000: {:?}", resumed(2000, false));
    println!("of 1,000, or what is required: {:?}", resumed(1000, true));
}
END
cargo build --quiet --release
rustc --version
grep -A1 -E '^name = "(wasmi)"' Cargo.lock | tr -d '\n'; echo
out=$(target/release/finding)
printf '%s\n' "$out"
expected='slices of 1,000: None
of 2,000: Some(0)
of 1,000, or what is required: Some(1)'
[ "$out" = "$expected" ] || { echo "FAILED: expected $expected"; exit 1; }
echo "OK: with a fixed slice the guest is resumed for ever, with what it requires once"
