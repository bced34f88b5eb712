//! What a sequence is mostly about: how much more often some verbs are chosen in it.

use crate::random::Random;

/// One theme.
#[derive(Debug)]
pub struct Theme {
    /// A short name.
    pub name: &'static str,
    /// Out of ten sequences so many, about.
    share: u32,
    /// Factors of weights; all others have 1, unless the verb is [`RARE`].
    factors: &'static [(&'static str, u32)],
}

/// Verbs that only themes which name them have.
const RARE: &[&str] = &["limit", "last"];

const IDS: &[(&str, u32)] = &[
    ("setuid", 3),
    ("seteuid", 3),
    ("setreuid", 3),
    ("setresuid", 6),
    ("kill", 2),
    ("exec", 2),
    ("thread", 0),
];
const GROUPS: &[(&str, u32)] =
    &[("setpgid", 3), ("setsid", 4), ("getpgid", 2), ("getsid", 2), ("thread", 0)];
const SIGNALS: &[(&str, u32)] = &[
    ("mask", 2),
    ("action", 2),
    ("tkill", 2),
    ("suspend", 3),
    ("take", 3),
    ("queue", 3),
    ("tqueue", 3),
    ("setpgid", 0),
];
const THREADS: &[(&str, u32)] = &[
    ("thread", 4),
    ("leave", 6),
    ("tkill", 2),
    ("wait", 2),
    ("setpgid", 0),
    ("getpgid", 0),
    ("kill", 0),
    ("exit", 0),
];
const NUMBERS: &[(&str, u32)] = &[
    ("last", 6),
    ("fork", 2),
    ("exit", 2),
    ("wait", 2),
    ("setpgid", 2),
    ("setsid", 3),
    ("thread", 2),
    ("leave", 2),
];
// Linux counts threads too.
const LIMITS: &[(&str, u32)] =
    &[("limit", 1), ("fork", 2), ("setresuid", 4), ("setuid", 3), ("thread", 0), ("exec", 3)];

const FAMILIES: &[(&str, u32)] = &[
    ("fork", 2),
    ("clone", 4),
    ("sibling", 4),
    ("subreaper", 6),
    ("deathsig", 6),
    ("exit", 3),
    ("leave", 3),
    ("waitid", 2),
    ("setpgid", 0),
    ("setsid", 0),
    ("getpgid", 0),
];

const TERMINALS: &[(&str, u32)] = &[
    ("setctty", 6),
    ("notty", 3),
    ("tcsetpgrp", 6),
    ("tcgetpgrp", 4),
    ("tcgetsid", 3),
    ("ttyread", 6),
    ("ttywrite", 6),
    ("tcflush", 6),
    ("devtty", 4),
    ("vhangup", 2),
    ("setsid", 4),
    ("setpgid", 3),
    ("action", 2),
    ("thread", 0),
];

const CREDENTIALS: &[(&str, u32)] = &[
    ("thread", 4),
    ("leave", 2),
    ("exec", 2),
    ("setuid", 2),
    ("setreuid", 2),
    ("setresuid", 6),
    ("setresgid", 2),
    ("kill", 2),
    ("tkill", 6),
    ("tqueue", 2),
    ("exit", 0),
    ("setpgid", 0),
];

const THEMES: &[Theme] = &[
    Theme { name: "families", share: 3, factors: FAMILIES },
    Theme { name: "all", share: 3, factors: &[] },
    Theme { name: "threads", share: 1, factors: THREADS },
    Theme { name: "ids", share: 2, factors: IDS },
    Theme { name: "credentials", share: 2, factors: CREDENTIALS },
    Theme { name: "groups", share: 2, factors: GROUPS },
    Theme { name: "signals", share: 1, factors: SIGNALS },
    Theme { name: "numbers", share: 2, factors: NUMBERS },
    Theme { name: "terminals", share: 3, factors: TERMINALS },
    Theme { name: "limits", share: 1, factors: LIMITS },
];

impl Theme {
    /// One by chance.
    pub fn any(random: &mut Random) -> &'static Theme {
        let shares = THEMES.iter().map(|theme| theme.share);
        &THEMES[random.weighted(shares).expect("there are some")]
    }

    /// By how much a verb is chosen more often.
    pub fn factor(&self, verb: &str) -> u32 {
        let named = self.factors.iter().find(|(name, _)| *name == verb);
        named.map_or(u32::from(!RARE.contains(&verb)), |(_, factor)| *factor)
    }
}
