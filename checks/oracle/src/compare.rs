//! One sequence on both sides.

use crate::embedder::Ours;
use crate::generate;
use crate::known::{self, Difference, Known, Then};
use crate::linux::{Linux, Trouble};
use crate::random::Random;
use crate::state::{FIELDS, State, Task};
use crate::step::{Name, Outcome, Step};
use crate::theme::Theme;
use std::collections::BTreeMap;
use std::fmt;

/// The first thing in which the sides differ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mismatch {
    /// The index of the step.
    pub at: usize,
    /// Whose it is.
    pub actor: Name,
    /// "answer", or the name of a field.
    pub what: &'static str,
    /// On Linux.
    pub linux: String,
    /// Here.
    pub ours: String,
}

impl Mismatch {
    /// Whether another sequence shows the same difference: in the same kind of thing, and in
    /// the same words, but for numbers.
    pub fn is_like(&self, other: &Mismatch) -> bool {
        let words = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
        let like = |one: &str, two: &str| self.what != "answer" || words(one) == words(two);
        self.what == other.what && like(&self.linux, &other.linux) && like(&self.ours, &other.ours)
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { actor, what, linux, ours, .. } = self;
        write!(f, "{what} of {actor}: Linux {linux}, ours {ours}")
    }
}

/// What a sequence came to.
#[derive(Debug, Default)]
pub struct Run {
    /// Its steps, those that could be done.
    pub steps: Vec<Step>,
    /// Both sides' outcomes of each, as text.
    pub transcript: Vec<[String; 2]>,
    /// How many answers and fields were compared.
    pub comparisons: u64,
    /// The known differences that were met.
    pub known: Vec<&'static Known>,
    /// The first that is not known.
    pub mismatch: Option<Mismatch>,
}

/// Who runs a sequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sides {
    /// The system and the library.
    Both,
    /// The system, also with what the library cannot do yet. In the place of the library's
    /// outcomes the transcript has the state.
    LinuxAlone,
}

