//! Signals: who may send one, who blocks it, how a sleeper is interrupted, and what a guest
//! does about it.
//!
//! cargo run -p lwproc-examples --example signals

use lwproc::{
    CredChange, Errno, Interrupted, Kernel, KillTarget, SigModel, SigSet, Signo, WaitChannel,
};
use std::error::Error;
use std::thread;

fn main() -> Result<(), Box<dyn Error>> {
    let kernel = Kernel::builder().signal_model(SigModel::Record).build()?;
    let guest = kernel.spawn().name("guest").change_cred(&CredChange::SetUid(1000)).start()?;
    let (pid, nothing) = (guest.pid(), WaitChannel::new());

    thread::scope(|s| -> Result<(), Box<dyn Error>> {
        s.spawn(|| {
            let mut k = kernel.enter().expect("a thread of its own");
            k.switch(guest).expect("of this kernel");
            k.signals().set_blocked(SigSet::from(Signo::USR1)).expect("it has an LWP");
            // USR1 is blocked and does not wake it; TERM does.
            let slept = k.sleep_on(&nothing, || None::<()>);
            assert_eq!(slept, Err(Interrupted::Signal));
            assert_eq!(k.signals().take(), Some(Signo::TERM));
            assert_eq!(k.signals().take(), None);
            assert!(k.signals().pending().contains(Signo::USR1));
            println!("{} came, {} is pending", Signo::TERM, Signo::USR1);
            k.release().expect("not held");
        });

        let mut k = kernel.enter()?;
        let stranger = kernel.spawn().change_cred(&CredChange::SetUid(2000)).start()?;
        let root = kernel.spawn().start()?;
        k.switch(stranger)?;
        let refused = k.signals().kill(KillTarget::Proc(pid), 15).map_err(Errno::from);
        assert_eq!(refused, Err(Errno::EPERM));
        println!("a stranger may not signal process {pid}");

        k.switch(root)?;
        k.signals().kill(KillTarget::Proc(pid), Signo::USR1.number().into())?;
        k.signals().kill(KillTarget::Proc(pid), Signo::TERM.number().into())?;
        k.release()?;
        Ok(())
    })
}
