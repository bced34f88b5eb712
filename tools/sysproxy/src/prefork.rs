//! Children that were made for a client's fork, and that no connection has taken over yet.

use crate::Host;
use crate::frame::Fault;
use crate::server::Family;
use lwproc::Lwp;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::AbortHandle;

/// The 16 random bytes by which a child is taken over: whoever has them may.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ticket([u8; 16]);

impl Ticket {
    /// Out of what a client has sent.
    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A child each, and what ends it when nobody comes.
type Table = HashMap<Ticket, (Lwp<Host>, Family, Timer)>;

/// Stops the timer when it is dropped.
struct Timer(AbortHandle);

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// All such children of a server.
pub(crate) struct Preforks {
    table: Arc<Mutex<Table>>,
    /// Where random bytes come from.
    random: File,
}

impl Preforks {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { table: Arc::default(), random: File::open("/dev/urandom")? })
    }

    /// Keeps a child until it is taken over, or the time is over.
    pub(crate) fn add(
        &self,
        lwp: Lwp<Host>,
        family: Family,
        time: Duration,
    ) -> Result<Ticket, Fault> {
        let mut bytes = [0; 16];
        (&self.random).read_exact(&mut bytes).map_err(|_| Fault::NoMemory)?;
        let ticket = Ticket(bytes);
        let timer = self.timer(ticket, time);
        lock(&self.table).insert(ticket, (lwp, family, timer));
        Ok(ticket)
    }

    /// Takes a child over. Its parent may have gone.
    pub(crate) fn take(&self, ticket: &Ticket) -> Option<(Lwp<Host>, Family)> {
        let (lwp, family, _timer) = lock(&self.table).remove(ticket)?;
        Some((lwp, family))
    }

    /// Whether nobody has taken it over yet.
    pub(crate) fn has(&self, ticket: &Ticket) -> bool {
        lock(&self.table).contains_key(ticket)
    }

    /// The child's time is that from now on.
    pub(crate) fn expire(&self, ticket: &Ticket, time: Duration) {
        let timer = self.timer(*ticket, time);
        if let Some((.., old)) = lock(&self.table).get_mut(ticket) {
            *old = timer;
        }
    }

    /// Ends all of them.
    pub(crate) fn clear(&self) {
        let all = std::mem::take(&mut *lock(&self.table));
        drop(all);
    }

    fn timer(&self, ticket: Ticket, time: Duration) -> Timer {
        let table = Arc::downgrade(&self.table);
        let timer = tokio::spawn(async move {
            tokio::time::sleep(time).await;
            let ended = table.upgrade().and_then(|table| lock(&table).remove(&ticket));
            // The process ends here, with no lock held.
            drop(ended);
        });
        Timer(timer.abort_handle())
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}
