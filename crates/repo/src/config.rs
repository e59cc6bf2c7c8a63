//! Config files: what is written for a repository, and what holds in the end.
//!
//! A text becomes `node`s that know their places, whichever language it is in; `check` holds them
//! against the tables in `keys`; `pipelines` and `settings` read what has passed.

mod caps;
mod check;
mod effective;
mod entries;
mod error;
mod file;
mod json;
mod keys;
mod nearest;
mod node;
mod notify;
mod pipelines;
mod references;
mod rules;
mod schema;
mod settings;
mod text;
mod toml;

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use model::{
    Pipeline, Plan, PlanError, PlannedBody, StageIndex,
    caps::{AsksForMore, Effective, Standing, WrittenCaps},
};

use keys::Merge;
use node::Node;
use pipelines::Written;
use text::{Form, Text};

pub use caps::read_caps;
pub use check::Note;
pub use effective::{Layer, Origin};
pub use entries::OVERRIDE_VARIABLES;
pub use error::{ConfigError, Position};
pub(crate) use file::{LARGEST, text as text_of};
pub use notify::{Ways, ways};
pub use schema::schema;
pub use settings::{
    CodexSettings, ConfirmCancel, ConfirmSettings, DelegateSettings, Fallback, LimitSettings, Mode,
    Notice, NotifySettings, PipelineTrust, PruneSettings, QuestionSettings, RunSettings, Rung,
    Settings, SupervisionSettings, Webhook, WhenFull, WhenLimited, WorktreeSettings,
};

/// The config of a repository, relative to its root.
pub const REPO_FILE: &str = ".codex/orchestrator.toml";

/// Pipelines in the older form, relative to the root of a repository.
pub const OLDER_REPO_FILE: &str = "codex.orchestrator.json";

/// Where configs are looked for. The surroundings are read by whoever fills this in.
#[derive(Clone, Debug, Default)]
pub struct Inputs<'a> {
    /// The root of the repository, if there is one.
    pub repo: Option<&'a Path>,
    /// The user's own config; see `user_file`.
    pub user_file: Option<PathBuf>,
    /// Variables of the environment. Those that are not in `OVERRIDE_VARIABLES` are left alone.
    pub environment: &'a [(String, String)],
    /// What was given as `--config K=V`, in order.
    pub command_line: &'a [String],
    /// How many CPUs there are.
    pub cpus: usize,
}

/// Where the user's own config is, given `$CODEX_HOME` and the home folder.
#[must_use]
pub fn user_file(codex_home: Option<&OsStr>, home: Option<&Path>) -> Option<PathBuf> {
    let codex_home = codex_home.filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let folder = codex_home.or_else(|| home.map(|home| home.join(".codex")))?;
    Some(folder.join("orchestrator.toml"))
}

/// Everything that is written and holds.
#[derive(Debug)]
pub struct Loaded {
    /// The preferences, each with the value of the strongest layer that has one.
    pub settings: Settings,
    /// Where each of them is from, by its dotted name.
    pub origins: BTreeMap<String, Origin>,
    /// What is worth saying and is no error.
    pub notes: Vec<Note>,
    /// The files that were there and were read.
    pub files: Vec<String>,
    /// What is written of caps, each layer with where.
    pub caps: Vec<WrittenCaps>,
    /// Entries of the override variables that are not ours but Codex's.
    pub for_codex: Vec<String>,
    /// The user's own file, whether it was there or not.
    user_file: Option<PathBuf>,
    /// The texts of the repository's files, by the files' names.
    texts: BTreeMap<String, String>,
    pipelines: BTreeMap<String, (Layer, Pipeline)>,
}

/// There is no pipeline of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no pipeline `{name}`")]
pub struct UnknownPipeline {
    /// The name.
    pub name: String,
    /// The nearest name that there is.
    pub nearest: Option<String>,
    /// All the names that there are.
    pub known: Vec<String>,
}

