//! LWP-specific data: the owner's, so nothing here is shared.

use std::any::Any;

type Value = Box<dyn Any + Send>;

/// The data of one LWP, in the order of the keys.
#[derive(Default)]
pub(crate) struct LwpSpecific(Vec<(u64, Value)>);

impl LwpSpecific {
    pub(crate) fn get(&self, key: u64) -> Option<&(dyn Any + Send)> {
        let at = self.0.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        Some(&*self.0[at].1)
    }

    /// Replaces the value; the one before.
    pub(crate) fn set(&mut self, key: u64, value: Value) -> Option<Value> {
        match self.0.binary_search_by_key(&key, |(key, _)| *key) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    pub(crate) fn take(&mut self, key: u64) -> Option<Value> {
        let at = self.0.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        Some(self.0.remove(at).1)
    }

    /// The values, by ascending keys.
    pub(crate) fn into_values(self) -> impl Iterator<Item = Value> {
        self.0.into_iter().map(|(_, value)| value)
    }
}
