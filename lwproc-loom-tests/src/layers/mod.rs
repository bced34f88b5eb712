//! Each layer below the kernel, modelled apart.

mod biglock;
mod cpus;
mod cyclic;
mod filedesc;
mod ids;
pub(crate) mod list;
mod mailbox;
mod queue;
mod uids;
mod waitq;
mod words;

use crate::runner::Model;
pub(crate) use words::born;

pub fn models() -> Vec<Model> {
    [
        words::models(),
        biglock::models(),
        cpus::models(),
        list::models(),
        mailbox::models(),
        queue::models(),
        uids::models(),
        ids::models(),
        cyclic::models(),
        waitq::models(),
        filedesc::models(),
    ]
    .concat()
}
