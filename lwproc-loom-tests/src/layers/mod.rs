//! Each layer below the kernel, modelled apart.

mod ids;
mod list;
mod words;

use crate::runner::Model;

pub fn models() -> Vec<Model> {
    [words::models(), list::models(), ids::models()].concat()
}
