//! Operation sequences against the sequential model.
#![no_main]

#[path = "../../lwproc/tests/model/mod.rs"]
mod model;

use libfuzzer_sys::fuzz_target;
use lwproc::{Rfork, SigModel, WaitPolicy};
use model::{
    CredOp, EmulOp, FdOp, HandleOp, LimitOp, NameOp, Op, ServiceOp, Settings, ThreadOp, WatchOp,
    run,
};
use std::num::NonZeroUsize;

fn decode_fd(code: u8, a: u8, b: u8) -> FdOp {
    match code % 15 {
        0 => FdOp::Open(a),
        1 => FdOp::Reserve(a),
        2 => FdOp::Close(a),
        3 => FdOp::Dup(a),
        4 => FdOp::DupFrom(a, b),
        5 => FdOp::Dup2(a, b),
        6 => FdOp::Dup3(a, b),
        7 => FdOp::SetOnExec(a, b),
        8 => FdOp::CloseRange(a, b),
        9 => FdOp::MarkRange(a, b),
        10 => FdOp::CloseOnExec,
        11 => FdOp::Take(a),
        12 => FdOp::Install(a),
        13 => FdOp::Forget(a),
        _ => FdOp::Limit(a),
    }
}

fn decode_service(code: u8, a: u8, b: u8) -> ServiceOp {
    match code % 12 {
        0 => ServiceOp::Setpgid(a, b),
        1 => ServiceOp::Setsid,
        2 => ServiceOp::Kill(a, b),
        3 => ServiceOp::KillLwp(a, b),
        4 => ServiceOp::KillGroup(a, b),
        5 => ServiceOp::KillAll(a),
        // Of the 64 signals, those that these bytes name.
        6 => ServiceOp::Block(u64::from(a) << (b % 57)),
        7 => ServiceOp::Take,
        8 => ServiceOp::Exec(a),
        9 => ServiceOp::ExitGroup(a),
        10 => ServiceOp::SetProcData(a),
        _ => ServiceOp::SetLwpData(a),
    }
}

fn decode(code: u8, arg: u8, more: u8) -> Op {
    match code {
        0 | 23 => {
            let files = [Rfork::Share, Rfork::Copy, Rfork::Fresh][usize::from(arg % 3)];
            if code == 0 { Op::Rfork(files) } else { Op::RforkVmspace(files) }
        }
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
        20 => Op::Cred(CredOp::from_bytes(32, arg, 0)),
        21 => Op::AddUsage(arg),
        22 => Op::WaitForGroup(arg),
        24..32 => Op::Cred(CredOp::from_bytes(more, arg, more.rotate_left(4))),
        32..40 => Op::Limit(LimitOp::from_bytes(more, arg, more.rotate_left(4))),
        40..44 => Op::Emul(EmulOp::from_bytes(more, arg)),
        44..48 => Op::Name(NameOp::from_bytes(more, arg, more.rotate_left(4))),
        48..52 => Op::Watch(WatchOp::from_bytes(more, arg)),
        52..60 => Op::Thread(ThreadOp::from_bytes(more, arg)),
        60..62 => Op::Handle(HandleOp::from_bytes(more, arg)),
        64..128 => Op::Service(decode_service(code - 64, arg, more)),
        128.. => Op::Fd(decode_fd(code - 128, arg, more)),
        _ => Op::LeaveAndEnter,
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((setting, ops)) = data.split_first() else { return };
    let policy = if setting % 2 == 0 { WaitPolicy::AutoReap } else { WaitPolicy::Wait };
    let capacity = [1, 3, 10, 1000][usize::from(setting / 2 % 4)];
    let max_procs = (setting / 8 % 2 == 1).then_some(6);
    let native_sysents = setting / 16 % 2 == 1;
    let signals = if setting / 96 % 2 == 1 { SigModel::Raise } else { SigModel::Record };
    let cpus = NonZeroUsize::new(usize::from(setting / 32 % 3));
    let ops: Vec<Op> = ops.chunks_exact(3).take(400).map(|c| decode(c[0], c[1], c[2])).collect();
    run(Settings { policy, capacity, max_procs, native_sysents, signals, cpus }, &ops);
});
