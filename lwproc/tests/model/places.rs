//! The part of the model that is about a process's place in the file system, and its
//! address space.

use super::Driver;
use std::collections::BTreeSet;

/// What the embedder's own types say about a process.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PlaceModel {
    /// Its place; 0 for proc0 and init, which were given none.
    pub own: u32,
    /// The place of the process that forked it.
    pub from: u32,
    /// The address space it was forked with.
    pub space: Option<u32>,
}

impl Driver<'_> {
    pub fn check_places(&mut self) {
        let gone = std::mem::take(&mut self.model.released);
        assert_eq!(self.kernel.host().take_released(), gone, "at each end, once");
        let (model, k, host) = (&self.model, self.k.as_ref().unwrap(), self.kernel.host());
        let known = &model.procs[&model.curproc()].place;
        assert_eq!((k.process().vfs().name(), k.process().vfs().from), (known.own, known.from));
        assert_eq!(k.process().vmspace().map(|space| space.name), known.space);
        let living = || model.procs.values().filter(|p| !p.zombie);
        let own: BTreeSet<u32> = living().map(|p| p.place.own).filter(|own| *own > 0).collect();
        assert_eq!(own.len() + 2, living().count(), "no two have one place");
        assert_eq!(
            host.places.names(),
            own,
            "made by each fork that succeeds, given back at the end"
        );
        let spaces: BTreeSet<u32> = living().filter_map(|p| p.place.space).collect();
        assert_eq!(host.spaces.names(), spaces, "dropped at the end of the process");
    }
}
