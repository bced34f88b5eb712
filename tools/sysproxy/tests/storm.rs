//! A thousand clients at once, that fork, exec, go and send garbage; and then nothing is left.

mod common;
#[path = "../examples/storm.rs"]
mod storm;

use common::{Ask, World};
use std::time::Duration;

#[test]
fn a_thousand_clients_leave_nothing() {
    let world = World::new();
    let steps = storm::storm(&world.url, 4, 1000, Duration::from_secs(8));
    assert!(steps > 5000, "{steps} steps");
    world.client().pid();
    // Its drop looks whether the kernel is empty.
}
