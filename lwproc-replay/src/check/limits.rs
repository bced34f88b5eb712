//! Resource limits.

use crate::calls::limits::Limits;
use crate::plan::{CallId, Who};
use crate::scene::{Scene, Verdict};

pub(super) fn verdict(_scene: &mut Scene<'_, '_>, _id: CallId, _limits: &Limits<Who>) -> Verdict {
    Verdict::Agrees
}

pub(super) fn act(
    _scene: &mut Scene<'_, '_>,
    _id: CallId,
    _limits: &Limits<Who>,
) -> Result<(), String> {
    Ok(())
}

pub(super) fn describe(_scene: &mut Scene<'_, '_>, _id: CallId, _limits: &Limits<Who>) -> String {
    String::new()
}
