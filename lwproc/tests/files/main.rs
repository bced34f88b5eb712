//! Descriptor tables: what is open where, who closes it and when.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

#[path = "../common/becoming.rs"]
mod becoming;
mod closing;
mod descriptors;
#[path = "../common/random.rs"]
mod random;
mod references;
mod sequences;
mod sharing;

use becoming::Become;
use lwproc::*;
use random::Random;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};

/// A host whose files count themselves and do something when they are closed.
#[derive(Clone, Default)]
struct Files {
    open: Arc<AtomicIsize>,
    /// Names of the closed ones, in order; and `CLEAR`, for each.
    closed: Arc<Mutex<Vec<u32>>>,
}

/// What a host call to clear is in the list of the closed ones, when `CLEARS`.
const CLEAR: u32 = u32::MAX;

thread_local! {
    static CLEARS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    static CURRENT: std::cell::Cell<Option<LwpToken>> = const { std::cell::Cell::new(None) };
}

type OnClose = Box<dyn FnOnce() + Send + Sync>;

struct File {
    name: u32,
    host: Files,
    on_close: Option<OnClose>,
}

impl Files {
    fn file(&self, name: u32) -> File {
        self.open.fetch_add(1, SeqCst);
        File { name, host: self.clone(), on_close: None }
    }

    fn file_with(&self, name: u32, on_close: impl FnOnce() + Send + Sync + 'static) -> File {
        let mut file = self.file(name);
        file.on_close = Some(Box::new(on_close));
        file
    }

    fn is_open(&self) -> isize {
        self.open.load(SeqCst)
    }

    fn take_closed(&self) -> Vec<u32> {
        std::mem::take(&mut self.closed.lock().unwrap())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.host.open.fetch_sub(1, SeqCst);
        self.host.closed.lock().unwrap().push(self.name);
        if let Some(on_close) = self.on_close.take() {
            on_close();
        }
    }
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "File({})", self.name)
    }
}

impl Host for Files {
    type VmSpace = ();
    type File = File;
    type Emul = ();
    type Vfs = ();
    type SigValue = ();

    fn set(&self, lwp: LwpToken) {
        CURRENT.set(Some(lwp));
    }
    fn clear(&self, _: LwpToken) {
        CURRENT.set(None);
        if CLEARS.get() {
            self.closed.lock().unwrap().push(CLEAR);
        }
    }
    fn current(&self) -> Option<LwpToken> {
        CURRENT.get()
    }
}

fn kernel() -> (Files, Kernel<Files>) {
    let host = Files::default();
    (host.clone(), Kernel::builder().host(host).build().unwrap())
}

fn names(k: &Entered<'_, Files>) -> Vec<(i32, u32, OnExec)> {
    k.files()
        .list()
        .iter()
        .map(|(fd, flag)| (fd.0, k.files().get(*fd).unwrap().name, *flag))
        .collect()
}

fn numbers(k: &Entered<'_, Files>) -> Vec<i32> {
    k.files().list().iter().map(|(fd, _)| fd.0).collect()
}

use OnExec::{Close, Keep};
