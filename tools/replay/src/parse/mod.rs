//! From bytes to typed lines. Nothing here knows what a process is.

pub mod input;
pub mod line;
pub mod text;

pub use input::{LineReader, LoadError, RawLine};
pub use line::{Answer, Line, LineError, What};
