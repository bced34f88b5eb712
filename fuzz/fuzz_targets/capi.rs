//! Any calls of the C functions that do not abort, with any pointers, on two kernels.
#![no_main]

#[path = "../../lwproc-capi/tests/driver/mod.rs"]
mod driver;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    driver::run(data);
});
