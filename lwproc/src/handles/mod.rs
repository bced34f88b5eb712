//! What a user holds: a guard to look under, borrowed and counted views of
//! processes, groups and LWPs, and the owned right to run an LWP.

pub(crate) mod guard;
pub(crate) mod lwp;
pub(crate) mod owned;
pub(crate) mod pgrp;
pub(crate) mod pidfd;
pub(crate) mod proc;
pub(crate) mod spawn;
