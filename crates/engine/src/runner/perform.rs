//! Doing what is due.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use codex::{Account, Talk};
use model::{
    Attempt, CodexStage, CommandLine, CommandStage, Effect, Exit, Part, PlannedBody, Report,
    Sandbox, StageIndex,
};
use supervise::{Cage, Echo, Launch, LaunchError, Output, Stdin, TreeReport};

use super::{
    Message, Progress, Runner,
    confine::{Confined, Needs},
    outfit::Outfit,
    tools,
};
use crate::{
    EngineError,
    conversation::{Conversation, Pipes},
    live::{Live, Posture},
    stage_env,
};

impl Runner<'_, '_, '_> {
    /// Launches what is written down, and brings every tree into the posture that is due.
    pub(super) fn perform(&mut self) -> Result<(), EngineError> {
        while let Some((stage, attempt, part)) = self.todo.pop_front() {
            self.launch(stage, attempt, part)?;
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
                // What was frozen is ended as well when it is to be stopped.
                self.servers.freeze(stage, posture == Posture::Frozen);
            }
        }
        Ok(())
    }

    fn launch(
        &mut self,
        stage: StageIndex,
        attempt: Attempt,
        part: Part,
    ) -> Result<(), EngineError> {
        let launched = match (&self.spec.plan.stages[stage.get()].body.clone(), part) {
            (PlannedBody::Pipeline(_), _) | (_, Part::Nothing) => return Ok(()),
            (PlannedBody::Command(command), _) => {
                self.start(stage, attempt, part, Job::of(command))
            }
            (PlannedBody::Codex(codex), Part::Verify) => {
                self.start(stage, attempt, part, Job::verifying(codex))
            }
            (PlannedBody::Codex(codex), Part::Work) => match self.may_begin()? {
                true => self.start_thread(stage, attempt, codex),
                false => Err("what it may use up is used up".to_owned()),
            },
        };
        match launched {
            Ok((tree, cage)) => {
                self.note(&Report::Launched { stage, attempt, tree })?;
                match cage {
                    Some(cage) => self.note(&Report::Confined { stage, attempt, cage }),
                    None => Ok(()),
                }
            }
            Err(reason) => {
                let exit = Exit::NotStarted { code: 126, reason };
                let (last_line, output) = (None, None);
                self.note(&Report::Exited { stage, attempt, exit, last_line, output })?;
                self.note_if_all_frozen()
            }
        }
    }

    fn start_thread(
        &mut self,
        stage: StageIndex,
        attempt: Attempt,
        codex: &CodexStage,
    ) -> Result<Launched, String> {
        let cwd = self.folder(codex.cwd.as_deref());
        let Outfit { argv, env, account, home, endpoint, package } = self.outfit(stage)?;
        // Without a sandbox of its own, ours may be the tighter one.
        let wraps = codex.sandbox != Some(Sandbox::DangerFullAccess);
        let tokens = account.as_ref().map(|(_, tokens)| tokens.clone());
        let (talk, began_with) = self.talk(stage, codex, &cwd, tokens)?;
        let account = account.map(|(account, _)| account);
        let job = Job {
            argv,
            env: codex.env.clone(),
            more_env: env,
            cwd: codex.cwd.as_deref(),
            timeout: codex.timeout,
            program: "codex",
            needs: Needs { wraps, write: vec![home], read: vec![package], endpoint },
            talk: Some(Box::new(Told { talk, began_with, idle: codex.idle, account })),
        };
        self.start(stage, attempt, Part::Work, job)
    }

    /// The folder in the work tree of that name.
    fn folder(&self, cwd: Option<&str>) -> PathBuf {
        let tree = self.work_tree();
        cwd.map_or(tree.clone(), |cwd| tree.join(cwd))
    }

    pub(super) fn log_path(&self, stage: StageIndex, attempt: Attempt, part: Part) -> PathBuf {
        self.paths.absolute(&self.paths.stage_log_name(&self.spec.plan, stage, attempt, part))
    }

    fn start(
        &mut self,
        stage: StageIndex,
        attempt: Attempt,
        part: Part,
        job: Job<'_>,
    ) -> Result<Launched, String> {
        let path = self.log_path(stage, attempt, part);
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
        let (output, mut ends) = Output::to_log(log, echo).map_err(unlogged)?;
        let output = output.restoring(&path);
        let cwd = self.folder(job.cwd);
        let mut stdin = match &self.setup.stdin {
            Some(fd) => Stdin::Inherit(fd.try_clone().map_err(|error| error.to_string())?),
            None => Stdin::Null,
        };
        // A thread is spoken with over its pipes, and the log is ours to write.
        let mut talk = None;
        if let Some(told) = job.talk {
            let (pipes, reads, writes) = Pipes::new().map_err(|error| error.to_string())?;
            stdin = Stdin::Inherit(reads);
            let log = std::mem::replace(&mut ends.stdout, writes);
            talk = Some((told, pipes, log));
        }
        let mut env = stage_env::of_stage(&self.env, &job.env, &cwd);
        env.retain(|(key, _)| !job.more_env.iter().any(|(more, _)| more == key));
        let own: Vec<OsString> = job.more_env.iter().map(|(key, _)| key.clone()).collect();
        env.extend(job.more_env);
        let confined = self.confined(stage, job.needs)?;
        let ours = |name: &str| {
            name.starts_with("CODEX_ORCHESTRATOR_")
                || ["MCP_RUNNER_TASK_ID", "PWD"].contains(&name)
                || job.env.contains_key(name)
                || own.iter().any(|key| key == name)
        };
        if let Some(confined) = &confined {
            env = confined.admitted(env, job.program, ours);
        }
        let grace = self.grace;
        let launch = |cage: Option<Cage>| {
            Ok::<_, io::Error>(Launch {
                argv: job.argv.clone(),
                env: match &confined {
                    Some(confined) if cage.is_some() => confined.inside(env.clone(), ours),
                    _ => env.clone(),
                },
                cwd: cwd.clone(),
                stdin: match &stdin {
                    Stdin::Null => Stdin::Null,
                    Stdin::Inherit(fd) => Stdin::Inherit(fd.try_clone()?),
                },
                stdout: ends.stdout.try_clone()?,
                stderr: ends.stderr.try_clone()?,
                grace,
                cage,
            })
        };
        let system = |error: io::Error| error.to_string();
        let cage = confined.as_ref().map(|confined| confined.cage.clone());
        let mut tree = match self.guard.launch(launch(cage).map_err(system)?) {
            Err(LaunchError::NotCaged(refused))
                if confined.as_ref().is_some_and(|confined| confined.may_be_free) =>
            {
                // Whoever wrote the caps for this machine wants it to run all the same.
                let text = format!("not confined: {refused}");
                self.saw(&Progress::Trouble(text));
                let free = launch(None).map_err(system)?;
                self.guard.launch(free).map_err(|error| error.to_string())?
            }
            Err(LaunchError::NotCaged(refused)) => return Err(self.not_confined(&refused)),
            launched => launched.map_err(|error| error.to_string())?,
        };
        // Ours is one end too many: what reads the others hears their end.
        drop((stdin, ends));
        let way_out = match (&confined, tree.take_caged()) {
            (Some(confined), Some(caged)) => {
                let report = serde_json::json!({
                    "caps": confined.hash(), "enforced": serde_json::to_value(&caged.report).ok(),
                });
                let out = self.way_out(stage, attempt, confined, caged)?;
                Some((report, Some(out)))
            }
            (Some(confined), None) => {
                Some((serde_json::json!({ "caps": confined.hash(), "enforced": null }), None))
            }
            (None, _) => None,
        };
        let is_caged = matches!(way_out, Some((_, Some(_))));
        // Where nothing confines it, Codex's own sandbox is all that keeps it from the network.
        let leads_out = is_caged && confined.as_ref().is_some_and(Confined::leads_out);
        let record = serde_json::to_value(tree.record()).map_err(|error| error.to_string())?;
        let control = tree.control();
        let conversation = talk.map(|(told, pipes, log)| {
            let Told { mut talk, began_with, idle, account } = *told;
            if leads_out {
                talk.let_out();
            }
            let sender = self.sender.clone();
            let said = move |line| {
                let _ = sender.send(Message::Line(stage, attempt, line));
            };
            let mut begun = Conversation::begin(self.scope, talk, pipes, log, idle, said);
            begun.began_with = began_with;
            begun.set_account(account);
            begun
        });
        let now = Instant::now();
        self.work_due = conversation.as_ref().map(|_| now).or(self.work_due);
        let mut live = Live::new(stage, attempt, part, conversation, control, job.timeout, now);
        live.holder = Some(tree.record().shim);
        let (mut report, way_out) = way_out.unzip();
        let mut way_out = way_out.flatten();
        live.gate = way_out.as_mut().and_then(|out| out.gate.take());
        let speakers = live.speakers.clone();
        self.live.push(live);
        if let Some(tools) = tools::standings(&self.spec, stage, is_caged) {
            report.get_or_insert_default()["tools"] = tools.into();
        }
        let sender = self.sender.clone();
        self.scope.spawn(move || {
            tree.watch(output, |report| {
                // What was denied to it and not told yet is told before its end.
                if matches!(report, TreeReport::Ended { .. }) {
                    way_out = None;
                    speakers.await_silence();
                }
                let _ = sender.send(Message::Tree(stage, attempt, report));
            });
        });
        Ok((record, report))
    }
}

