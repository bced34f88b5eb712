//! A kernel, a process in it, and who its parent is.
//!
//! `cargo run -p lwproc-examples --example hello`

use lwproc::{Kernel, Rfork};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let kernel = Kernel::new();
    let mut k = kernel.enter()?; // runs as init
    k.rfork(Rfork::Fresh)?; // a process, and a switch to its first LWP
    println!("process {}, child of {}", k.pid(), k.ppid());
    Ok(())
}
