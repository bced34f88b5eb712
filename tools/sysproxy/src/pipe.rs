//! Pipes.

use crate::file::File;
use lwproc::{Errno, WaitChannel};
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How much a pipe holds: `PIPE_SIZE` of NetBSD's `sys/sys/pipe.h`.
pub const PIPE_SIZE: usize = 16384;

/// What is written at once or not at all: `PIPE_BUF` of NetBSD's `sys/sys/syslimits.h`.
pub const PIPE_BUF: usize = 512;

/// What is in a pipe, and who is left.
#[derive(Default)]
struct Inside {
    bytes: VecDeque<u8>,
    no_reader: bool,
    no_writer: bool,
}

#[derive(Default)]
struct Pipe {
    /// Of the count of all pipes.
    _share: Arc<()>,
    inside: Mutex<Inside>,
    readers: WaitChannel,
    writers: WaitChannel,
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end that is read.
pub struct PipeReader(Arc<Pipe>);

/// The end that is written.
pub struct PipeWriter(Arc<Pipe>);

/// A pipe, with nothing in it. Dropping an end closes it.
pub fn pipe() -> (PipeReader, PipeWriter) {
    counted(Arc::default())
}

/// A pipe that keeps a share.
pub(crate) fn counted(share: Arc<()>) -> (PipeReader, PipeWriter) {
    let pipe = Arc::new(Pipe { _share: share, ..Pipe::default() });
    (PipeReader(pipe.clone()), PipeWriter(pipe))
}

impl File for PipeReader {
    fn try_read(&self, most: usize) -> Option<Result<Vec<u8>, Errno>> {
        let read = {
            let mut inside = self.0.lock();
            if inside.bytes.is_empty() {
                let ended = inside.no_writer || most == 0;
                return ended.then(|| Ok(Vec::new()));
            }
            let len = most.min(inside.bytes.len());
            inside.bytes.drain(..len).collect::<Vec<_>>()
        };
        self.0.writers.wake_all();
        Some(Ok(read))
    }

    fn try_write(&self, _bytes: &[u8]) -> Option<Result<usize, Errno>> {
        Some(Err(Errno::EBADF))
    }

    fn readable(&self) -> Option<&WaitChannel> {
        Some(&self.0.readers)
    }
}

impl File for PipeWriter {
    fn try_read(&self, _most: usize) -> Option<Result<Vec<u8>, Errno>> {
        Some(Err(Errno::EBADF))
    }

    fn try_write(&self, bytes: &[u8]) -> Option<Result<usize, Errno>> {
        let len = {
            let mut inside = self.0.lock();
            if inside.no_reader {
                return Some(Err(Errno::EPIPE));
            }
            let room = PIPE_SIZE - inside.bytes.len();
            let least = if bytes.len() <= PIPE_BUF { bytes.len() } else { 1 };
            if room < least {
                return None;
            }
            let len = room.min(bytes.len());
            inside.bytes.extend(&bytes[..len]);
            len
        };
        self.0.readers.wake_all();
        Some(Ok(len))
    }

    fn writable(&self) -> Option<&WaitChannel> {
        Some(&self.0.writers)
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        let left = {
            let mut inside = self.0.lock();
            inside.no_reader = true;
            std::mem::take(&mut inside.bytes)
        };
        drop(left);
        self.0.writers.wake_all();
    }
}

impl Drop for PipeWriter {
    fn drop(&mut self) {
        self.0.lock().no_writer = true;
        self.0.readers.wake_all();
    }
}

impl fmt::Debug for PipeReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PipeReader")
    }
}

impl fmt::Debug for PipeWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PipeWriter")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_until_the_last_writer_has_gone() {
        let (reader, writer) = pipe();
        assert_eq!(reader.try_read(9), None);
        assert_eq!(writer.try_write(b"abc"), Some(Ok(3)));
        assert_eq!(reader.try_read(2), Some(Ok(b"ab".to_vec())));
        drop(writer);
        assert_eq!(reader.try_read(9), Some(Ok(b"c".to_vec())));
        assert_eq!(reader.try_read(9), Some(Ok(Vec::new())));
    }

    #[test]
    fn little_is_written_whole_and_much_in_parts() {
        let (reader, writer) = pipe();
        assert_eq!(writer.try_write(&vec![1; PIPE_SIZE + 9]), Some(Ok(PIPE_SIZE)));
        assert_eq!(writer.try_write(&[2]), None);
        assert_eq!(
            reader.try_read(PIPE_BUF - 1).map(|read| read.map(|read| read.len())),
            Some(Ok(PIPE_BUF - 1))
        );
        assert_eq!(writer.try_write(&[2; PIPE_BUF]), None);
        assert_eq!(writer.try_write(&[2; PIPE_BUF + 1]), Some(Ok(PIPE_BUF - 1)));
        drop(reader);
        assert_eq!(writer.try_write(&[2]), Some(Err(Errno::EPIPE)));
    }
}
