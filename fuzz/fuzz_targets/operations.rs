//! Operation sequences against the sequential model.
#![no_main]

#[path = "../../lwproc/tests/model/mod.rs"]
mod model;

use libfuzzer_sys::fuzz_target;
use lwproc::WaitPolicy;
use model::{Op, run};

fn decode(code: u8, arg: u8) -> Op {
    match code % 22 {
        0 => Op::Rfork,
        1 => Op::Newlwp(arg),
        // Numbers that are never issued within the capacities below.
        2 => Op::NewlwpNumber([-1, i32::MIN, i32::MAX, 1 << 30][usize::from(arg % 4)]),
        3 => Op::Alloclwp,
        4 => Op::AlloclwpIn(arg),
        5 => Op::Switch(arg),
        6 => Op::Unbind,
        7 => Op::Release,
        8 => Op::Exit(arg),
        9 => Op::Hold,
        10 => Op::Rele,
        11 => Op::DropOwned(arg),
        12 => Op::Unclaim(arg),
        13 => Op::Claim(arg),
        14 => Op::Wait,
        15 => Op::WaitFor(arg),
        16 => Op::GiveBack,
        17 => Op::Drain,
        18 => Op::Reopen,
        19 => Op::Rename(arg),
        20 => Op::SetUid(arg),
        _ => Op::LeaveAndEnter,
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((setting, ops)) = data.split_first() else { return };
    let policy = if setting % 2 == 0 { WaitPolicy::AutoReap } else { WaitPolicy::Wait };
    let capacity = [1, 3, 10, 1000][usize::from(setting / 2 % 4)];
    let ops: Vec<Op> = ops.chunks_exact(2).take(400).map(|c| decode(c[0], c[1])).collect();
    run(policy, capacity, &ops);
});
