//! Two kernels on one thread: worlds that know nothing of each other.
//!
//! cargo run -p lwproc-examples --example two_kernels

use lwproc::{Errno, Kernel};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let (one, other) = (Kernel::new(), Kernel::new());
    let (mut a, mut b) = (one.enter()?, other.enter()?);
    a.switch(one.spawn().name("a").start()?)?;
    b.switch(other.spawn().name("b").start()?)?;

    // The same number, and another process.
    assert_eq!(a.pid(), b.pid());
    println!("process {}: {} and {}", a.pid(), a.process().comm(), b.process().comm());
    print!("{one}{other}");

    // An LWP runs in its own kernel, and comes back from the other's refusal.
    let refused = a.switch(other.spawn().start()?).expect_err("of another kernel");
    assert_eq!(refused.errno(), Errno::EXDEV);
    b.switch(refused.into_lwp())?;

    // One ends; the other lives on.
    a.release()?;
    drop(a);
    println!("{:?}", one.shutdown());
    assert_eq!(other.counts().procs, 3); // proc0, init, and the one that b runs as
    Ok(())
}
