//! Sequences of calls (`driver/mod.rs`), by a generator of its own; the fuzzer finds others.
#![allow(missing_docs)]

mod driver;

use std::collections::BTreeSet;

#[test]
fn any_sequence_of_calls_is_answered_and_leaves_nothing() {
    let mut answers = BTreeSet::new();
    for seed in 1..=400_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let byte = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        let bytes: Vec<u8> = std::iter::repeat_with(byte).take(1200).collect();
        answers.extend(driver::run(&bytes));
    }
    // What was called, and what became of it.
    let succeeded = answers.iter().filter(|(_, errno)| *errno == 0).count();
    assert_eq!(succeeded, 256, "every kind of call succeeds at times");
    let errnos: BTreeSet<_> = answers.iter().map(|(_, errno)| *errno).collect();
    assert!(errnos.len() > 10, "{errnos:?}");
}
