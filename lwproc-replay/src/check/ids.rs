//! Users and groups: who the kernel says a process is, and what it lets it become.

use crate::calls::ids::{Granted, Ids, Part, Side};
use crate::plan::{CallId, Says};
use crate::scene::{Cause, Pull, Scene, Settled, Verdict};
use lwproc::{Errno, IdSet};

pub(super) fn verdict(scene: &mut Scene<'_, '_>, id: CallId, ids: &Ids) -> Verdict {
    let agrees = match ids {
        // The kernel itself is asked when the call is applied.
        Ids::Change(..) => true,
        asked => is_so(scene, asked),
    };
    match Verdict::or_after(agrees, || pull_change(scene, id)) {
        Verdict::Disagrees if !scene.world.has_same_ids(scene.caller(id)) => {
            Verdict::Unexplained(Cause::Capability)
        }
        verdict => verdict,
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
    let ours = scene.world.cpu().set_cred(change).map_err(|error| error.errno());
    match (granted, ours) {
        (Granted::Yes, Ok(()))
        | (Granted::NotPermitted, Err(Errno::EPERM))
        | (Granted::Invalid, Err(Errno::EINVAL)) => return Ok(Settled::Agreed),
        _ => {}
    }
    let caller = scene.caller(id);
    if !scene.plan.is_plain(caller, scene.now) {
        scene.world.has_other_ids(caller);
        return Ok(Settled::Unexplained(Cause::Capability));
    }
    let ours = ours.map_or_else(|errno| errno.to_string(), |()| "done".to_owned());
    Err(format!("the log says {}, the kernel {ours}", says(*granted)))
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
