//! `man`: manual pages.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use clap_mangen::Man;

use super::{Common, Outcome};
use crate::{
    failure::{Failure, FailureKind},
    render::{json, screen::Screen},
};

/// Print the manual page, or write one for each command
///
/// To read it: `codex-orch man | man -l -`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write the pages of all commands into that folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let internal = |error: io::Error| Failure::new(FailureKind::Internal, error);
    let definition = super::definition();
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        Man::new(definition).render(&mut page).map_err(internal)?;
        if common.json() {
            let page = String::from_utf8_lossy(&page);
            return json::write(&serde_json::json!({ "page": page }));
        }
        let _ = io::stdout().lock().write_all(&page);
        return Ok(());
    };
    let written = fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(definition, dir));
    written.map_err(|error| {
        Failure::new(FailureKind::Internal, format!("{}: {error}", dir.display()))
    })?;
    if common.json() {
        return json::write(&serde_json::json!({ "dir": dir }));
    }
    Screen::out().line(&format!("wrote the manual pages to {}", dir.display()));
    Ok(())
}
