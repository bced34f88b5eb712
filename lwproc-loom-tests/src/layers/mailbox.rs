//! The place where retired objects are left for the thread that frees them.

use crate::runner::{Model, pair};
use loom::cell::UnsafeCell;
use lwproc::layers::Mailbox;
use std::sync::Arc;

pub fn models() -> Vec<Model> {
    vec![
        pair("mailbox_put_against_take", put_against_take),
        pair("mailbox_take_against_put", take_against_put),
        pair("mailbox_put_against_put", put_against_put),
    ]
}

/// A value that is written before it is put, and read by who has it.
type Value = UnsafeCell<u32>;

fn value(number: u32) -> Box<Value> {
    let value = Box::new(UnsafeCell::new(0));
    value.with_mut(|p| unsafe { *p = number });
    value
}

fn read(value: &Value) -> u32 {
    value.with(|p| unsafe { *p })
}

/// What was put is taken, or it is still there; and whoever has it sees it whole.
fn check(taken: Option<Box<Value>>, mailbox: &Mailbox<Value>) {
    let left = mailbox.take();
    assert_eq!(taken.iter().chain(&left).map(|value| read(value)).sum::<u32>(), 1);
}

fn put_against_take() {
    let mailbox = Arc::new(Mailbox::new());
    let o = mailbox.clone();
    let t = loom::thread::spawn(move || assert!(o.put(value(1)).is_none()));
    let taken = mailbox.take();
    taken.iter().for_each(|value| assert_eq!(read(value), 1));
    t.join().unwrap();
    check(taken, &mailbox);
}

fn take_against_put() {
    let mailbox = Arc::new(Mailbox::new());
    let o = mailbox.clone();
    let t = loom::thread::spawn(move || {
        let taken = o.take();
        taken.iter().for_each(|value| assert_eq!(read(value), 1));
        taken
    });
    assert!(mailbox.put(value(1)).is_none());
    check(t.join().unwrap(), &mailbox);
}

/// The one that comes back is the other's, whole.
fn put_against_put() {
    let mailbox = Arc::new(Mailbox::new());
    let o = mailbox.clone();
    let put = |mailbox: &Mailbox<Value>, number| {
        mailbox.put(value(number)).map_or(0, |before| read(&before))
    };
    let t = loom::thread::spawn(move || put(&o, 1));
    let mine = put(&mailbox, 2);
    let others = t.join().unwrap();
    let left = mailbox.take().map_or(0, |value| read(&value));
    assert_eq!(mine + others + left, 3);
    assert!(left != 0 && (mine == 0 || others == 0));
}
