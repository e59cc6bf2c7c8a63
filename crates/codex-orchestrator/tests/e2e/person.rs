//! Somebody who types at a terminal.

use std::process::Stdio;

use crate::scratch::{Done, Running, Scratch, program, say};

/// A person at terminals of their own, which `script` makes.
pub(crate) struct Person<'a>(&'a Scratch);

impl<'a> Person<'a> {
    /// None where there is no `script`, which the test then says.
    pub(crate) fn at(scratch: &'a Scratch) -> Option<Self> {
        let there = scratch.elsewhere("script", &["--version"]).output().is_ok();
        if !there {
            say("skipped: `script` is not installed");
        }
        there.then_some(Self(scratch))
    }

    /// Types a command, and does not wait for it.
    pub(crate) fn begins(&self, words: &str) -> Running {
        let line = format!("'{}' {words}", program().display());
        let mut command = self.0.elsewhere("script", &["-qec", &line, "/dev/null"]);
        Running::new(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn())
    }

    pub(crate) fn types(&self, words: &str) -> Done {
        self.begins(words).done()
    }
}
