//! The background runner: not for people.

use super::{Outcome, delegate_server};

pub(crate) fn run() -> Outcome {
    Ok(engine::take_order(delegate_server::for_channel()?)?)
}
