//! Random sequences of operations against a plain model (`model/mod.rs`).
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

mod model;

use lwproc::{Rfork, SigModel, WaitPolicy};
use model::{
    CredOp, EmulOp, FdOp, HandleOp, LimitOp, NameOp, Op, ServiceOp, Settings, ThreadOp, WatchOp,
    run,
};
use proptest::prelude::*;
use proptest::test_runner::RngAlgorithm;
use std::num::NonZeroUsize;

fn op() -> impl Strategy<Value = Op> {
    let i = any::<u8>;
    prop_oneof![
        5 => files().prop_map(Op::Rfork),
        2 => files().prop_map(Op::RforkVmspace),
        4 => i().prop_map(Op::Newlwp),
        1 => prop_oneof![Just(-1), Just(i32::MAX), Just(37), any::<i32>().prop_filter("a live number", |n| !(0..100).contains(n))]
            .prop_map(Op::NewlwpNumber),
        2 => Just(Op::Alloclwp),
        2 => i().prop_map(Op::AlloclwpIn),
        5 => i().prop_map(Op::Switch),
        2 => Just(Op::Unbind),
        3 => Just(Op::Release),
        3 => i().prop_map(Op::Exit),
        1 => Just(Op::Hold),
        1 => Just(Op::Rele),
        4 => i().prop_map(Op::DropOwned),
        2 => i().prop_map(Op::Unclaim),
        2 => i().prop_map(Op::Claim),
        3 => Just(Op::Wait),
        1 => i().prop_map(Op::WaitFor),
        1 => i().prop_map(Op::WaitForGroup),
        1 => Just(Op::GiveBack),
        1 => Just(Op::Drain),
        1 => Just(Op::Reopen),
        1 => i().prop_map(Op::Rename),
        2 => Just(Op::LeaveAndEnter),
        1 => i().prop_map(Op::AddUsage),
        6 => bytes().prop_map(|(a, b, c)| Op::Cred(CredOp::from_bytes(a, b, c))),
        4 => bytes().prop_map(|(a, b, c)| Op::Limit(LimitOp::from_bytes(a, b, c))),
        2 => bytes().prop_map(|(a, b, _)| Op::Emul(EmulOp::from_bytes(a, b))),
        2 => bytes().prop_map(|(a, b, c)| Op::Name(NameOp::from_bytes(a, b, c))),
        4 => bytes().prop_map(|(a, b, _)| Op::Watch(WatchOp::from_bytes(a, b))),
        6 => bytes().prop_map(|(a, b, _)| Op::Thread(ThreadOp::from_bytes(a, b))),
        3 => bytes().prop_map(|(a, b, _)| Op::Handle(HandleOp::from_bytes(a, b))),
        12 => fd_op().prop_map(Op::Fd),
        14 => service_op().prop_map(Op::Service),
    ]
}

fn files() -> impl Strategy<Value = Rfork> {
    prop_oneof![Just(Rfork::Share), Just(Rfork::Copy), Just(Rfork::Fresh)]
}

/// What an operation is made of, as in the fuzz target.
fn bytes() -> impl Strategy<Value = (u8, u8, u8)> {
    any::<(u8, u8, u8)>()
}

fn fd_op() -> impl Strategy<Value = FdOp> {
    let i = any::<u8>;
    prop_oneof![
        6 => i().prop_map(FdOp::Open),
        1 => i().prop_map(FdOp::Reserve),
        4 => i().prop_map(FdOp::Close),
        1 => i().prop_map(FdOp::Dup),
        2 => (i(), i()).prop_map(|(a, b)| FdOp::DupFrom(a, b)),
        2 => (i(), i()).prop_map(|(a, b)| FdOp::Dup2(a, b)),
        1 => (i(), i()).prop_map(|(a, b)| FdOp::Dup3(a, b)),
        1 => (i(), i()).prop_map(|(a, b)| FdOp::SetOnExec(a, b)),
        1 => (i(), i()).prop_map(|(a, b)| FdOp::CloseRange(a, b)),
        1 => (i(), i()).prop_map(|(a, b)| FdOp::MarkRange(a, b)),
        1 => Just(FdOp::CloseOnExec),
        1 => i().prop_map(FdOp::Take),
        1 => i().prop_map(FdOp::Install),
        1 => i().prop_map(FdOp::Forget),
        1 => i().prop_map(FdOp::Limit),
    ]
}

fn service_op() -> impl Strategy<Value = ServiceOp> {
    use ServiceOp::*;
    let i = any::<u8>;
    prop_oneof![
        4 => (i(), i()).prop_map(|(a, b)| Setpgid(a, b)),
        2 => Just(Setsid),
        2 => (i(), i()).prop_map(|(a, b)| Kill(a, b)),
        1 => (i(), i()).prop_map(|(a, b)| KillLwp(a, b)),
        1 => (i(), i()).prop_map(|(a, b)| KillGroup(a, b)),
        1 => i().prop_map(KillAll),
        2 => any::<u64>().prop_map(Block),
        3 => Just(Take),
        2 => i().prop_map(Exec),
        1 => i().prop_map(ExitGroup),
        1 => i().prop_map(SetProcData),
        1 => i().prop_map(SetLwpData),
    ]
}

fn for_the_host() -> impl Strategy<Value = SigModel> {
    prop_oneof![Just(SigModel::Raise), Just(SigModel::Panic), Just(SigModel::Ignore)]
}

fn ops(most: usize) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(op(), 0..most)
}

const WAIT: Settings = Settings {
    policy: WaitPolicy::Wait,
    capacity: 1000,
    max_procs: None,
    native_sysents: false,
    signals: SigModel::Record,
    cpus: None,
};
const AUTOREAP: Settings = Settings { policy: WaitPolicy::AutoReap, native_sysents: true, ..WAIT };

/// Drawing what to do must not cost more than doing it.
fn config() -> ProptestConfig {
    let rng_algorithm = RngAlgorithm::XorShift;
    let (cases, failure_persistence) = (256, None);
    ProptestConfig { cases, failure_persistence, rng_algorithm, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn autoreap_matches_the_model(ops in ops(120)) {
        run(AUTOREAP, &ops);
    }

    #[test]
    fn wait_matches_the_model(ops in ops(120)) {
        run(WAIT, &ops);
    }

    #[test]
    fn few_ids_match_the_model(ops in ops(200), capacity in 1usize..12) {
        run(Settings { capacity, ..WAIT }, &ops);
    }

    #[test]
    fn few_processes_match_the_model(ops in ops(120), max_procs in 3u64..9) {
        run(Settings { max_procs: Some(max_procs), ..WAIT }, &ops);
    }

    #[test]
    fn signals_for_the_host_match_the_model(ops in ops(120), signals in for_the_host()) {
        run(Settings { signals, ..WAIT }, &ops);
    }

    #[test]
    fn with_cpus_it_matches_the_model(ops in ops(120), cpus in 1usize..3) {
        run(Settings { cpus: NonZeroUsize::new(cpus), ..AUTOREAP }, &ops);
    }
}
