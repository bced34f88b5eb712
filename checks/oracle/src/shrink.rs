//! The shortest sequence that shows a difference.

use crate::compare::{self, Mismatch, Run, Source};
use crate::linux::{Linux, Trouble};
use crate::step::Step;

/// Leaves out as many steps as it can: the half of them, then ever smaller parts, then one
/// by one until none can be spared.
///
/// # Errors
/// As [`compare::run`].
pub fn shrink(linux: &mut Linux, found: Run) -> Result<Run, Trouble> {
    let Some(wanted) = found.mismatch.clone() else { return Ok(found) };
    let mut best = found;
    let mut part = best.steps.len().div_ceil(2);
    loop {
        let mut start = 0;
        let mut spared = false;
        while start < best.steps.len() {
            let fewer = without(&best.steps, start, part);
            match still_shows(linux, &fewer, &wanted)? {
                Some(run) => {
                    best = run;
                    spared = true;
                }
                None => start += part,
            }
        }
        if part > 1 {
            part /= 2;
        } else if !spared {
            return Ok(best);
        }
    }
}

fn without(steps: &[Step], start: usize, part: usize) -> Vec<Step> {
    let end = (start + part).min(steps.len());
    [&steps[..start], &steps[end..]].concat()
}

fn still_shows(
    linux: &mut Linux,
    steps: &[Step],
    wanted: &Mismatch,
) -> Result<Option<Run>, Trouble> {
    let run = compare::run(linux, Source::Steps(steps))?;
    Ok(run.mismatch.as_ref().is_some_and(|found| found.is_like(wanted)).then_some(run))
}
