//! Every guest ends as its program says, and nothing is left.

use std::process::{Command, Stdio};

const EXPECTED: &str = "  125 panic: killed by 6
  125 pipe: exited 13
  125 sleep: killed by 15
  125 spin: killed by 15
  125 sum: exited 7
  125 threads: exited 3
  125 trap: killed by 4
  125 wait: killed by 15
Counts { procs: 2, lwps: 2, zombies: 0, ids: 2 }
";

#[test]
fn a_thousand_guests_live_and_end() {
    let host = Command::new(env!("CARGO_BIN_EXE_lwproc-wasm-host"))
        .stdin(Stdio::null())
        .output()
        .expect("the host of this package");
    let (out, err) = (String::from_utf8_lossy(&host.stdout), String::from_utf8_lossy(&host.stderr));
    assert!(host.status.success(), "{}\n{out}\n{err}", host.status);
    let ps = out.strip_suffix(EXPECTED).unwrap_or_else(|| panic!("{out}"));
    assert!(ps.contains("supervisor"), "{ps}");
}
