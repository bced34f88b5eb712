//! Pid namespaces: numbers beside those of the kernel.
//!
//! The kernel's own numbers are the outermost namespace, and its id table the only table of
//! objects. A namespace gives a further number to each id that is in it: to those of its
//! processes and their LWPs, and of the namespaces inside. It knows which id has a number,
//! and nothing more: who asks for a number finds the id here, and the object in the table, or
//! none. So an object is found by its number here exactly when it is found in the table.
//!
//! An id has its numbers from before it is published until its last bearer has gone, be that
//! the process, its group or its session. Each bearer knows them: they are immutable. What
//! is in no namespace has none, at the price of a null pointer.
//!
//! A namespace has a life, by one word: how many processes are in it, whether it takes more,
//! and whether its init has ended and waits for the others ([`Life`]).

use crate::id::{Alias, Identity};
use crate::idtable::cyclic::Cyclic;
use crate::idtable::segments::Segments;
use crate::once_box::OnceBox;
use crate::sync::{AcqRel, Arc, AtomicU64, Relaxed};
use std::iter;

/// How deep they nest, as on Linux (`MAX_PID_NS_LEVEL`).
const DEEPEST: u32 = 32;

/// A namespace inside of the kernel's own. See the module.
pub(crate) struct Namespace {
    /// `None`: the kernel's own.
    outer: Option<Arc<Namespace>>,
    level: u32,
    /// The process that has number 1.
    pub(crate) init: Identity,
    pub(crate) life: Life,
    pub(crate) free: Cyclic,
    /// The id that has each number; 0: none.
    ids: Segments<AtomicU64>,
}

/// The namespace would be too deep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TooDeep;

impl Namespace {
    pub(crate) fn new(
        outer: Option<Arc<Namespace>>,
        max: u32,
        init: Identity,
    ) -> Result<Arc<Self>, TooDeep> {
        let level = outer.as_ref().map_or(0, |outer| outer.level) + 1;
        if level > DEEPEST {
            return Err(TooDeep);
        }
        let (life, free, ids) = (Life::new(), Cyclic::new(max), Segments::new());
        Ok(Arc::new(Self { outer, level, init, life, free, ids }))
    }

    /// 1 for one in the kernel's own.
    pub(crate) fn level(&self) -> u32 {
        self.level
    }

    pub(crate) fn outer(&self) -> Option<&Arc<Namespace>> {
        self.outer.as_ref()
    }

    /// This and those around it, but for the kernel's own.
    pub(crate) fn outward(&self) -> impl Iterator<Item = &Namespace> {
        iter::successors(Some(self), |inner| inner.outer.as_deref())
    }

    /// The id that has that number. Wait-free.
    pub(crate) fn id_of(&self, number: i32) -> Option<Identity> {
        let cell = self.ids.get(u32::try_from(number).ok()?)?;
        // Relaxed: what the id's object is, its slot in the table publishes.
        Some(Identity(cell.load(Relaxed))).filter(|id| id.0 != 0)
    }

    /// The ids that have a number, by these. Weakly consistent.
    pub(crate) fn ids(&self) -> impl Iterator<Item = Identity> {
        // Relaxed: as in `id_of`.
        let all = self.ids.iter(usize::MAX).map(|cell| Identity(cell.load(Relaxed)));
        all.filter(|id| id.0 != 0)
    }
}

/// The numbers of an id: one in the namespace that it is of, and in each one around that.
pub(crate) struct Numbers {
    namespace: Arc<Namespace>,
    /// The outermost first.
    each: Box<[u32]>,
}

impl Numbers {
    /// Takes a number in each; `None` where one of them has none left.
    pub(crate) fn take(namespace: &Arc<Namespace>) -> Option<Arc<Self>> {
        let mut taken = Vec::with_capacity(namespace.level as usize);
        for at in namespace.outward() {
            let Some(number) = at.free.reserve() else {
                namespace.outward().zip(taken).for_each(|(at, number)| at.free.release(number));
                return None;
            };
            taken.push(number);
        }
        taken.reverse();
        Some(Arc::new(Self { namespace: namespace.clone(), each: taken.into() }))
    }

    /// The innermost namespace that has one.
    pub(crate) fn namespace(&self) -> &Arc<Namespace> {
        &self.namespace
    }

    fn all(&self) -> impl Iterator<Item = (&Namespace, u32)> {
        self.namespace.outward().zip(self.each.iter().rev().copied())
    }

