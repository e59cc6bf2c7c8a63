//! `setup --on-missing`: what becomes of delegated runs that nothing can confine on this machine.

use clap::ValueEnum;
use toml_edit::{DocumentMut, Item, Table, value};

use super::{Common, Failure, FailureKind, Outcome, Told, asks, file, unreadable, unusable};
use crate::surroundings::Surroundings;

/// What is done where a cap cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnMissing {
    /// What has caps is refused
    Refuse,
    /// It runs all the same, a thread within Codex's own sandbox
    Warn,
}

impl OnMissing {
    fn word(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Warn => "warn",
        }
    }
}

/// Writes that into the user's own file, where it holds for this machine, and takes it back.
pub(super) fn run(wanted: OnMissing, yes: bool, common: &Common) -> Outcome {
    let here = common.here()?;
    let path = here.user_file.as_ref().ok_or_else(|| {
        Failure::usage("there is no home folder for a file of your own")
            .hint("set HOME or CODEX_HOME")
    })?;
    let found = file::read(path).map_err(unreadable)?;
    let before = found.text.clone().unwrap_or_default();
    let after = edited(&before, wanted).map_err(|why| {
        Failure::usage(format!("{}: {why}", path.display()))
            .hint("`codex-orch config check` says more")
    })?;
    let mut told = Told::new(common, path);
    if after == before {
        let line = format!("`caps.on_missing` is `{}` already", wanted.word());
        return told.end(&line, None);
    }
    told.document.notes.extend(match wanted {
        OnMissing::Warn => Some(
            "delegated runs that cannot be confined then run with what you may do; a thread's commands \
             have Codex's own sandbox"
                .to_owned(),
        ),
        OnMissing::Refuse => None,
    });
    told.tell(&crate::render::diff::lines(&before, &after));
    if !(yes || asks(told.json, "write it?")?) {
        let next = format!("codex-orch setup --on-missing {} --yes", wanted.word());
        return told.end("nothing was changed yet; this does it:", Some(next));
    }
    found.replace(&after).map_err(|error| unusable(FailureKind::Internal, error))?;
    told.document.written = true;
    told.end("done", Some("codex-orch doctor".to_owned()))
}

/// The text with what is wanted in it. What is built in is not written.
fn edited(text: &str, wanted: OnMissing) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error| format!("{error}"))?;
    let is_there = document.contains_key("caps");
    let caps = document.entry("caps").or_insert_with(|| Item::Table(Table::new()));
    let caps = caps.as_table_like_mut().ok_or("`caps` is no table")?;
    match wanted {
        OnMissing::Warn if caps.get("on_missing").and_then(Item::as_str) == Some("warn") => {
            return Ok(text.to_owned());
        }
        OnMissing::Warn => {
            caps.insert("on_missing", value(wanted.word()));
        }
        OnMissing::Refuse if caps.remove("on_missing").is_none() => return Ok(text.to_owned()),
        OnMissing::Refuse => {}
    }
    if caps.is_empty() && (!is_there || wanted == OnMissing::Refuse) {
        document.remove("caps");
    }
    Ok(document.to_string())
}

/// What there is to know about this machine before anything is delegated on it.
pub(super) fn note(here: &Surroundings) -> Option<String> {
    let (what, why) = crate::cli::doctor::unconfined()?;
    let says = here.config(&[]).ok().is_some_and(|loaded| {
        loaded.caps.iter().any(|layer| layer.caps.on_missing == Some(model::caps::OnMissing::Warn))
    });
    let then = match says {
        true => "they run without, since your own file says `caps.on_missing = \"warn\"`",
        false => {
            "they are refused until that is mended; `codex-orch setup --on-missing warn` lets them run, \
             with Codex's own sandbox alone"
        }
    };
    Some(format!("{what} cannot be confined here: {why}; {then}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_taken_back_to_the_byte() {
        for text in [
            "",
            "# mine\n[run]\ngrace = \"5s\"\n",
            "caps.network.mode = \"none\" # so\n",
            "[caps]\n# mine\nask = true\n",
            "caps = { ask = true }\n",
        ] {
            let written = edited(text, OnMissing::Warn).expect("it can be edited");
            let document: DocumentMut = written.parse().expect("TOML");
            assert_eq!(document["caps"]["on_missing"].as_str(), Some("warn"), "{written}");
            assert_eq!(edited(&written, OnMissing::Warn).as_ref(), Ok(&written));
            assert_eq!(edited(&written, OnMissing::Refuse).as_deref(), Ok(text));
        }
        assert!(edited("caps = 1", OnMissing::Warn).is_err());
        assert_eq!(edited("[run]\n", OnMissing::Refuse).as_deref(), Ok("[run]\n"));
    }
}