/// What there is of a launch: what finds its processes again, and what confines them.
type Launched = (serde_json::Value, Option<serde_json::Value>);

/// What is to be started for a part of a stage.
struct Job<'a> {
    argv: Vec<OsString>,
    env: BTreeMap<String, String>,
    /// What it sees whatever else is said.
    more_env: Vec<(OsString, OsString)>,
    cwd: Option<&'a str>,
    timeout: Option<Duration>,
    /// What caps call the program.
    program: &'static str,
    /// What it needs beside what its caps say.
    needs: Needs,
    /// What is said with it, if it is a thread.
    talk: Option<Box<Told>>,
}

/// What a thread is begun with.
struct Told {
    talk: Talk,
    /// With how many of the messages that waited for it.
    began_with: usize,
    /// How long it may be silent.
    idle: Option<Duration>,
    /// Whose tokens it is handed.
    account: Option<Account>,
}

impl<'a> Job<'a> {
    fn of(command: &'a CommandStage) -> Self {
        Self {
            argv: argv(&command.command),
            env: command.env.clone(),
            more_env: Vec::new(),
            cwd: command.cwd.as_deref(),
            timeout: command.timeout,
            program: "",
            needs: Needs::default(),
            talk: None,
        }
    }

    fn verifying(codex: &'a CodexStage) -> Self {
        Self {
            argv: codex.verify.as_ref().map(argv).unwrap_or_default(),
            env: codex.env.clone(),
            more_env: Vec::new(),
            cwd: codex.cwd.as_deref(),
            timeout: codex.timeout,
            program: "",
            needs: Needs::default(),
            talk: None,
        }
    }
}

fn argv(command: &CommandLine) -> Vec<OsString> {
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
