//! The objects of a kernel and their words: what is shared, and looked at by readers that
//! hold nothing. The rules by which they change stand above.

pub(crate) mod comm;
pub(crate) mod doomed;
pub(crate) mod group;
pub(crate) mod home;
pub(crate) mod job_word;
pub(crate) mod kills;
pub(crate) mod kin;
mod looks;
pub mod lwp_word;
pub(crate) mod namespace;
pub(crate) mod node;
mod numbered;
pub mod proc_word;
pub(crate) mod resources;
pub(crate) mod status;
pub(crate) mod table;
pub(crate) mod terminal;
pub(crate) mod trace;
