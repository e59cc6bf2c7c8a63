//! Documents for machines.

use std::io::{self, Write};

use serde::Serialize;

use crate::failure::{Failure, FailureKind};

/// Writes exactly one JSON document to standard output.
pub(crate) fn write(document: &impl Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(document)
        .map_err(|error| Failure::new(FailureKind::Internal, error))?;
    text.push('\n');
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(FailureKind::Internal, error))
        }
        _ => Ok(()),
    }
}

/// What stands on standard output instead, when a command that was to print JSON fails.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct ErrorDocument {
    error: ErrorBody,
}

#[derive(Debug, Serialize, schemars::JsonSchema)]
struct ErrorBody {
    /// What kind of failure it is.
    code: &'static str,
    /// What went wrong.
    message: String,
    /// What to do next.
    next_step: Option<String>,
    /// The exit code.
    exit_code: u8,
}

impl From<&Failure> for ErrorDocument {
    fn from(failure: &Failure) -> Self {
        Self {
            error: ErrorBody {
                code: failure.kind.word(),
                message: failure.to_string(),
                next_step: failure.next_step().map(ToOwned::to_owned),
                exit_code: failure.kind.code(),
            },
        }
    }
}
