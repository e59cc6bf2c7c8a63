//! Doing what is due.

use std::{
    fs::{self, OpenOptions},
    io,
    path::Path,
    time::Instant,
};

use model::{Attempt, CommandLine, CommandStage, Effect, Exit, PlannedBody, Report, StageIndex};
use supervise::{Echo, Launch, Output, Stdin};

use super::{Message, Runner};
use crate::{
    EngineError,
    live::{Live, Posture},
    stage_env,
};

impl Runner<'_, '_, '_> {
    /// Launches what is written down, and brings every tree into the posture that is due.
    pub(super) fn perform(&mut self) -> Result<(), EngineError> {
        while let Some((stage, attempt)) = self.todo.pop_front() {
            self.launch(stage, attempt)?;
        }
        for effect in self.run.due() {
            let (stage, posture) = match effect {
                Effect::Thaw(stage) => (stage, Posture::Running),
                Effect::Freeze(stage) => (stage, Posture::Frozen),
                Effect::Stop(stage) => (stage, Posture::Stopping),
                Effect::Launch(..) => continue,
            };
            let grace = self.grace;
            if let Some(live) = self.live.iter_mut().find(|live| live.stage == stage) {
                live.tell(posture, grace);
            }
        }
        Ok(())
    }

    fn launch(&mut self, stage: StageIndex, attempt: Attempt) -> Result<(), EngineError> {
        let PlannedBody::Command(command) = self.spec.plan.stages[stage.get()].body.clone() else {
            return Ok(());
        };
        match self.try_launch(stage, attempt, &command) {
            Ok(tree) => self.note(&Report::Launched { stage, attempt, tree }),
            Err(reason) => {
                let exit = Exit::NotStarted { code: 126, reason };
                self.note(&Report::Exited { stage, attempt, exit, last_line: None })
            }
        }
    }

    fn try_launch(
        &mut self,
        stage: StageIndex,
        attempt: Attempt,
        command: &CommandStage,
    ) -> Result<serde_json::Value, String> {
        let name = self.paths.stage_log_name(&self.spec.plan, stage, attempt);
        let path = self.paths.absolute(&name);
        let unlogged =
            |error: io::Error| format!("its log {} could not be made: {error}", path.display());
        let log = open_log(&path).map_err(unlogged)?;
        let echo = match &self.setup.echo {
            Some((stdout, stderr)) => Some(Echo {
                stdout: stdout.try_clone().map_err(unlogged)?,
                stderr: stderr.try_clone().map_err(unlogged)?,
            }),
            None => None,
        };
        let (output, ends) = Output::to_log(log, echo).map_err(unlogged)?;
        let output = output.restoring(&path);
        let worktree = Path::new(&self.spec.repo.worktree);
        let cwd = command.cwd.as_ref().map_or(worktree.to_owned(), |cwd| worktree.join(cwd));
        let stdin = match &self.setup.stdin {
            Some(fd) => Stdin::Inherit(fd.try_clone().map_err(|error| error.to_string())?),
            None => Stdin::Null,
        };
        let launch = Launch {
            argv: argv(&command.command),
            env: stage_env::of_stage(&self.env, &command.env, &cwd),
            cwd,
            stdin,
            stdout: ends.stdout,
            stderr: ends.stderr,
            grace: self.grace,
        };
        let tree = self.guard.launch(launch).map_err(|error| error.to_string())?;
        let record = serde_json::to_value(tree.record()).map_err(|error| error.to_string())?;
        let control = tree.control();
        self.live.push(Live::new(stage, attempt, control, command.timeout, Instant::now()));
        let sender = self.sender.clone();
        self.scope.spawn(move || {
            tree.watch(output, |report| {
                let _ = sender.send(Message::Tree(stage, attempt, report));
            });
        });
        Ok(record)
    }
}

fn argv(command: &CommandLine) -> Vec<std::ffi::OsString> {
    match command {
        CommandLine::Shell(line) => vec!["/bin/sh".into(), "-c".into(), line.into()],
        CommandLine::Argv(words) => words.iter().map(Into::into).collect(),
    }
}

/// A new log; its folder may have been deleted meanwhile. Numbers of tries are never reused, so
/// that whatever lies there was planted: a link, say, to a file that the run may not write.
fn open_log(path: &Path) -> io::Result<fs::File> {
    if let Some(folder) = path.parent() {
        match fs::symlink_metadata(folder) {
            Ok(there) if !there.is_dir() => fs::remove_file(folder)?,
            _ => {}
        }
        fs::create_dir_all(folder)?;
    }
    let open = || OpenOptions::new().create_new(true).read(true).write(true).open(path);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            open()
        }
        opened => opened,
    }
}

pub(super) fn exit_of(exit: supervise::Exit) -> Exit {
    match exit {
        supervise::Exit::Code(code) => Exit::Code(code),
        supervise::Exit::Signal(signal) => Exit::Signal(signal),
        supervise::Exit::Lost => Exit::Lost,
        supervise::Exit::NotStarted { code, reason } => Exit::NotStarted { code, reason },
    }
}
