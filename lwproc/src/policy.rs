//! What a kernel is told once and for all.

/// What happens to a process whose last LWP has gone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum WaitPolicy {
    /// It is gone at once; its exit status is forgotten, and waiting for it
    /// ends in `ECHILD`.
    // What the seed does.
    #[default]
    AutoReap,
    /// It stays as a zombie until its parent waits for it. init and proc0 reap
    /// theirs by themselves.
    Wait,
}
