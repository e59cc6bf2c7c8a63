//! The background runner: not for people.

use super::Outcome;

pub(crate) fn run() -> Outcome {
    Ok(engine::take_order()?)
}
