//! The sign and colour of each state. Nothing depends on the colour, and the word stands beside
//! the sign wherever there is room.

use model::{RunStatus, StageStatus};

use super::screen::Tone;

pub(crate) fn stage(status: StageStatus) -> (&'static str, Tone) {
    match status {
        StageStatus::Pending => ("·", Tone::Faint),
        StageStatus::Running => ("▸", Tone::Busy),
        StageStatus::Succeeded => ("✓", Tone::Good),
        StageStatus::Failed => ("✗", Tone::Bad),
        StageStatus::Skipped => ("-", Tone::Faint),
        StageStatus::Cancelled => ("■", Tone::Warning),
    }
}

pub(crate) fn run(status: RunStatus) -> (&'static str, Tone) {
    match status {
        RunStatus::Queued => ("·", Tone::Faint),
        RunStatus::InProgress => ("▸", Tone::Busy),
        RunStatus::Paused => ("‖", Tone::Warning),
        RunStatus::Succeeded => ("✓", Tone::Good),
        RunStatus::Failed => ("✗", Tone::Bad),
        RunStatus::Cancelled => ("■", Tone::Warning),
        RunStatus::Interrupted => ("!", Tone::Bad),
    }
}
