//! The operations: ours, the floor with the reason for each of its parts, and
//! what the peers do instead.

mod entry;
mod files;
mod find;
mod life;

use super::timing::Contender;
use super::worlds::{Sharing, Worlds};

pub use life::family;
use lwproc::{Entered, Kernel, Rfork};

/// One operation on one kind of objects: ours first, the floor second.
pub struct Row<'w> {
    /// What is measured.
    pub op: String,
    /// On whose objects.
    pub sharing: Sharing,
    /// Who does it.
    pub contenders: Vec<Contender<'w>>,
}

type Make = for<'w> fn(&'w Worlds, Sharing) -> Vec<Contender<'w>>;

use Sharing::{Own, Shared};

/// Every operation, and on whose objects it makes a difference.
const OPS: &[(&str, Make, &[Sharing])] = &[
    // First: it passes over every slot that was ever used.
    ("iterate, per process", find::iterate, &[Shared]),
    ("curlwp", entry::curlwp, &[Own]),
    ("curlwp, from the host", entry::curlwp_host, &[Own]),
    ("enter + leave, bound", entry::bound, &[Own, Shared]),
    ("enter + leave, implicit", entry::implicit, &[Own]),
    ("switch", entry::switch, &[Own, Shared]),
    ("claim + unclaim", entry::claim, &[Own, Shared]),
    ("hold + rele", entry::hold, &[Own]),
    ("credential check", entry::cred, &[Own, Shared]),
    ("newlwp + release", life::newlwp, &[Own, Shared]),
    ("newlwp + release, a kernel each", life::newlwp_alone, &[Own]),
    ("newproc + release", life::newproc, &[Shared]),
    ("rfork + release", life::rfork, &[Own, Shared]),
    ("rfork + release, a kernel each", life::rfork_alone, &[Own]),
    ("exit of a parent, per child", life::exit, &[Own]),
    ("find, borrowed", find::borrowed, &[Own, Shared]),
    ("find, guard held", find::held, &[Own, Shared]),
    ("find, counted", find::counted, &[Own, Shared]),
    ("fd look-up", files::look_up, &[Own, Shared]),
    ("fork with 8 fds", files::fork::<8>, &[Own]),
    ("fork with 256 fds", files::fork::<256>, &[Own]),
];

/// The rows of operations whose names have `filter` in them.
pub fn rows<'w>(worlds: &'w Worlds, filter: &str) -> Vec<Row<'w>> {
    let wanted = OPS.iter().filter(|(op, ..)| op.contains(filter));
    wanted
        .flat_map(|(op, make, sharings)| {
            sharings.iter().map(|sharing| Row {
                op: (*op).to_owned(),
                sharing: *sharing,
                contenders: make(worlds, *sharing),
            })
        })
        .collect()
}

/// One contender for each map.
macro_rules! each_map {
    ($all:ident, $worlds:ident, $make:expr) => {
        $all.extend([
            $make(&$worlds.tree),
            $make(&$worlds.hash),
            $make(&$worlds.dash),
            $make(&$worlds.papaya),
            $make(&$worlds.scc),
            $make(&$worlds.slab),
            $make(&$worlds.idr),
        ]);
    };
}
pub(crate) use each_map;

/// The thread enters, in a process of its own.
fn inside(kernel: &Kernel) -> Entered<'_> {
    let mut k = kernel.enter().expect("a new thread");
    k.rfork(Rfork::Fresh).expect("ids");
    k
}

/// The thread enters, as an LWP of a process of its own or of the common one. It
/// is released when the thread ends.
fn entered<'w>(worlds: &'w Worlds, sharing: Sharing) -> Entered<'w> {
    let kernel: &Kernel = &worlds.ours.kernel;
    match sharing {
        Own => inside(kernel),
        Shared => {
            let mut k = kernel.enter().expect("a new thread");
            let lwp = kernel.new_lwp(worlds.ours.common.pid()).expect("ids");
            k.switch(lwp).expect("the same kernel");
            k
        }
    }
}
