//! Each layer below the kernel, modelled apart.

mod cpus;
mod filedesc;
mod ids;
mod list;
mod waitq;
mod words;

use crate::runner::Model;

pub fn models() -> Vec<Model> {
    [
        words::models(),
        cpus::models(),
        list::models(),
        ids::models(),
        waitq::models(),
        filedesc::models(),
    ]
    .concat()
}
