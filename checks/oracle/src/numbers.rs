//! The numbers of actors: each has one in its own pid namespace, and in each around that.

use crate::step::Name;

/// What nobody has.
const NOBODY: i32 = 9999;

/// The numbers of one actor.
#[derive(Clone, Debug)]
pub struct Numbers {
    /// The namespaces that it is in, by their inits, but for the sequence's own; the
    /// outermost first.
    spaces: Vec<Name>,
    /// Its number in the sequence's own, and in each of these.
    each: Vec<i32>,
}

impl Numbers {
    /// `each` has one more than `spaces`.
    pub fn new(spaces: Vec<Name>, each: Vec<i32>) -> Self {
        assert_eq!(spaces.len() + 1, each.len(), "a number for each namespace");
        Self { spaces, each }
    }

    /// The number in the sequence's own namespace.
    pub fn outermost(&self) -> i32 {
        self.each[0]
    }

    /// Other numbers in the same namespaces.
    pub fn renumbered(&self, each: Vec<i32>) -> Self {
        Self::new(self.spaces.clone(), each)
    }

    /// The namespaces that a child is in.
    pub fn spaces_of(&self, child: Name, is_init: IsInit) -> Vec<Name> {
        let own = (is_init == IsInit::Yes).then_some(child);
        self.spaces.iter().copied().chain(own).collect()
    }

    /// How many namespaces it is in beside the sequence's own.
    pub fn depth(&self) -> usize {
        self.spaces.len()
    }

    /// Whether it is the init of a namespace, but for the sequence's own.
    pub fn is_init(&self) -> bool {
        self.depth() > 0 && self.each.last() == Some(&1)
    }

    /// The number by which another actor knows this one; what nobody has, if it does not.
    pub fn seen_by(&self, other: &Self) -> i32 {
        let depth = other.depth();
        let is_inside = self.spaces.get(..depth) == Some(&other.spaces);
        if is_inside { self.each[depth] } else { NOBODY }
    }
}

/// Whether a child is the init of a namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IsInit {
    /// Of a new one.
    Yes,
    /// It is in its parent's.
    No,
}
