//! What changes a world: making and ending, credentials, signals, groups, and the seat
//! from which a thread does it.

pub(crate) mod birth;
pub(crate) mod creds;
pub(crate) mod death;
pub(crate) mod deathsig;
pub(crate) mod drain;
pub(crate) mod emit;
pub(crate) mod exec;
pub(crate) mod forker;
pub(crate) mod hooks;
mod interrupt;
pub(crate) mod jobs;
pub(crate) mod kill;
pub(crate) mod namespace;
pub(crate) mod newlwp;
pub(crate) mod numbering;
mod oncpu;
pub(crate) mod owned;
pub(crate) mod pending;
pub(crate) mod place;
pub(crate) mod places;
pub(crate) mod plan;
pub(crate) mod post;
pub(crate) mod regroup;
pub mod seat;
pub(crate) mod shape;
pub(crate) mod take;
pub(crate) mod terminals;
pub(crate) mod timer;
