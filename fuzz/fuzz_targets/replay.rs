//! The replay, from arbitrary bytes to the end: an error or a report, never a
//! panic, and an empty kernel.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lwproc_replay::copies::{self, Load};
use lwproc_replay::plan::Plan;

fuzz_target!(|data: &[u8]| {
    let Ok(plan) = Plan::read(std::io::Cursor::new(data.to_vec())) else { return };
    if let Ok(run) = copies::run(&plan, Load::default(), &|_| {}) {
        assert!(run.is_empty(), "something was left in the kernel");
    }
});
