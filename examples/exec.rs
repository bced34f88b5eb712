//! Exec: a process with two LWPs becomes another program. The other LWP is told to end and
//! wakes for it; what is marked close-on-exec is closed; the group can no longer be changed
//! by the parent.
//!
//! cargo run -p lwproc-examples --example exec

use lwproc::{Drain, Errno, Kernel, OnExec, ThreadHost, WaitChannel};
use std::error::Error;
use std::thread;

fn main() -> Result<(), Box<dyn Error>> {
    let kernel = Kernel::builder().host(ThreadHost::<&str>::new()).build()?;
    let (nothing, shell) = (WaitChannel::new(), kernel.spawn().name("sh").start()?);
    let helper = kernel.new_lwp(shell.pid())?;

    thread::scope(|s| -> Result<(), Box<dyn Error>> {
        s.spawn(|| {
            let mut k = kernel.enter().expect("a thread of its own");
            k.switch(helper).expect("of this kernel");
            // Sleeps for something that does not come, until it is told to end.
            let slept = k.sleep_on(&nothing, || None::<()>);
            println!("the other LWP: {}", slept.expect_err("nothing comes"));
            assert!(k.must_exit());
            k.release().expect("not held");
        });

        let mut k = kernel.enter()?;
        k.switch(shell)?;
        k.files().open("terminal", OnExec::Keep)?;
        k.files().open("script", OnExec::Close)?;

        assert_eq!(k.drain(), Drain::Begun);
        assert_eq!(kernel.new_lwp(k.pid()).map_err(Errno::from).err(), Some(Errno::EBUSY));
        k.wait_alone()?;
        // ... load the new image here; `k.reopen()` undoes what stands above ...
        k.exec("ls")?;

        println!("process {} is {} now", k.pid(), k.process().comm());
        assert_eq!(k.files().list().len(), 1);
        k.release()?;
        Ok(())
    })
}
