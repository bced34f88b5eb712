//! What a user holds: a guard to look under, and borrowed and counted views of
//! processes, groups and LWPs. (The owned right to run an LWP is in `ops`, which yields
//! it.)

pub(crate) mod ending;
pub(crate) mod guard;
mod look;
pub(crate) mod lwp;
pub(crate) mod namespace;
pub(crate) mod pgrp;
pub(crate) mod proc;
pub(crate) mod refused;
pub(crate) mod reservation;
pub(crate) mod spawn;
