//! Every error leaves things as they were.
//!
//! There is a test for each public error enum. It forces each variant, several times,
//! and compares all that the kernel, the context and the host can say about themselves
//! before and after. That every enum has its test, and every variant was forced, is
//! checked against the library's source.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

#[path = "../common/becoming.rs"]
mod becoming;
mod bench;
mod births;
mod contexts;
mod files;
mod groups;
#[path = "../common/heap.rs"]
mod heap;
mod replaced;
mod resources;
mod signals;
mod sleeping;
mod source;
mod spawns;
mod terminals;
mod waiting;

mod panics;
mod reclaim;

use bench::{Forced, Refusal};
use lwproc::*;

/// Those that give an LWP of our host back.
type EnterAsError = lwproc::EnterAsError<bench::Counting>;
type SwitchError = lwproc::SwitchError<bench::Counting>;
type UnclaimError = lwproc::UnclaimError<bench::Counting>;

/// A test for each error enum, and the list of them.
macro_rules! tests {
    ($($(#[$attribute:meta])* $error:ident by $module:ident :: $test:ident;)*) => {
        $(
            $(#[$attribute])*
            impl Refusal for $error {
                fn errno(&self) -> Errno {
                    $error::errno(self)
                }
            }

            $(#[$attribute])*
            #[test]
            fn $test() {
                let mut forced = Forced::default();
                bench::frees_all(|| $module::$test(&mut forced));
                forced.assert_all_of(stringify!($error));
            }
        )*

        /// The enums that have a test, whatever features there are.
        const TESTED: &[&str] = &[$(stringify!($error)),*];
    };
}

tests! {
    BuildError by births::build;
    NumberingError by births::numbering;
    NewLwpError by births::newlwp;
    SpawnError by spawns::spawn;
    ForkError by births::fork;
    EnterError by contexts::enter;
    EndError by contexts::end;
    ClaimError by contexts::claim;
    UnbindError by contexts::unbind;
    ReleaseError by contexts::release;
    HoldError by contexts::hold;
    ReleError by contexts::rele;
    EnterAsError by contexts::enter_as;
    SwitchError by contexts::switch;
    UnclaimError by contexts::unclaim;
    BigLockError by contexts::biglock;
    CredError by resources::cred;
    LimitError by resources::limit;
    SpecificError by resources::specific;
    FdError by files::fd;
    UnshareError by files::unshare;
    GroupError by groups::group;
    TerminalError by terminals::terminal;
    KillError by signals::kill;
    QueueError by signals::queue;
    MaskError by signals::mask;
    DispositionError by signals::disposition;
    DeathSignalError by signals::death_signal;
    Interrupted by sleeping::sleep;
    AloneError by sleeping::alone;
    ExecError by sleeping::exec;
    HookError by replaced::hook;
    EmulError by replaced::emul;
    WaitError by waiting::wait;
    ExitedError by waiting::exited;
    CurrentError by waiting::current;
}

#[test]
fn every_error_enum_has_a_test() {
    let mut tested = TESTED.to_vec();
    tested.sort_unstable();
    let all: Vec<String> = source::enums().into_keys().collect();
    assert_eq!(all, tested);
}
