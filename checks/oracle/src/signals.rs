//! Signals by name, with Linux's numbers and the library's: the one place that knows both.

use lwproc::{SigSet, Signo};

/// What a signal does that nobody ignores or catches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Ends the process.
    Ends,
    /// Nothing.
    Nothing,
    /// Stops the process.
    Stops,
    /// Lets it go on.
    Continues,
}

/// One signal.
#[derive(Debug)]
pub struct Signal {
    /// Without "SIG".
    pub name: &'static str,
    /// Linux's number.
    pub linux: u8,
    /// The library's.
    pub ours: Signo,
    /// What it does by itself.
    pub effect: Effect,
}

const fn number(linux: i32) -> Signo {
    match Signo::new(linux) {
        Some(signo) => signo,
        None => panic!("a number"),
    }
}

macro_rules! signals {
    ($($name:ident $linux:literal $effect:ident,)+) => {
        /// Those that a sequence may have, by Linux's numbers.
        pub const SIGNALS: &[Signal] = &[
            $(Signal {
                name: stringify!($name),
                linux: $linux,
                ours: number($linux),
                effect: Effect::$effect,
            },)+
        ];
    };
}

signals! {
    HUP 1 Ends,
    INT 2 Ends,
    QUIT 3 Ends,
    KILL 9 Ends,
    USR1 10 Ends,
    USR2 12 Ends,
    PIPE 13 Ends,
    ALRM 14 Ends,
    TERM 15 Ends,
    CHLD 17 Nothing,
    CONT 18 Continues,
    STOP 19 Stops,
    TSTP 20 Stops,
    TTIN 21 Stops,
    TTOU 22 Stops,
    URG 23 Nothing,
    WINCH 28 Nothing,
    RT32 32 Ends,
    RT34 34 Ends,
    RT64 64 Ends,
}

/// The signal with that number on Linux.
pub fn of_linux(number: i64) -> Option<&'static Signal> {
    SIGNALS.iter().find(|signal| i64::from(signal.linux) == number)
}

/// The signal that the library means.
pub fn of_ours(signo: Signo) -> Option<&'static Signal> {
    SIGNALS.iter().find(|signal| signal.ours == signo)
}

/// The library's number for a number given to kill; one that no table has stays.
pub fn to_ours(number: i32) -> i32 {
    of_linux(number.into()).map_or(number, |signal| signal.ours.number().into())
}

/// A set of Linux's as the library has it.
pub fn set_to_ours(linux: u64) -> SigSet {
    let is_in = |signal: &&Signal| linux & bit(signal.linux) != 0;
    SIGNALS.iter().filter(is_in).map(|signal| signal.ours).collect()
}

/// A set of the library's with Linux's numbers.
pub fn set_of_ours(ours: SigSet) -> u64 {
    let all = SIGNALS.iter().filter(|signal| ours.contains(signal.ours));
    all.fold(0, |set, signal| set | bit(signal.linux))
}

/// Those that stop, by Linux's numbers.
pub fn stops() -> u64 {
    let all = SIGNALS.iter().filter(|signal| signal.effect == Effect::Stops);
    all.fold(0, |set, signal| set | bit(signal.linux))
}

/// The bit of a number of Linux's.
pub fn bit(linux: u8) -> u64 {
    1 << (linux - 1)
}

/// A value that came with one, in words.
pub fn value(value: i32) -> String {
    format!("with {value}")
}

/// A set by name.
pub fn show(set: u64) -> String {
    let names: Vec<_> = (1..=64_u8)
        .filter(|&number| set & bit(number) != 0)
        .map(|number| of_linux(number.into()).map_or(number.to_string(), |s| s.name.to_string()))
        .collect();
    format!("{{{}}}", names.join(","))
}
