//! A log as bytes: plain or gzip, told apart by its first two bytes, read line by line.

use super::line::LineError;
use flate2::bufread::MultiGzDecoder;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Longest line kept. strace cuts strings at 32 bytes unless told otherwise, so a longer
/// line is no line of a log, and a gzip bomb must not fill the memory.
pub const LONGEST_LINE: usize = 1 << 20;

/// Most lines of one log: 16 bytes are kept for each, so this is a gibibyte.
pub const MOST_LINES: u32 = 1 << 26;

/// Why a log could not be loaded.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be opened.
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Reading failed: a gzip that ends early, a bad checksum, a disk error.
    Read {
        /// The line being read.
        line: u32,
        /// What the system says.
        source: io::Error,
    },
    /// There is not one line in it.
    Empty,
    /// No line is one of `strace -f`.
    NotALog {
        /// The first line that is none.
        line: u32,
        /// What is wrong with it.
        reason: LineError,
    },
    /// More lines than the tool can number.
    TooLong,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { path, source } => write!(f, "cannot open {}: {source}", path.display()),
            Self::Read { line, source } => write!(f, "cannot read line {line}: {source}"),
            Self::Empty => f.write_str("the log is empty"),
            Self::NotALog { line, reason } => {
                write!(f, "not a log of strace -f: line {line}: {reason}")
            }
            Self::TooLong => write!(f, "more than {MOST_LINES} lines"),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open { source, .. } | Self::Read { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// A line with its number.
#[derive(Debug)]
pub enum RawLine<'a> {
    /// The bytes of the line, ending included.
    Text(u32, &'a [u8]),
    /// A line over [`LONGEST_LINE`]; its bytes are gone.
    TooLong(u32),
}

/// Reads lines from a log.
pub struct LineReader<R> {
    source: R,
    buffer: Vec<u8>,
    line: u32,
}

impl<R> fmt::Debug for LineReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineReader").field("line", &self.line).finish_non_exhaustive()
    }
}

impl LineReader<Box<dyn BufRead>> {
    /// Opens a file, gzip or plain.
    ///
    /// # Errors
    /// [`LoadError::Open`], [`LoadError::Read`].
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let open = |source| LoadError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(open)?;
        if file.metadata().map_err(open)?.is_dir() {
            return Err(open(io::ErrorKind::IsADirectory.into()));
        }
        Self::detect(BufReader::new(file))
    }

    /// Reads from any stream, gzip or plain.
    ///
    /// # Errors
    /// [`LoadError::Read`].
    pub fn detect(mut source: impl BufRead + 'static) -> Result<Self, LoadError> {
        let head = source.fill_buf().map_err(|source| LoadError::Read { line: 1, source })?;
        let source: Box<dyn BufRead> = if head.starts_with(&[0x1f, 0x8b]) {
            Box::new(BufReader::new(MultiGzDecoder::new(source)))
        } else {
            Box::new(source)
        };
        Ok(Self { source, buffer: Vec::new(), line: 0 })
    }
}

impl<R: BufRead> LineReader<R> {
    /// The next line, or `None` at the end.
    ///
    /// # Errors
    /// [`LoadError::Read`] names the line, [`LoadError::TooLong`].
    pub fn next_line(&mut self) -> Result<Option<RawLine<'_>>, LoadError> {
        if self.line >= MOST_LINES {
            return Err(LoadError::TooLong);
        }
        let line = self.line + 1;
        let failed = |source| LoadError::Read { line, source };
        self.buffer.clear();
        let limit = LONGEST_LINE as u64 + 1;
        let read =
            (&mut self.source).take(limit).read_until(b'\n', &mut self.buffer).map_err(failed)?;
        if read == 0 {
            return Ok(None);
        }
        self.line = line;
        if read <= LONGEST_LINE || self.buffer.ends_with(b"\n") {
            return Ok(Some(RawLine::Text(line, &self.buffer)));
        }
        // Drop the rest of the line a piece at a time.
        loop {
            let piece = self.source.fill_buf().map_err(failed)?;
            let end = piece.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(piece.len(), |at| at + 1);
            self.source.consume(used);
            if end.is_some() || used == 0 {
                return Ok(Some(RawLine::TooLong(line)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_skipped_not_kept() {
        let mut text = vec![b'x'; LONGEST_LINE + 100_000];
        text.extend_from_slice(b"\nnext\n");
        let mut reader = LineReader::detect(io::Cursor::new(text)).unwrap();
        assert!(matches!(reader.next_line().unwrap(), Some(RawLine::TooLong(1))));
        assert!(matches!(reader.next_line().unwrap(), Some(RawLine::Text(2, b"next\n"))));
        assert!(reader.next_line().unwrap().is_none());
    }
}
