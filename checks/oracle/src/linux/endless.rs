//! What does not come to an end on Linux, where the init of a namespace does it.

use super::{Actor, Linux};
use crate::step::Step;

impl Linux {
    /// Whether a step, or the end of its sequence, would have no end.
    pub(super) fn has_no_end(&self, step: &Step, values: &[i64]) -> bool {
        let caller = &self.actors[&step.actor];
        match step.verb.name {
            "setpgid" => self.would_keep_init(caller, values),
            // What stops others is lost on init, so its call begins again for ever.
            "ttyread" | "ttywrite" | "tcflush" | "tcsetpgrp" => {
                self.first_of(caller.process).is_some_and(|first| first.numbers.is_init())
            }
            _ => false,
        }
    }

    /// Whether a number of a namespace is taken for the group of its init, or of one outside.
    /// At init's end Linux waits until nobody bears a number of the namespace: init itself
    /// would keep it waiting.
    fn would_keep_init(&self, caller: &Actor, values: &[i64]) -> bool {
        let of_number = |number: i64| match number {
            0 => self.first_of(caller.process),
            _ => {
                let mut all = self.actors.values().rev();
                all.find(|actor| i64::from(actor.numbers.seen_by(&caller.numbers)) == number)
            }
        };
        if values[1] == 0 || values[0] == values[1] {
            return false;
        }
        let (Some(who), Some(leader)) = (of_number(values[0]), of_number(values[1])) else {
            return false;
        };
        let is_other = who.numbers.outermost() != leader.numbers.outermost();
        is_other && (who.numbers.is_init() || leader.numbers.depth() > who.numbers.depth())
    }

    /// The last actor that had the number of a process.
    fn first_of(&self, process: i32) -> Option<&Actor> {
        self.actors.values().rev().find(|actor| actor.numbers.outermost() == process)
    }
}
