//! Users and groups of nobody else: what a user may have is counted for the whole system.

use std::sync::OnceLock;

/// How many there are beside the superuser, by the names `u1`, `u2`, ...
pub const COUNT: u8 = 3;

fn base() -> u32 {
    static BASE: OnceLock<u32> = OnceLock::new();
    *BASE.get_or_init(|| 1_000_000 + std::process::id() % 1_000_000 * 4)
}

/// The number of a name.
pub fn of(name: u8) -> u32 {
    base() + u32::from(name)
}

/// The name of a number, or the number.
pub fn show(id: u32) -> String {
    match id.checked_sub(base()) {
        Some(name) if (1..=COUNT.into()).contains(&name) => format!("u{name}"),
        _ => id.to_string(),
    }
}
