//! Sets of small numbers.

use crate::calls::files::FD_END;

/// A set of small numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// Word and bit; a number out of reach is in no set.
    fn place(fd: i32) -> Option<(usize, u64)> {
        let fd = usize::try_from(fd).ok().filter(|_| fd < FD_END)?;
        Some((fd / 64, 1 << (fd % 64)))
    }

    pub fn has(&self, fd: i32) -> bool {
        Self::place(fd)
            .is_some_and(|(word, bit)| self.0.get(word).is_some_and(|bits| bits & bit != 0))
    }

    /// Whether none has ever been in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn put(&mut self, fd: i32, present: bool) {
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
    pub fn lowest_missing(&self, from: i32) -> i32 {
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
    pub fn within(&self, first: i32, last: i32) -> impl Iterator<Item = i32> {
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
