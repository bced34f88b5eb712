//! The shortest sequence that shows a difference.

use crate::compare::{self, Run, Sides, Source};
use crate::linux::{Linux, Trouble};

/// Leaves out as many steps of a run as it can. A difference that does not show again is
/// given back as it is.
///
/// # Errors
/// As [`compare::run`].
pub fn shrink(linux: &mut Linux, found: Run) -> Result<Run, Trouble> {
    let Some(wanted) = found.mismatch.clone() else { return Ok(found) };
    let steps = found.steps.clone();
    let mut best = found;
    least(&steps, |fewer| {
        let run = compare::run(linux, Source::Steps(fewer), Sides::Both)?;
        if !run.mismatch.as_ref().is_some_and(|found| found.is_like(&wanted)) {
            return Ok(None);
        }
        // What follows the difference, and what could not be done, is gone already.
        let steps = run.steps.clone();
        best = run;
        Ok::<_, Trouble>(Some(steps))
    })?;
    Ok(best)
}

/// The least part of a list that still shows it: without the half of it, then without ever
/// smaller parts, then one by one until none can be spared. `shows` answers with the list,
/// or with what is needed of it.
fn least<T: Clone, E>(
    all: &[T],
    mut shows: impl FnMut(&[T]) -> Result<Option<Vec<T>>, E>,
) -> Result<Vec<T>, E> {
    let mut best = all.to_vec();
    let mut part = best.len().div_ceil(2).max(1);
    loop {
        let (mut start, mut spared) = (0, false);
        while start < best.len() {
            let end = (start + part).min(best.len());
            let fewer = [&best[..start], &best[end..]].concat();
            match shows(&fewer)? {
                Some(less) => {
                    best = less;
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

/// Whether a run's difference shows again.
///
/// # Errors
/// As [`compare::run`].
pub fn shows_again(linux: &mut Linux, found: &Run) -> Result<bool, Trouble> {
    let again = compare::run(linux, Source::Steps(&found.steps), Sides::Both)?;
    Ok(again.mismatch == found.mismatch)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 3 and 7 show it together, and 5 is needed for 7 to be there.
    #[test]
    fn what_is_needed_stays() {
        let (all, mut runs) = ((0..60).collect::<Vec<_>>(), 0);
        let found = least(&all, |list| {
            runs += 1;
            let shows = [3, 5, 7].iter().all(|needed| list.contains(needed));
            Ok::<_, ()>(shows.then(|| list.to_vec()))
        });
        assert_eq!(found, Ok(vec![3, 5, 7]));
        assert!(runs < 60, "{runs} runs");
        let none = least(&all, |list| Ok::<_, ()>(Some(list.to_vec())));
        assert_eq!(none, Ok(vec![]));
        assert_eq!(least(&all, |_| Err::<Option<Vec<i32>>, _>(())), Err(()));
    }
}