impl UnknownPipeline {
    /// What to write instead.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match &self.nearest {
            Some(nearest) => Some(format!("did you mean `{nearest}`?")),
            None if self.known.is_empty() => {
                Some(format!("pipelines are written in `{REPO_FILE}`"))
            }
            None => Some(format!("the pipelines here are: {}", nearest::listed(&self.known))),
        }
    }
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlan {
    /// It would be the plan of nothing.
    #[error(transparent)]
    Unknown(#[from] UnknownPipeline),
    /// It is the one that is recognised where it is not written, and nothing was.
    #[error("{advice}")]
    NothingRecognised {
        /// Why, and what to do about it, in several lines.
        advice: String,
    },
    /// The pipeline is there and cannot be run.
    #[error(transparent)]
    Unplannable(#[from] PlanError),
    /// A prompt of it cannot be had.
    #[error(transparent)]
    BadPrompt(#[from] crate::prepare::BadPrompt),
}

/// The text of a file of the repository; none where there is none.
///
/// # Errors
///
/// What is wrong with it, for people.
pub(crate) fn read_text(path: &Path, name: &str) -> Result<Option<String>, String> {
    file::read(path, name).map_err(|error| error.message)
}

/// Reads every config there is. The first fault in any of them is the result, and nothing else is.
pub fn load(inputs: &Inputs<'_>) -> Result<Loaded, ConfigError> {
    load_by(inputs, |file| match inputs.repo {
        Some(repo) => file::read(&repo.join(file), file),
        None => Ok(None),
    })
}

/// The same where `read` gives what the repository's files have, whatever its folder has.
pub(crate) fn load_by(
    inputs: &Inputs<'_>,
    read: impl Fn(&str) -> Result<Option<String>, ConfigError>,
) -> Result<Loaded, ConfigError> {
    let mut loaded = Loaded {
        settings: Settings::built_in(inputs.cpus),
        origins: effective::built_in(),
        notes: vec![],
        files: vec![],
        caps: vec![],
        for_codex: vec![],
        user_file: inputs.user_file.clone(),
        texts: BTreeMap::new(),
        pipelines: BTreeMap::new(),
    };
    let mut pipelines = BTreeMap::new();

    if let Some(path) = &inputs.user_file {
        let name = path.display().to_string();
        if let Some(text) = file::read(path, &name)? {
            loaded.read_text(name, text, Form::Toml, Layer::User, &mut pipelines)?;
        }
    }
    let place = |path: &Path| fs::canonicalize(path).ok();
    let users = inputs.user_file.as_deref().and_then(place);
    for (file, form) in [(OLDER_REPO_FILE, Form::Json), (REPO_FILE, Form::Toml)] {
        // Of a home folder that is a repository: read already, and the user's own.
        let own = || inputs.repo.and_then(|repo| place(&repo.join(file)));
        if users.is_some() && own() == users {
            continue;
        }
        if let Some(text) = read(file)? {
            loaded.texts.insert(file.to_owned(), text.clone());
            loaded.read_text(file.to_owned(), text, form, Layer::Repo, &mut pipelines)?;
        }
    }
    references::check(&pipelines)?;

    for variable in OVERRIDE_VARIABLES {
        for (_, value) in inputs.environment.iter().filter(|(name, _)| name == variable) {
            for entry in entries::split(value) {
                let (text, root) = entries::read(variable, entry)?;
                if entries::is_for_codex(&root) {
                    loaded.for_codex.push(entry.to_owned());
                } else {
                    loaded.read_preferences(&text, &root, Layer::Environment)?;
                }
            }
        }
    }
    for entry in inputs.command_line {
        let (text, root) = entries::read("--config", entry)?;
        loaded.read_preferences(&text, &root, Layer::CommandLine)?;
    }

    let held = |(id, (layer, written)): (_, (_, Written))| (id, (layer, written.pipeline));
    loaded.pipelines = pipelines.into_iter().map(held).collect();
    Ok(loaded)
}

impl Loaded {
    fn read_text(
        &mut self,
        name: String,
        text: String,
        form: Form,
        layer: Layer,
        pipelines: &mut BTreeMap<String, (Layer, Written)>,
    ) -> Result<(), ConfigError> {
        self.files.push(name.clone());
        let text = Text::new(name, form, text);
        let root = Node::read(&text)?;
        self.read_preferences(&text, &root, layer)?;
        for written in pipelines::pipelines(&text, &root)? {
            let id = written.pipeline.id.clone();
            let hidden = pipelines.insert(id, (layer, written));
            // A repository's pipeline in the place of a user's is as it should be.
            if let Some((Layer::Repo, hidden)) = hidden {
                let Pipeline { id, source, .. } = hidden.pipeline;
                let text = format!("pipeline `{id}` is not used: there is one in `{REPO_FILE}`");
                self.notes.push(Note { place: source.to_string(), text });
            }
        }
        Ok(())
    }

    fn read_preferences(
        &mut self,
        text: &Text,
        root: &Node,
        layer: Layer,
    ) -> Result<(), ConfigError> {
        check::check(text, root, &mut self.notes)?;
        caps::take(text, root, layer, &mut self.caps)?;
        for (table, key) in keys::preferences() {
            let name = format!("{}.{}", table.name, key.name);
            let said = root.get(table.name).and_then(|table| table.get(key.name));
            let older = || match name.as_str() {
                "run.default_pipeline" => root.get("default_pipeline"),
                _ => None,
            };
            if let Some(node) = said.or_else(older) {
                self.take(name, key.merge, text, node, layer)?;
            }
        }
        Ok(())
    }

    /// Takes what a layer says of a preference, as far as it is that layer's to say.
    fn take(
        &mut self,
        name: String,
        merge: Merge,
        text: &Text,
        node: &Node,
        layer: Layer,
    ) -> Result<(), ConfigError> {
        let mut settings = self.settings.clone();
        if settings.set(&name, node).is_none() {
            return Ok(());
        }
        let narrows = match merge {
            Merge::Last => false,
            Merge::Narrowest => true,
            Merge::PersonWidens | Merge::PersonOnly { .. } if layer.is_a_persons() => false,
            Merge::PersonWidens => true,
            Merge::PersonOnly { but } => {
                if !node.text().is_some_and(|said| but.contains(&said)) {
                    let who = layer.spoken();
                    let fault = match but {
                        [] => format!("{who} cannot say `{name}`"),
                        but => format!("{who} can say of `{name}` only {}", nearest::listed(but)),
                    };
                    let hint = "say it in your own `orchestrator.toml`, or with `--config`";
                    return Err(text.fault(node.at, fault).hint(hint));
                }
                true
            }
        };
        let place = text.place(node.at);
        if narrows && settings.reach(&name) > self.settings.reach(&name) {
            let holds = self.settings.get(&name).unwrap_or_default();
            let from = self.origins.get(&name).map_or("built in", |origin| &origin.place);
            let text = format!("`{name}` stays {holds} ({from}): here it can only be narrowed");
            self.notes.push(Note { place, text });
            return Ok(());
        }
        self.settings = settings;
        self.origins.insert(name, Origin { layer, place });
        Ok(())
    }

    /// Every pipeline, by name.
    pub fn pipelines(&self) -> impl Iterator<Item = &Pipeline> {
        self.pipelines.values().map(|(_, pipeline)| pipeline)
    }

    /// The pipeline of that name.
    pub fn pipeline(&self, name: &str) -> Result<&Pipeline, UnknownPipeline> {
        self.pipelines.get(name).map(|(_, pipeline)| pipeline).ok_or_else(|| {
            let known: Vec<String> = self.pipelines.keys().cloned().collect();
            let nearest = nearest::nearest(name, known.iter().map(String::as_str));
            let nearest = nearest.map(str::to_owned);
            UnknownPipeline { name: name.to_owned(), nearest, known }
        })
    }

    /// The layer that the pipeline of that name was written in.
    #[must_use]
    pub fn layer(&self, name: &str) -> Option<Layer> {
        self.pipelines.get(name).map(|(layer, _)| *layer)
    }

    /// What a stage of a plan may do, if it is started like that, and where each part is from.
    pub fn caps_of(
        &self,
        plan: &Plan,
        stage: StageIndex,
        standing: Standing,
    ) -> Result<Effective, Box<AsksForMore>> {
        let mut written = self.caps.clone();
        written.extend(plan.caps_of(stage));
        Effective::of(standing, &written)
    }

    /// That no layer asks for more than another one allows. What they are asked for by does not matter
    /// to that.
    fn check_caps(&self, plan: &Plan) -> Result<(), PlanError> {
        let stages = (0..).map(StageIndex).zip(&plan.stages);
        // Stages of which nothing is said may do what the first of them may.
        let said = stages.filter(|(at, stage)| at.0 == 0 || !stage.caps.is_empty());
        for (at, stage) in said {
            let caps = self.caps_of(plan, at, Standing::Free);
            caps.map_err(|fault| PlanError::Caps { stage: stage.id.clone(), fault })?;
        }
        Ok(())
    }

    /// What was read from a file of the repository, if it was there.
    pub(crate) fn text(&self, file: &str) -> Option<&str> {
        self.texts.get(file).map(String::as_str)
    }

    /// The plan of the pipeline of that name.
    pub fn plan(&self, name: &str) -> Result<Plan, NoPlan> {
        Ok(self.plan_of(self.pipeline(name)?)?)
    }

    /// The plan of a pipeline that need not be written; those that it runs are looked up here.
    pub fn plan_of(&self, pipeline: &Pipeline) -> Result<Plan, PlanError> {
        self.plan_beside(pipeline, None)
    }

    /// The same where a pipeline that was recognised stands in for one of its name that is not
    /// written.
    pub fn plan_beside(
        &self,
        pipeline: &Pipeline,
        recognised: Option<&Pipeline>,
    ) -> Result<Plan, PlanError> {
        let find = |name: &str| match name {
            // So that a pipeline made on the spot cannot run another of its own name unnoticed.
            name if name == pipeline.id => Some(pipeline),
            name => {
                let written = self.pipelines.get(name).map(|(_, pipeline)| pipeline);
                written.or(recognised.filter(|one| one.id == name))
            }
        };
        let mut plan = Plan::resolve(pipeline, find, self.settings.run.max_parallel)?;
        for stage in &mut plan.stages {
            if let PlannedBody::Codex(codex) = &mut stage.body {
                self.settings.codex.fill(codex);
            }
        }
        self.check_caps(&plan)?;
        Ok(plan)
    }

    /// The user's own CODEX_HOME, whether there is one or not.
    #[must_use]
    pub fn users_home(&self) -> Option<&Path> {
        self.user_file.as_deref().and_then(Path::parent)
    }
}
