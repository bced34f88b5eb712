//! Descriptors: the lowest number wins, tables are shared or copied, a reference outlives a
//! close, and an open that takes its time reserves its number first.
//!
//! cargo run -p lwproc-examples --example descriptors

use lwproc::{Errno, Fd, Kernel, OnExec, Rfork, ThreadHost};
use std::error::Error;

/// A file that says when it is closed.
struct Named(&'static str);

impl Drop for Named {
    fn drop(&mut self) {
        println!("closed: {}", self.0);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let kernel = Kernel::builder().host(ThreadHost::<Named>::new()).build()?;
    let mut k = kernel.enter()?;
    k.switch(kernel.spawn().start()?)?;

    let input = k.files().open(Named("input"), OnExec::Keep)?;
    let output = k.files().open(Named("output"), OnExec::Keep)?;
    assert_eq!((input, output), (Fd(0), Fd(1)));

    // A second number for one file; the first is free again, and the lowest is given out.
    k.files().dup2(input, Fd(7))?;
    k.files().close(input)?;
    let slow = k.files().reserve(OnExec::Close)?;
    assert_eq!(slow.fd(), input);
    assert_eq!(k.files().get(input).map(drop).map_err(Errno::from), Err(Errno::EBADF));
    slow.fill(Named("slow"));

    // A reference keeps the file open.
    let file = k.files().get(Fd(7))?;
    k.files().close(Fd(7))?;
    println!("still there: {}", file.0);
    drop(file);

    // A child with descriptor 1 of its own: a close here is none there.
    let child = k.spawn().files(Rfork::Fresh).fd(output, Fd(1)).start()?;
    let handle = child.proc_handle();
    k.files().close(output)?;
    let taken = handle.take_file(Fd(1))?; // as pidfd_getfd does
    println!("the child has: {}", taken.0);
    drop((child, taken));
    k.release()?;
    Ok(())
}