    /// The number in that namespace, if it is in it.
    pub(crate) fn within(&self, namespace: &Namespace) -> Option<i32> {
        let inside = self.namespace.level.checked_sub(namespace.level)?;
        let at = self.namespace.outward().nth(inside as usize)?;
        // Below 2^31, as all that `Cyclic` gives.
        std::ptr::eq(at, namespace).then(|| self.each[namespace.level as usize - 1] as i32)
    }

    /// The id has them from now on. Before it is published.
    pub(crate) fn assign(&self, id: Identity) {
        for (namespace, number) in self.all() {
            // Relaxed: says nothing but itself. What the number's last id stored came before
            // [P140], as the number was taken since.
            namespace.ids.ensure(number).store(id.0, Relaxed);
        }
    }

    /// Gives them back: the last bearer of the id has gone, or none has come.
    pub(crate) fn give_back(&self) {
        for (namespace, number) in self.all() {
            if let Some(cell) = namespace.ids.get(number) {
                // Relaxed: as in `assign`; the release of the number comes after.
                cell.store(0, Relaxed);
            }
            namespace.free.release(number);
        }
    }
}

/// What a process is known by, made or not yet.
#[derive(Clone, Copy)]
pub(crate) struct Born<'a> {
    pub(crate) id: Identity,
    pub(crate) numbers: Option<&'a Arc<Numbers>>,
}

/// What a process or an LWP is called beside its number in the kernel. Most have none.
pub(crate) struct Names {
    numbers: Option<Arc<Numbers>>,
    alias: Alias,
}

/// Where they are.
pub(crate) struct NamesCell(OnceBox<Names>);

impl NamesCell {
    pub(crate) fn new() -> Self {
        Self(OnceBox::new())
    }

    /// Before anybody sees it.
    #[cold]
    pub(crate) fn set_numbers(&self, numbers: Arc<Numbers>) {
        self.0.get_or_init(|| Names { numbers: Some(numbers), alias: Alias::none() });
    }

    #[inline]
    pub(crate) fn numbers(&self) -> Option<&Arc<Numbers>> {
        self.0.get()?.numbers.as_ref()
    }

    pub(crate) fn alias(&self) -> Option<i32> {
        self.0.get()?.alias.get()
    }

    pub(crate) fn set_alias(&self, number: i32) {
        self.0.get_or_init(|| Names { numbers: None, alias: Alias::none() }).alias.set(number);
    }
}

/// The life of a namespace.
///
/// | bits | meaning |
/// |---|---|
/// | 0..32 | processes in it, zombies and those that are being made included |
/// | 62 | CLOSED: its init ends, and it takes no more |
/// | 63 | WAITS: its init has ended but for becoming a zombie, which it does when it is alone |
pub(crate) struct Life(AtomicU64);

const CLOSED: u64 = 1 << 62;
const WAITS: u64 = 1 << 63;
const MEMBERS: u64 = 0xffff_ffff;

/// The namespace takes no process any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Closed;

/// Who goes on with the end of a namespace's init.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EndOfInit {
    /// Who asks.
    Here,
    /// Another thread; or nobody, so far.
    Elsewhere,
}

impl Life {
    fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// A process that is about to be made counts. Lock-free.
    pub(crate) fn enter(&self) -> Result<(), Closed> {
        let enter = |word: u64| (word & CLOSED == 0).then_some(word + 1);
        // Relaxed, twice: says nothing but itself.
        self.0.fetch_update(Relaxed, Relaxed, enter).map(drop).map_err(|_| Closed)
    }

    /// It takes no more. Wait-free.
    pub(crate) fn close(&self) {
        // Relaxed: the caller's fence orders it [P145].
        self.0.fetch_or(CLOSED, Relaxed);
    }

    /// Whether its init ends, or has ended. Wait-free.
    pub(crate) fn is_closed(&self) -> bool {
        // Relaxed: for whom it matters has a fence [P145].
        self.0.load(Relaxed) & CLOSED != 0
    }

    /// Its init has ended, but for what it does alone. Wait-free.
    pub(crate) fn wait(&self) -> EndOfInit {
        // AcqRel [P146]: Release: what has ended of init, for who goes on; Acquire: the ends
        // of the others.
        match self.0.fetch_or(WAITS, AcqRel) & MEMBERS {
            1 => EndOfInit::Here,
            _ => EndOfInit::Elsewhere,
        }
    }

    /// A process has gone, or was not made. Wait-free.
    pub(crate) fn leave(&self) -> EndOfInit {
        // AcqRel [P146]: Release: this one's end; Acquire: init's, and those of the others.
        let before = self.0.fetch_sub(1, AcqRel);
        match before & WAITS != 0 && before & MEMBERS == 2 {
            true => EndOfInit::Here,
            false => EndOfInit::Elsewhere,
        }
    }
}
