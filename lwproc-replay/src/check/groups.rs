//! Process groups and sessions.

use crate::calls::groups::Groups;
use crate::plan::{CallId, Who};
use crate::scene::{Scene, Verdict};

pub(super) fn verdict(_scene: &mut Scene<'_, '_>, _id: CallId, _groups: &Groups<Who>) -> Verdict {
    Verdict::Agrees
}

pub(super) fn act(
    _scene: &mut Scene<'_, '_>,
    _id: CallId,
    _groups: &Groups<Who>,
) -> Result<(), String> {
    Ok(())
}

pub(super) fn describe(_scene: &mut Scene<'_, '_>, _id: CallId, _groups: &Groups<Who>) -> String {
    String::new()
}
