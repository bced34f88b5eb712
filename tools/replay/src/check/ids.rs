//! Users and groups: who the kernel says a process is, and what it lets it become.

use crate::calls::ids::{Granted, Ids, Part, Side};
use crate::plan::{CallId, Says};
use crate::scene::{Cause, Pull, Scene, Settled, Verdict};
use lwproc::{Errno, IdSet};

pub(super) fn verdict(scene: &mut Scene<'_, '_>, id: CallId, ids: &Ids) -> Verdict {
    let agrees = match ids {
        // The kernel itself is asked for it when it is applied.
        Ids::Change(_, Granted::Yes) => true,
        Ids::Change(change, refused) => {
            let errno = scene.world.cpu().cred().changed(change).err().map(|error| error.errno());
            errno == errno_of(*refused)
        }
        asked => is_so(scene, asked),
    };
    match Verdict::or_after(agrees, || pull_change(scene, id)) {
        Verdict::Disagrees if is_beyond(scene, id, ids) => Verdict::Unexplained(Cause::Capability),
        verdict => verdict,
    }
}

/// Whether capabilities may have decided: of the answer itself, or of what it tells.
fn is_beyond(scene: &Scene<'_, '_>, id: CallId, ids: &Ids) -> bool {
    let caller = scene.caller(id);
    match ids {
        Ids::Change(..) => !scene.plan.is_plain(caller, scene.now),
        _ => !scene.world.has_same_ids(caller),
    }
}

fn is_so(scene: &mut Scene<'_, '_>, ids: &Ids) -> bool {
    let cred = scene.world.cpu().cred();
    let all = |side: Side| match side {
        Side::Users => cred.users(),
        Side::Groups => cred.groups(),
    };
    match ids {
        Ids::One(side, part, told) => one(all(*side), *part) == *told,
        Ids::All(side, [real, effective, saved]) => {
            all(*side) == IdSet { real: *real, effective: *effective, saved: *saved }
        }
        // In any order: Linux sorts them.
        Ids::Groups(told) => sorted(told) == sorted(cred.supplementary()),
        Ids::GroupCount(count) => cred.supplementary().len() == *count,
        Ids::Change(..) | Ids::Capabilities => true,
    }
}

fn one(ids: IdSet, part: Part) -> u32 {
    match part {
        Part::Real => ids.real,
        Part::Effective => ids.effective,
        Part::Saved => ids.saved,
    }
}

fn sorted(ids: &[u32]) -> Vec<u32> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids
}

/// A change in flight in the same process.
fn pull_change(scene: &Scene<'_, '_>, id: CallId) -> Option<Vec<Pull>> {
    let plan = scene.plan;
    let changes = |call: &&CallId| {
        matches!(&plan.call(**call).says, Says::Answer(crate::calls::Call::Ids(ids)) if !ids.is_question())
            && scene.caller(**call) == scene.caller(id)
    };
    let pulls: Vec<_> = scene.in_flight.iter().filter(changes).copied().map(Pull::Call).collect();
    (!pulls.is_empty()).then_some(pulls)
}

/// Asks the kernel for a change.
pub(super) fn act(scene: &mut Scene<'_, '_>, id: CallId, ids: &Ids) -> Result<Settled, String> {
    let Ids::Change(change, granted) = ids else {
        return Ok(Settled::Agreed);
    };
    let ours = scene.world.cpu().creds().set(change).map_err(|error| error.errno());
    if ours.err() == errno_of(*granted) {
        return Ok(Settled::Agreed);
    }
    let caller = scene.caller(id);
    if !scene.plan.is_plain(caller, scene.now) {
        scene.world.has_other_ids(caller);
        return Ok(Settled::Unexplained(Cause::Capability));
    }
    let ours = ours.map_or_else(|errno| errno.to_string(), |()| "done".to_owned());
    Err(format!("the log says {}, the kernel {ours}", says(*granted)))
}

fn errno_of(granted: Granted) -> Option<Errno> {
    match granted {
        Granted::Yes => None,
        Granted::NotPermitted => Some(Errno::EPERM),
        Granted::Invalid => Some(Errno::EINVAL),
    }
}

fn says(granted: Granted) -> &'static str {
    match granted {
        Granted::Yes => "done",
        Granted::NotPermitted => "EPERM",
        Granted::Invalid => "EINVAL",
    }
}

pub(super) fn describe(scene: &mut Scene<'_, '_>, ids: &Ids) -> String {
    let cred = scene.world.cpu().cred();
    let all = |side: Side| match side {
        Side::Users => cred.users(),
        Side::Groups => cred.groups(),
    };
    let three = |ids: IdSet| format!("{}/{}/{}", ids.real, ids.effective, ids.saved);
    let (log, ours) = match ids {
        Ids::One(side, part, told) => (told.to_string(), one(all(*side), *part).to_string()),
        Ids::All(side, [real, effective, saved]) => {
            (format!("{real}/{effective}/{saved}"), three(all(*side)))
        }
        Ids::Groups(told) => (format!("{told:?}"), format!("{:?}", cred.supplementary())),
        Ids::GroupCount(count) => {
            (format!("{count} groups"), cred.supplementary().len().to_string())
        }
        Ids::Change(change, granted) => {
            (says(*granted).to_owned(), format!("otherwise to {change:?}"))
        }
        Ids::Capabilities => return "no reason known".to_owned(),
    };
    format!("the log says {log}, the kernel {ours}")
}
