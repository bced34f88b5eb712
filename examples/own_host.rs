//! A host of one's own: the types that the kernel keeps for an embedder, and the calls by
//! which it tells the embedder what happens.
//!
//! cargo run -p lwproc-examples --example own_host

use lwproc::{Host, Kernel, KillTarget, LwpToken, Pid, SigModel, Signo};
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where a process is in the file system. A child begins where its parent is.
#[derive(Clone, Default)]
struct Place(String);

#[derive(Default)]
struct Mine {
    lwps: AtomicUsize,
    signals: AtomicUsize,
}

impl Host for Mine {
    type File = ();
    type VmSpace = ();
    type Emul = ();
    type Vfs = Place;
    type SigValue = ();

    fn create(&self, _: LwpToken) {
        self.lwps.fetch_add(1, Ordering::Relaxed);
    }

    fn destroy(&self, _: LwpToken) {
        self.lwps.fetch_sub(1, Ordering::Relaxed);
    }

    fn vfs_init(&self, parent: &Place) -> Place {
        Place(format!("{}/below", parent.0))
    }

    fn raise(&self, pid: Pid, signo: Signo) {
        println!("{signo} for process {pid}");
        self.signals.fetch_add(1, Ordering::Relaxed);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let kernel = Kernel::builder().host(Mine::default()).signal_model(SigModel::Raise).build()?;
    let mut k = kernel.enter()?;
    k.switch(kernel.spawn().start()?)?;
    println!("process {} is at {}", k.pid(), k.process().vfs().0);
    assert_eq!(k.process().vfs().0, "/below");
    assert_eq!(kernel.host().lwps.load(Ordering::Relaxed), 3); // those of proc0 and init

    k.signals().kill(KillTarget::Proc(k.pid()), Signo::HUP.number().into())?;
    assert_eq!(kernel.host().signals.load(Ordering::Relaxed), 1);

    k.release()?;
    drop(k);
    assert_eq!(kernel.host().lwps.load(Ordering::Relaxed), 2);
    Ok(())
}
