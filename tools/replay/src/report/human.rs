//! The summary for people.

use super::{CallRow, Report};
use std::fmt;

/// How many disagreements are shown.
const SHOWN: usize = 25;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} lines", self.log, group(u64::from(self.lines)))?;
        writeln!(
            f,
            "  tasks       {}: {} processes, {} further threads; deepest tree {}",
            self.tasks, self.processes, self.threads, self.deepest_tree
        )?;
        writeln!(f, "  switches    {}", group(self.switches))?;
        writeln!(
            f,
            "  answers     {} checked: {} agreed, {} disagreed",
            group(self.checked),
            group(self.agreed),
            group(self.disagreed)
        )?;
        if self.reordered > 0 {
            writeln!(
                f,
                "              {} agreed in another order of overlapping calls",
                self.reordered
            )?;
        }
        if self.unexplained > 0 {
            writeln!(f, "  unexplained {} answers:", group(self.unexplained))?;
            for (cause, count) in &self.causes {
                writeln!(f, "              {} {cause}", group(*count))?;
            }
        }
        writeln!(
            f,
            "  the rest    {} calls not modelled, {} without an answer",
            group(self.not_modelled),
            group(self.unanswered)
        )?;
        let kinds: Vec<_> = self
            .line_kinds
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(kind, count)| format!("{} {kind}", group(u64::from(*count))))
            .collect();
        writeln!(f, "  lines       {}", kinds.join(" + "))?;
        if self.load.copies > 1 || self.load.threads > 1 {
            self.copies(f)?;
        }
        writeln!(
            f,
            "  speed       {} lines and {} switches per second ({:.6} s)",
            group(self.load.lines_per_second as u64),
            group(self.load.switches_per_second as u64),
            self.load.seconds
        )?;
        self.left(f)?;
        self.wrong(f)?;
        self.table(f)?;
        let verdict = if self.good { "every answer agrees" } else { "NOT as the log says" };
        writeln!(f, "\n{verdict}: {} of {}", group(self.agreed), group(self.checked))
    }
}

impl Report {
    fn copies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  copies      {} over {} threads: {} disagreed, {} found other than the first; {} switches",
            self.load.copies,
            self.load.threads,
            self.load.disagreed,
            self.load.differing,
            group(self.load.switches)
        )
    }

    fn left(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = &self.left;
        writeln!(
            f,
            "  at the end  {} tasks alive, released; kernel {}: {} processes, {} LWPs \
             (proc0 and init), {} zombies, {} ids leaked",
            self.alive_at_end,
            if left.empty { "empty" } else { "NOT EMPTY" },
            left.processes,
            left.lwps,
            left.zombies,
            left.leaked_ids
        )
    }

    fn wrong(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.problem_count > 0 {
            writeln!(f, "\n{} problems with the log:", self.problem_count)?;
            for problem in &self.problems {
                writeln!(f, "  {problem}")?;
            }
            if self.problem_count as usize > self.problems.len() {
                writeln!(f, "  ...")?;
            }
        }
        if self.disagreed > 0 {
            writeln!(f, "\n{} answers disagree:", self.disagreed)?;
            for found in self.disagreements.iter().take(SHOWN) {
                let super::Difference { line, task, asked, what } = found;
                writeln!(f, "  line {line}: task {task}: {asked}: {what}")?;
            }
            if self.disagreed as usize > SHOWN {
                writeln!(f, "  ...")?;
            }
        }
        Ok(())
    }

    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n  {:<18} {:>9} {:>9} {:>9} {:>11} {:>12} {:>9}",
            "call", "calls", "agreed", "disagreed", "unexplained", "not modelled", "no answer"
        )?;
        let mut rows: Vec<&CallRow> =
            self.calls.iter().chain([&self.ends, &self.signals]).collect();
        let checked = |row: &CallRow| row.agreed + row.disagreed + row.unexplained;
        rows.sort_by_key(|row| std::cmp::Reverse((checked(row) > 0, row.calls)));
        for row in rows {
            writeln!(
                f,
                "  {:<18} {:>9} {:>9} {:>9} {:>11} {:>12} {:>9}",
                row.name,
                group(row.calls),
                dash(row.agreed),
                dash(row.disagreed),
                dash(row.unexplained),
                dash(row.not_modelled),
                dash(row.unanswered)
            )?;
        }
        Ok(())
    }
}

fn dash(count: u64) -> String {
    if count == 0 { "-".to_owned() } else { group(count) }
}

/// Digits in groups of three.
fn group(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    #[test]
    fn digits_in_threes() {
        assert_eq!(super::group(0), "0");
        assert_eq!(super::group(999), "999");
        assert_eq!(super::group(1_234_567), "1,234,567");
    }
}
