//! Command names.

use std::fmt;

/// A command name: at most 16 bytes of UTF-8 (`MAXCOMLEN`), no terminator.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Comm {
    len: u8,
    bytes: [u8; Comm::MAX_LEN],
}

impl Comm {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 16;

    /// The name, cut at a character boundary to [`Comm::MAX_LEN`] bytes.
    pub fn new(name: &str) -> Self {
        let mut len = name.len().min(Self::MAX_LEN);
        while !name.is_char_boundary(len) {
            len -= 1;
        }
        let mut bytes = [0; Self::MAX_LEN];
        bytes[..len].copy_from_slice(&name.as_bytes()[..len]);
        Self { len: len as u8, bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        // `new` cut at a character boundary, so this is the whole name.
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl fmt::Display for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(all(test, not(lwproc_loom)))]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_between_characters() {
        assert_eq!(Comm::new("init").as_str(), "init");
        assert_eq!(Comm::new("").as_str(), "");
        assert_eq!(Comm::new("0123456789abcdefg").as_str(), "0123456789abcdef");
        assert_eq!(Comm::new("0123456789abcdeé").as_str(), "0123456789abcde");
    }
}
