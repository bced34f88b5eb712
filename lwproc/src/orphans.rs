//! Children whose parent has ended.
//!
//! A foster parent that can end is a subreaper. Who hands a child over lists the new edge, and
//! then asks the foster parent's word whether that lives (`outlives_listing`). Who ends a
//! process walks its list, and hands on *every* child that it finds there whose parent,
//! whoever that is, has ended. So either the one finds the foster parent dead, and takes the
//! edge back; or the other finds the edge, and hands the child on before the first one's CAS,
//! which fails, or after it. Nobody waits for anybody, and nobody is left with a parent that
//! has been reaped: the way up from a process whose children are being handed on is whole.
#![allow(unsafe_code)]

use crate::family::{GOING, ZOMBIE, edge_of};
use crate::host::Host;
use crate::object::kin::Kin;
use crate::object::node::{Edge, ProcNode, ProcPtr};
use crate::object::table::{self, Table};
use crate::reclaim::{Managed, Pin, Tagged};
use crate::sync::{Acquire, Relaxed, Release};

/// Who takes the orphans of a kernel in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fosters {
    /// Nobody but init.
    Init,
    /// Also processes that end.
    Subreapers,
}

/// A process that takes a child in.
struct Foster<'g, H: Host> {
    ptr: ProcPtr<H>,
    node: &'g ProcNode<H>,
}

impl<H: Host> Foster<'_, H> {
    /// Whether it outlives whoever is handed to it.
    fn stays(&self) -> bool {
        self.node.is_permanent() || self.node.leads().is_some()
    }
}

/// Where the orphans of a kernel go.
pub(crate) struct Orphanage<'g, H: Host> {
    pub(crate) ids: &'g Table<H>,
    pub(crate) init: ProcPtr<H>,
    pub(crate) fosters: Fosters,
    pub(crate) pin: &'g Pin<'g>,
}

/// A child that has another parent.
pub(crate) struct Adopted<'g, H: Host> {
    pub(crate) node: &'g ProcNode<H>,
    pub(crate) ptr: ProcPtr<H>,
    /// The new edge.
    pub(crate) edge: &'g Edge<H>,
    /// The stage of its end: a zombie that the new parent is to be told of; or GOING, and
    /// who has adopted it has the right to reap it.
    pub(crate) found: Found,
}

/// See [`Adopted`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// Its own end is somebody else's affair.
    AsItWas,
    Zombie,
    ToBeReaped,
}

