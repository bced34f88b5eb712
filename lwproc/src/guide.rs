//! Guides, one for each thing that an embedder does. `examples/` has a program for each.

/// A chapter: its text lies beside this file.
macro_rules! chapters {
    ($($name:ident = $file:literal;)*) => {$(
        #[doc = include_str!($file)]
        pub mod $name {}
    )*};
}

chapters! {
    spawning = "guide/spawning.md";
    waiting = "guide/waiting.md";
    ending = "guide/ending.md";
    signals = "guide/signals.md";
    exec = "guide/exec.md";
    descriptors = "guide/descriptors.md";
    systems = "guide/systems.md";
    host = "guide/host.md";
    executors = "guide/executors.md";
}