/// Where steps come from.
#[derive(Debug)]
pub enum Source<'a> {
    /// A list.
    Steps(&'a [Step]),
    /// Chance, as many as this.
    Random(&'a mut Random, usize),
}

type Outcomes = Vec<(Name, Outcome)>;

/// Runs a sequence on both sides to its end, or to the first difference.
///
/// # Errors
/// The system does not do what it should: nothing is known of the library then.
pub fn run(linux: &mut Linux, source: Source<'_>, sides: Sides) -> Result<Run, Trouble> {
    linux.begin()?;
    let run = run_begun(linux, source, sides);
    linux.leave();
    run
}

fn run_begun(linux: &mut Linux, mut source: Source<'_>, sides: Sides) -> Result<Run, Trouble> {
    let mut ours = Ours::new(linux.pid_max());
    let mut run = Run::default();
    let mut state = linux.state();
    if let Some(mismatch) = compare_states(&state, &ours.state(), 0, &mut run.comparisons) {
        run.mismatch = Some(mismatch);
        return Ok(run);
    }
    let mut given = 0;
    let theme = match &mut source {
        Source::Steps(_) => None,
        Source::Random(random, _) => Some(Theme::any(random)),
    };
    loop {
        let step = match &mut source {
            Source::Steps(steps) => steps.get(given).cloned(),
            Source::Random(random, length) if given < *length => {
                let next = Name(state.keys().next_back().map_or(1, |name| name.0) + 1);
                theme.and_then(|theme| {
                    let system = (linux.rights(), linux.pid_max());
                    generate::next_step(random, &state, theme, system, next, sides)
                })
            }
            Source::Random(..) => None,
        };
        let Some(step) = step else { return Ok(run) };
        given += 1;
        let values = step.values(|name| linux.pid_of(name));
        let (Some(values), Some(outcomes)) = (values, linux.step(&step)?) else { continue };
        let at = run.steps.len();
        if sides == Sides::LinuxAlone {
            state = linux.state();
            run.steps.push(step);
            run.transcript.push([text(&outcomes), describe(&state)]);
            continue;
        }
        let same = ours.step(&step, &outcomes).unwrap_or_default();
        run.steps.push(step.clone());
        run.transcript.push([text(&outcomes), text(&same)]);
        let before = std::mem::replace(&mut state, linux.state());
        let known_before = run.known.len();
        let our_state = ours.state();
        run.comparisons += outcomes.len() as u64;
        let no_difference = Difference {
            step: &step,
            values: &values,
            process: linux.process_of(step.actor),
            before: &before,
            after: [&state, &our_state],
            actor: step.actor,
            outcomes: [None; 2],
            field: None,
        };
        let mut pairs: Vec<_> = in_pairs(&outcomes, &same).into_iter().collect();
        // First whose step it is: the others' may follow from it.
        pairs.sort_by_key(|(actor, _)| *actor != step.actor);
        for (actor, pair) in pairs.into_iter().filter(|(_, pair)| pair[0] != pair[1]) {
            let difference = Difference { actor, outcomes: pair, ..no_difference };
            if let Some(known) = known::recognise(&difference) {
                run.known.push(known);
                if known.then == Then::Ends {
                    return Ok(run);
                }
                continue;
            }
            let [theirs, own] =
                pair.map(|outcome| outcome.map_or("goes on".to_string(), ToString::to_string));
            run.mismatch = Some(Mismatch { at, actor, what: "answer", linux: theirs, ours: own });
            return Ok(run);
        }
        if let Some(mismatch) = compare_states(&state, &our_state, at, &mut run.comparisons) {
            // What follows from a known difference is no other one.
            if run.known.len() == known_before {
                let (actor, field) = (mismatch.actor, Some(mismatch.what));
                match known::recognise(&Difference { actor, field, ..no_difference }) {
                    Some(known) => run.known.push(known),
                    None => run.mismatch = Some(mismatch),
                }
            }
            return Ok(run);
        }
    }
}

fn text(outcomes: &Outcomes) -> String {
    let all = outcomes.iter().map(|(name, outcome)| format!("{name}: {outcome}"));
    all.collect::<Vec<_>>().join("; ")
}

/// All that would be compared of a state.
fn describe(state: &State) -> String {
    let all = state.iter().map(|(name, task)| {
        let fields = FIELDS.iter().filter_map(|field| Some((field.name, field.value(task)?)));
        let fields = fields.map(|(name, value)| format!("{name} {value}"));
        format!("{name}: {}", fields.collect::<Vec<_>>().join(", "))
    });
    all.collect::<Vec<_>>().join("; ")
}

fn in_pairs<'a>(a: &'a Outcomes, b: &'a Outcomes) -> BTreeMap<Name, [Option<&'a Outcome>; 2]> {
    let mut pairs: BTreeMap<Name, [Option<&Outcome>; 2]> = BTreeMap::new();
    for (side, outcomes) in [a, b].into_iter().enumerate() {
        for (name, outcome) in outcomes {
            pairs.entry(*name).or_default()[side] = Some(outcome);
        }
    }
    pairs
}

fn compare_states(linux: &State, ours: &State, at: usize, count: &mut u64) -> Option<Mismatch> {
    let nobody = Task::default();
    for actor in linux.keys().chain(ours.keys().filter(|name| !linux.contains_key(name))) {
        let [a, b] = [linux, ours].map(|state| state.get(actor).unwrap_or(&nobody));
        for field in FIELDS {
            let values = [a, b].map(|task| field.value(task));
            *count += 1;
            if values[0] != values[1] {
                let [linux, ours] = values.map(|value| value.unwrap_or("nothing".into()));
                return Some(Mismatch { at, actor: *actor, what: field.name, linux, ours });
            }
        }
    }
    None
}

/// A sequence with both sides, line by line.
pub fn report(run: &Run) -> String {
    use fmt::Write;
    let mut text = String::new();
    for (step, [linux, ours]) in run.steps.iter().zip(&run.transcript) {
        let ours = if linux == ours { "the same" } else { ours };
        let _ = writeln!(text, "  {:40} | Linux {linux:32} | ours {ours}", step.to_string());
    }
    if let Some(mismatch) = &run.mismatch {
        let _ = writeln!(text, "  {mismatch}");
    }
    text
}