impl<'g, H: Host> Orphanage<'g, H> {
    fn init(&self) -> Foster<'g, H> {
        // SAFETY: init outlives all processes but proc0.
        Foster { ptr: self.init, node: unsafe { Managed::deref_counted(self.init) } }
    }

    /// The init of the pid namespace of a process, which is there for as long as anybody is in
    /// it; or the kernel's. `None`: the process has left it, as have all.
    fn init_of(&self, of: &ProcNode<H>) -> Option<Foster<'g, H>> {
        let Some(numbers) = of.numbers() else { return Some(self.init()) };
        let (node, ptr) = table::resolve(self.ids, numbers.namespace().init, self.pin)?;
        Some(Foster { ptr, node })
    }

    /// The nearest ancestor that takes orphans in. `None`: one on the way has been reaped,
    /// and what is below it has another parent by now.
    fn nearest(&self, of: &'g ProcNode<H>) -> Option<Foster<'g, H>> {
        if self.fosters == Fosters::Init {
            return self.init_of(of);
        }
        // An ancestor of outside takes none in.
        let namespace = |of: &ProcNode<H>| of.numbers().map(|numbers| numbers.namespace().init);
        let mut at = of;
        loop {
            let (edge, _) = edge_of(at, self.pin)?;
            let parent = edge.parent(self.pin);
            if parent.is_permanent() || namespace(parent) != namespace(of) {
                return self.init_of(of);
            }
            let word = parent.word.load();
            if word.is_subreaper() && !word.is_dead() && !word.is_exiting() {
                return Some(Foster { ptr: edge.parent_ptr(), node: parent });
            }
            at = parent;
        }
    }

    /// Hands every child of an ended process on, as [`Orphanage::hand_on`]. Lock-free; O(own
    /// children).
    pub(crate) fn hand_all_on(
        &self,
        ended: &'g ProcNode<H>,
        leaves_none: impl Fn(&ProcNode<H>) -> bool,
        mut adopted: impl FnMut(Adopted<'g, H>),
    ) {
        for (hint, _) in ended.children.iter(self.pin) {
            if let Some((node, ptr)) = table::resolve(self.ids, hint.child, self.pin) {
                self.hand_on(node, ptr, &leaves_none, &mut adopted);
            }
        }
    }

    /// Hands a child on whose parent has ended, to the nearest that takes orphans in;
    /// `adopted` is called if this thread was the one that did. Lock-free; O(ancestors) where
    /// there are subreapers.
    pub(crate) fn hand_on(
        &self,
        child: &'g ProcNode<H>,
        ptr: ProcPtr<H>,
        leaves_none: impl Fn(&ProcNode<H>) -> bool,
        adopted: impl FnOnce(Adopted<'g, H>),
    ) {
        loop {
            // Acquire [P9], [P13]: the edge, and what came before its stage; pairs with
            // Release in `turn`, `die`.
            let old = child.edge.load(Acquire);
            // SAFETY: loaded with Acquire under the pin.
            let Some(parent) = (unsafe { old.as_ref(self.pin) }).map(|edge| edge.parent(self.pin))
            else {
                return;
            };
            // The init of a namespace keeps its children until it has none.
            if !parent.word.load().is_dead() || parent.leads().is_some() {
                return;
            }
            let foster = match self.nearest(parent) {
                Some(foster) => foster,
                // A child that was born to a parent that was being reaped: its maker keeps
                // that, and will hand the child on; to whom cannot be seen from here.
                None if edge_of(parent, self.pin).is_none() && is_still(child, old) => {
                    self.init_of(parent).unwrap_or_else(|| self.init())
                }
                None => continue,
            };
            if let Some(child) = self.try_hand_on(child, ptr, old, &foster, &leaves_none) {
                return adopted(child);
            }
        }
    }

    /// Hands a child to a foster parent, if that lives, and the child has that edge still.
    fn try_hand_on(
        &self,
        node: &'g ProcNode<H>,
        ptr: ProcPtr<H>,
        old: Tagged<Edge<H>>,
        foster: &Foster<'g, H>,
        leaves_none: impl Fn(&ProcNode<H>) -> bool,
    ) -> Option<Adopted<'g, H>> {
        let new = Edge::new(foster.ptr, node.id, Kin::ORPHAN);
        // Relaxed: see `has_children`.
        foster.node.nchildren.fetch_add(1, Relaxed);
        // SAFETY: a new edge in no list; the list gets the only claim on it.
        unsafe { foster.node.children.push(new) };
        let mut zombies = Zombies::Unlisted;
        if (foster.stays() || foster.node.word.outlives_listing())
            && let Some(found) = turn(node, old, new, foster, leaves_none, &mut zombies)
        {
            // SAFETY: in the list of a foster parent that the pin protects.
            let edge = unsafe { Tagged::new(new).as_ref(self.pin) }.expect("not null");
            return Some(Adopted { node, ptr, edge, found });
        }
        // The new edge is not needed.
        // Relaxed: the fence of `wake_all` comes after it [P12].
        foster.node.nchildren.fetch_sub(1, Relaxed);
        match zombies {
            // SAFETY: pushed above, and never the child's edge.
            Zombies::Unlisted => unsafe { foster.node.forget_child(new, self.pin) },
            // SAFETY: the same; pushed there by `turn`.
            Zombies::Listed => unsafe { foster.node.forget_zombie(new, self.pin) },
        }
        foster.node.waiters.wake_all();
        None
    }
}

/// Whether a process has that edge still, be it in another stage.
fn is_still<H: Host>(node: &ProcNode<H>, edge: Tagged<Edge<H>>) -> bool {
    // Acquire [P9]: who has seen the parent's `leave` sees what came before it.
    node.edge.load(Acquire).ptr() == edge.ptr()
}

/// Whether a new edge is in the list of zombies, too.
enum Zombies {
    Unlisted,
    Listed,
}

/// Turns a child from the old edge to the new one; `None` when it has another by now.
fn turn<H: Host>(
    child: &ProcNode<H>,
    mut old: Tagged<Edge<H>>,
    new: *mut Managed<Edge<H>>,
    foster: &Foster<'_, H>,
    leaves_none: impl Fn(&ProcNode<H>) -> bool,
    zombies: &mut Zombies,
) -> Option<Found> {
    loop {
        let (tag, found) = match old.tag() {
            ZOMBIE if foster.node.reaps_by_itself() || leaves_none(foster.node) => {
                (GOING, Found::ToBeReaped)
            }
            ZOMBIE => (ZOMBIE, Found::Zombie),
            tag => (tag, Found::AsItWas),
        };
        // First, as in `die`.
        if tag != 0 && !foster.node.reaps_by_itself() && matches!(zombies, Zombies::Unlisted) {
            // Relaxed: a hint.
            foster.node.nzombies.fetch_add(1, Relaxed);
            // SAFETY: in no such list yet; `children` keeps it.
            unsafe { foster.node.zombies.push(new) };
            *zombies = Zombies::Listed;
        }
        // Release [P9]: publishes the new edge; pairs with Acquire in `edge_of`, `leave`,
        // `die`, `children`. Acquire [P13] on failure: what came before the stage, for who is
        // told of it.
        let adopted = Tagged::new(new).with_tag(tag);
        match child.edge.compare_exchange(old, adopted, Release, Acquire) {
            Ok(_) => return Some(found),
            // It died meanwhile: same edge, another stage.
            Err(now) if now.ptr() == old.ptr() => old = now,
            // It left, or somebody else has handed it on.
            Err(_) => return None,
        }
    }
}
