//! A descriptor table as the answers in the log tell it.
//!
//! The kernel has the table itself and is compared with this one; this one says which order of
//! overlapping calls explains an answer, and what the log has not shown.

use crate::calls::files::{FD_END, Files};
use lwproc::OnExec;

/// A descriptor: closed, or open with its mark.
pub type Descriptor = Option<OnExec>;

/// How many changes are remembered for forks that overlap them.
const REMEMBERED: usize = 64;

/// A set of small numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Bits(Vec<u64>);

impl Bits {
    /// Word and bit; a number out of reach is in no set.
    fn place(fd: i32) -> Option<(usize, u64)> {
        let fd = usize::try_from(fd).ok().filter(|_| fd < FD_END)?;
        Some((fd / 64, 1 << (fd % 64)))
    }

    fn has(&self, fd: i32) -> bool {
        Self::place(fd)
            .is_some_and(|(word, bit)| self.0.get(word).is_some_and(|bits| bits & bit != 0))
    }

    fn put(&mut self, fd: i32, present: bool) {
        let Some((word, bit)) = Self::place(fd) else {
            return;
        };
        if present {
            if self.0.len() <= word {
                self.0.resize(word + 1, 0);
            }
            self.0[word] |= bit;
        } else if let Some(bits) = self.0.get_mut(word) {
            *bits &= !bit;
        }
    }

    /// The lowest number from `from` on that is not in the set.
    fn lowest_missing(&self, from: i32) -> i32 {
        let Some((first, bit)) = Self::place(from) else {
            return from;
        };
        // The numbers below `from` count as present.
        let mut below = bit - 1;
        for (word, bits) in self.0.iter().enumerate().skip(first) {
            let missing = !(bits | below);
            if missing != 0 {
                return (word * 64) as i32 + missing.trailing_zeros() as i32;
            }
            below = 0;
        }
        from.max((self.0.len() * 64) as i32)
    }

    /// The numbers from `first` to `last`, in order.
    fn within(&self, first: i32, last: i32) -> impl Iterator<Item = i32> {
        let words = self.0.iter().enumerate();
        let all = words.flat_map(|(word, bits)| {
            let mut bits = *bits;
            std::iter::from_fn(move || {
                let at = bits.trailing_zeros() as i32;
                (bits != 0).then(|| {
                    bits &= bits - 1;
                    (word * 64) as i32 + at
                })
            })
        });
        all.filter(move |fd| (first..=last).contains(fd))
    }
}

/// What must be so for a call to answer as it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The descriptor is open.
    Open(i32),
    /// It is not.
    Closed(i32),
    /// It is open with this mark.
    Marked(i32, OnExec),
    /// Nothing can make it so.
    Never,
}

/// How well the state of a number is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// The log has told it.
    Told,
    /// Two orders of overlapping calls leave it different.
    ByOrder,
    /// Not seen yet: it is as the first task found it.
    NotSeen,
}

/// The table.
#[derive(Debug, Clone, Default)]
pub struct Table {
    open: Bits,
    close_on_exec: Bits,
    /// Numbers whose state the log has told.
    told: Bits,
    /// All numbers from here on have been told.
    told_from: Option<i32>,
    by_order: Bits,
    /// What changed, and when: a fork that overlaps may have copied either.
    recent: Vec<(u32, i32)>,
    /// Processes that use it.
    pub users: u32,
}

impl Table {
    /// The table of a first task: 0, 1 and 2 are open, until the log tells otherwise.
    pub fn first() -> Self {
        let mut table = Self { users: 1, ..Self::default() };
        (0..3).for_each(|fd| table.open.put(fd, true));
        table
    }

    /// The copy that a fork makes.
    pub fn copied(&self) -> Self {
        Self { recent: Vec::new(), users: 1, ..self.clone() }
    }

    /// The state of a number.
    pub fn get(&self, fd: i32) -> Descriptor {
        match (self.open.has(fd), self.close_on_exec.has(fd)) {
            (false, _) => None,
            (true, false) => Some(OnExec::Keep),
            (true, true) => Some(OnExec::Close),
        }
    }

    /// All that are open, in order.
    pub fn all(&self) -> impl Iterator<Item = (i32, OnExec)> {
        self.open.within(0, FD_END).filter_map(|fd| Some((fd, self.get(fd)?)))
    }

    /// How well the state of a number is known.
    pub fn known(&self, fd: i32) -> Known {
        if self.by_order.has(fd) {
            Known::ByOrder
        } else if self.told.has(fd) || self.told_from.is_some_and(|from| fd >= from) {
            Known::Told
        } else {
            Known::NotSeen
        }
    }

    /// The log has told the state of a number.
    pub fn set(&mut self, fd: i32, state: Descriptor) {
        self.open.put(fd, state.is_some());
        self.close_on_exec.put(fd, state == Some(OnExec::Close));
        self.tell(fd);
    }

    fn tell(&mut self, fd: i32) {
        self.told.put(fd, true);
        self.by_order.put(fd, false);
    }

    /// Two orders of overlapping calls leave this number different.
    pub fn doubt(&mut self, fd: i32) {
        self.by_order.put(fd, true);
    }

    /// What is missing for the call's answer, first things first.
    pub fn need(&self, call: &Files) -> Option<Need> {
        let open = |fd: i32| (!self.open.has(fd)).then_some(Need::Open(fd));
        match call {
            Files::Open { fds, .. } => {
                let mut from = 0;
                for fd in fds {
                    if let need @ Some(_) = self.lowest(from, *fd) {
                        return need;
                    }
                    from = fd + 1;
                }
                None
            }
            Files::Copy { old, min, new, .. } => open(*old).or_else(|| self.lowest(*min, *new)),
            Files::CopyTo { old: fd, .. }
            | Files::Close(fd)
            | Files::SetOnExec(fd, _)
            | Files::Used(fd) => open(*fd),
            // Full: the kernel knows the limit.
            Files::CloseRange(..) | Files::MarkRange(..) | Files::Full(_) => None,
            Files::GetOnExec(fd, mark) => {
                (self.get(*fd) != Some(*mark)).then_some(Need::Marked(*fd, *mark))
            }
            Files::NotOpen(fd, _) => self.open.has(*fd).then_some(Need::Closed(*fd)),
        }
    }

    /// `fd` must be the lowest free number from `from` on.
    fn lowest(&self, from: i32, fd: i32) -> Option<Need> {
        match self.open.lowest_missing(from) {
            _ if fd < from => Some(Need::Never),
            lowest if lowest < fd => Some(Need::Open(lowest)),
            lowest if lowest > fd => Some(Need::Closed(fd)),
            _ => None,
        }
    }

    /// The numbers that a call changes here.
    pub fn changes(&self, call: &Files) -> Vec<i32> {
        match call {
            Files::Open { fds, .. } => fds.clone(),
            Files::Copy { new: fd, .. }
            | Files::CopyTo { new: fd, .. }
            | Files::Close(fd)
            | Files::SetOnExec(fd, _) => vec![*fd],
            Files::CloseRange(first, last) | Files::MarkRange(first, last) => {
                self.open.within(*first, *last).collect()
            }
            Files::GetOnExec(..) | Files::Used(_) | Files::NotOpen(..) | Files::Full(_) => {
                Vec::new()
            }
        }
    }

    /// The table after a call that answered as the log says.
    pub fn apply(&mut self, call: &Files) {
        match call {
            Files::Open { fds, on_exec } => {
                let last = fds.iter().copied().max().unwrap_or(-1);
                (0..=last).for_each(|fd| self.tell(fd));
                fds.iter().for_each(|fd| self.set(*fd, Some(*on_exec)));
            }
            Files::Copy { old, min, new, on_exec } => {
                (*min..*new).for_each(|fd| self.tell(fd));
                self.tell(*old);
                self.set(*new, Some(*on_exec));
            }
            Files::CopyTo { old, new, on_exec } => {
                self.tell(*old);
                if old != new {
                    self.set(*new, Some(*on_exec));
                }
            }
            Files::Close(fd) => self.set(*fd, None),
            Files::CloseRange(first, last) => {
                for fd in self.changes(call) {
                    self.set(fd, None);
                }
                if *last >= FD_END - 1 {
                    self.told_from = Some(self.told_from.map_or(*first, |from| from.min(*first)));
                } else {
                    (*first..=*last).for_each(|fd| self.tell(fd));
                }
            }
            Files::MarkRange(..) => {
                for fd in self.changes(call) {
                    self.close_on_exec.put(fd, true);
                }
            }
            Files::SetOnExec(fd, mark) | Files::GetOnExec(fd, mark) => {
                self.set(*fd, Some(*mark));
            }
            Files::Used(fd) | Files::NotOpen(fd, _) => self.tell(*fd),
            Files::Full(_) => {}
        }
    }

    /// An execve closes what is marked.
    pub fn exec(&mut self) {
        let marked: Vec<_> =
            self.close_on_exec.within(0, FD_END).filter(|fd| self.open.has(*fd)).collect();
        for fd in marked {
            self.open.put(fd, false);
            self.close_on_exec.put(fd, false);
        }
    }

    /// Notes what changed at a line, for forks that overlap.
    pub fn remember(&mut self, line: u32, changes: &[i32]) {
        if self.recent.len() + changes.len() > REMEMBERED {
            let surplus = (self.recent.len() + changes.len() - REMEMBERED).min(self.recent.len());
            self.recent.drain(..surplus);
        }
        self.recent.extend(changes.iter().map(|fd| (line, *fd)));
    }

    /// What changed from a line on.
    pub fn changed_since(&self, line: u32) -> impl Iterator<Item = i32> {
        self.recent.iter().filter(move |(at, _)| *at >= line).map(|(_, fd)| *fd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(fds: &[i32]) -> Files {
        Files::Open { fds: fds.to_vec(), on_exec: OnExec::Keep }
    }

    #[test]
    fn the_lowest_free_number_is_next() {
        let mut table = Table::first();
        assert_eq!(table.need(&open(&[3])), None);
        assert_eq!(table.need(&open(&[5])), Some(Need::Open(3)));
        assert_eq!(table.need(&open(&[2])), Some(Need::Closed(2)));
        assert_eq!(table.need(&open(&[3, 4])), None);
        assert_eq!(table.need(&open(&[4, 3])), Some(Need::Open(3)));
        assert_eq!(table.need(&open(&[3, 3])), Some(Need::Never));
        (0..200).for_each(|fd| table.set(fd, Some(OnExec::Keep)));
        assert_eq!(table.need(&open(&[200])), None);
        table.apply(&Files::Close(130));
        assert_eq!(table.need(&open(&[130])), None);
        let copy = |min, new| Files::Copy { old: 0, min, new, on_exec: OnExec::Keep };
        assert_eq!(table.need(&copy(131, 200)), None);
        assert_eq!(table.need(&copy(500, 500)), None);
        assert_eq!(table.need(&copy(500, 499)), Some(Need::Never));
    }

    #[test]
    fn what_is_told_is_known() {
        let mut table = Table::first();
        assert_eq!(table.known(0), Known::NotSeen);
        table.apply(&open(&[3]));
        assert!((0..=3).all(|fd| table.known(fd) == Known::Told));
        assert_eq!(table.known(4), Known::NotSeen);
        table.apply(&Files::CloseRange(100, i32::MAX));
        assert_eq!((table.known(99), table.known(100)), (Known::NotSeen, Known::Told));
        table.doubt(3);
        assert_eq!(table.copied().known(3), Known::ByOrder);
        table.apply(&Files::Close(3));
        assert_eq!(table.known(3), Known::Told);
    }

    #[test]
    fn an_execve_closes_what_is_marked() {
        let mut table = Table::first();
        table.apply(&Files::Open { fds: vec![3, 4], on_exec: OnExec::Close });
        table.apply(&Files::SetOnExec(4, OnExec::Keep));
        table.apply(&Files::CopyTo { old: 3, new: 70, on_exec: OnExec::Keep });
        table.apply(&Files::CopyTo { old: 3, new: 3, on_exec: OnExec::Keep });
        table.apply(&Files::MarkRange(1, 1));
        table.exec();
        let left: Vec<_> = table.all().map(|(fd, _)| fd).collect();
        assert_eq!(left, [0, 2, 4, 70]);
    }

    #[test]
    fn only_the_last_changes_are_remembered() {
        let mut table = Table::first();
        (0..200).for_each(|line| table.remember(line, &[line as i32]));
        assert_eq!(table.changed_since(198).collect::<Vec<_>>(), [198, 199]);
        assert_eq!(table.changed_since(0).count(), REMEMBERED);
        table.remember(300, &(0..500).collect::<Vec<_>>());
        assert_eq!(table.changed_since(300).count(), 500);
    }

    #[test]
    fn numbers_out_of_reach_are_in_no_table() {
        let mut table = Table::first();
        for fd in [-1, i32::MIN, FD_END, i32::MAX] {
            table.set(fd, Some(OnExec::Keep));
            assert_eq!(table.get(fd), None);
            assert_eq!(table.need(&Files::NotOpen(fd, crate::calls::files::Closed::Surely)), None);
        }
    }
}
