//! The pipelines that are written in a text which has passed its check.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use model::{
    Budget, CodexStage, CommandLine, CommandStage, MOST_STAGES, Pipeline, Sandbox, Source, Stage,
    StageBody, StageId, StagesFault, TaskId, needs_of,
};

use super::{
    caps,
    check::{kind_of, time},
    error::{ConfigError, Position},
    node::{Node, Value},
    text::Text,
};

/// A pipeline, and where it names others.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) pipeline: Pipeline,
    pub(super) runs: Vec<Reference>,
}

/// A place that names a pipeline.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    pub(super) target: String,
    pub(super) file: String,
    pub(super) position: Position,
}

/// The most stages that we take from one file. Stage sets let a short file say many.
const MOST_WRITTEN: usize = 10 * MOST_STAGES;

/// The pipelines of a text, in the order in which they are written.
pub(super) fn pipelines(text: &Text, root: &Node) -> Result<Vec<Written>, ConfigError> {
    // The stages of a set may be in no pipeline and still have to be right.
    let sets = root.get("stage_sets").map(Node::pairs).unwrap_or_default();
    for (name, set) in sets {
        let stages = set_stages(set);
        if stages.is_empty() {
            let fault = format!("stage set `{}` has no stages", name.name);
            return Err(text.fault(name.at, fault));
        }
        for stage in stages {
            if let Some(inner) = stage.get("ref") {
                let fault = format!("stage set `{}` has a stage set within it", name.name);
                return Err(text.fault(inner.at, fault).hint("write out its stages"));
            }
        }
    }
    let sets = Sets {
        text,
        sets: sets.iter().map(|(name, set)| (name.name.as_str(), set_stages(set))).collect(),
    };
    let Some(pipelines) = root.get("pipelines") else { return Ok(vec![]) };
    let mut seen = HashSet::new();
    let mut written = vec![];
    let mut left = MOST_WRITTEN;
    let named = pipelines.pairs().iter().map(|(key, node)| (key.name.as_str(), key.at, node));
    let listed = pipelines.items().iter().filter_map(|node| {
        let id = node.get("id")?;
        Some((id.text()?, id.at, node))
    });
    for (id, at, node) in named.chain(listed) {
        if !seen.insert(id) {
            return Err(text.fault(at, format!("there is another pipeline `{id}`")));
        }
        let next = pipeline(&sets, id, at, node)?;
        left = match left.checked_sub(next.pipeline.stages.len()) {
            Some(left) => left,
            None => {
                let fault = format!("the pipelines come to more than {MOST_WRITTEN} stages");
                return Err(text.fault(at, fault));
            }
        };
        written.push(next);
    }
    Ok(written)
}

/// The stage sets of a text.
struct Sets<'a> {
    text: &'a Text,
    sets: HashMap<&'a str, &'a [Node]>,
}

fn set_stages(set: &Node) -> &[Node] {
    match set.get("stages") {
        Some(stages) => stages.items(),
        None => set.items(),
    }
}

fn pipeline(sets: &Sets<'_>, id: &str, at: usize, node: &Node) -> Result<Written, ConfigError> {
    let text = sets.text;
    let mut nodes = vec![];
    for stage in node.get("stages").map(Node::items).unwrap_or_default() {
        match stage.get("ref") {
            None => nodes.push(stage),
            Some(name) => nodes.extend(set(sets, name)?),
        }
        if nodes.len() > MOST_STAGES {
            let fault = format!("pipeline `{id}` comes to more than {MOST_STAGES} stages");
            return Err(text.fault(stage.at, fault));
        }
    }
    let ids = ids(&nodes);
    let mut stages = Vec::with_capacity(nodes.len());
    let mut runs = vec![];
    for (node, id) in nodes.iter().zip(ids) {
        if let Some(target) = node.get("pipeline") {
            runs.push(Reference {
                target: target.text().unwrap_or_default().to_owned(),
                file: text.name.clone(),
                position: text.position(target.at),
            });
        }
        stages.push(stage(text, node, id)?);
    }
    if let Err(fault) = needs_of(&stages) {
        return Err(told(text, id, at, &nodes, &stages, fault));
    }
    let pipeline = Pipeline {
        id: id.to_owned(),
        title: said(node, "title"),
        description: said(node, "description"),
        max_parallel: node.get("max_parallel").and_then(|most| usize::try_from(most.count()?).ok()),
        stages,
        caps: caps::of_step(text, node, "a pipeline")?,
        source: source(text, at),
    };
    Ok(Written { pipeline, runs })
}

fn set<'a>(sets: &Sets<'a>, name: &Node) -> Result<&'a [Node], ConfigError> {
    let wanted = name.text().unwrap_or_default();
    match sets.sets.get(wanted) {
        Some(stages) => Ok(stages),
        None => {
            let fault = sets.text.fault(name.at, format!("there is no stage set `{wanted}`"));
            let mut names: Vec<&str> = sets.sets.keys().copied().collect();
            names.sort_unstable();
            Err(fault.meant(wanted, names, "the stage sets of this file are"))
        }
    }
}

/// The name of each stage: as written, else made from its title, else that of the pipeline it
/// runs, else its place. A name that is made gives way to one that is written.
fn ids(nodes: &[&Node]) -> Vec<StageId> {
    let written = |node: &Node| node.get("id").and_then(Node::text)?.parse::<StageId>().ok();
    let mut taken: HashSet<StageId> = nodes.iter().filter_map(|node| written(node)).collect();
    let mut numbers = HashMap::<String, usize>::new();
    let mut made = |node: &Node, place: usize| {
        let title = node.get("title").and_then(Node::text);
        let words = title.or_else(|| node.get("pipeline").and_then(Node::text));
        let words = words.and_then(|words| TaskId::from_words(&words.to_lowercase()));
        let base = words.map_or_else(|| format!("stage-{}", place + 1), |words| words.to_string());
        // Room for the number, which a long name would push over its limit.
        let base: String = base.chars().take(100).collect();
        let next = numbers.entry(base.clone()).or_insert(1);
        loop {
            let name = match *next {
                1 => base.clone(),
                number => format!("{base}-{number}"),
            };
            *next += 1;
            let id: StageId = name.parse().expect("a short task id with a number is a stage id");
            if taken.insert(id.clone()) {
                return id;
            }
        }
    };
    let places = nodes.iter().enumerate();
    places.map(|(place, node)| written(node).unwrap_or_else(|| made(node, place))).collect()
}

fn stage(text: &Text, node: &Node, id: StageId) -> Result<Stage, ConfigError> {
    let kind = kind_of(text, node)?;
    in_the_cloud(text, node)?;
    let truth = |key| node.get(key).and_then(Node::truth).unwrap_or(false);
    let target = node.get("pipeline").and_then(Node::text).filter(|_| kind.mark == "pipeline");
    let needs = node.get("needs").map(|needs| {
        let names = needs.items().iter().filter_map(Node::text);
        names.filter_map(|name| name.parse().ok()).collect()
    });
    Ok(Stage {
        id,
        title: said(node, "title"),
        needs,
        allow_failure: truth("allow_failure") || truth("optional"),
        summary_hint: said(node, "summary_hint"),
        body: match target {
            Some(target) => StageBody::Pipeline(target.to_owned()),
            None if kind.mark == "prompt" => StageBody::Codex(Box::new(codex(text, node)?)),
            None => StageBody::Command(command(node)),
        },
        caps: caps::of_step(text, node, "a stage")?,
        source: source(text, node.at),
    })
}

/// A line for the shell, or a program and its arguments.
pub(super) fn command_line(node: &Node) -> Option<CommandLine> {
    match &node.value {
        Value::List(words) => {
            let words = words.iter().filter_map(Node::text).map(str::to_owned);
            Some(CommandLine::Argv(words.collect()))
        }
        Value::Text(line) => Some(CommandLine::Shell(line.clone())),
        _ => None,
    }
}

fn command(node: &Node) -> CommandStage {
    let written = node.get("command").and_then(command_line);
    let millis = || node.get("timeout_ms").and_then(Node::count).map(Duration::from_millis);
    let env = node.get("env").map(Node::pairs).unwrap_or_default().iter();
    CommandStage {
        command: written.unwrap_or_else(|| CommandLine::Shell(String::new())),
        cwd: said(node, "cwd"),
        env: env
            .filter_map(|(key, value)| Some((key.name.clone(), value.text()?.to_owned())))
            .collect(),
        timeout: node.get("timeout").and_then(time).or_else(millis),
        retries: node
            .get("retries")
            .and_then(Node::count)
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(0),
    }
}

/// A thread as it is written; what is not said is filled in from the preferences.
fn codex(text: &Text, node: &Node) -> Result<CodexStage, ConfigError> {
    let CommandStage { cwd, env, timeout, .. } = command(node);
    let (prompt, prompt_file) = (said(node, "prompt"), said(node, "prompt_file"));
    if prompt.is_some() == prompt_file.is_some() {
        let fault = match prompt {
            None => "a codex stage without `prompt`",
            Some(_) => "a codex stage with both `prompt` and `prompt_file`",
        };
        return Err(text.fault(node.at, fault).hint("say what it is told in one of the two"));
    }
    let prompt = prompt.unwrap_or_default();
    if let Err(fault) = model::check_blanks(&prompt) {
        return Err(text.fault(node.get("prompt").unwrap_or(node).at, fault.to_string()));
    }
    let limits = |key| node.get("limits").and_then(|limits| limits.get(key));
    let millis = |node: &Node| u64::try_from(time(node)?.as_millis()).ok();
    let count = |node: &Node| u32::try_from(node.count()?).ok();
    Ok(CodexStage {
        prompt,
        prompt_file,
        as_is: false,
        model: said(node, "model"),
        effort: said(node, "effort"),
        sandbox: node.get("sandbox").and_then(|it| Sandbox::named(it.text()?)),
        output_schema: node.get("output_schema").map(Node::to_json),
        verify: node.get("verify").and_then(command_line),
        max_attempts: node.get("max_attempts").and_then(count),
        limits: Budget {
            tokens: limits("tokens").and_then(Node::count),
            turns: limits("turns").and_then(Node::count),
            work_ms: limits("work_time").and_then(millis),
        },
        cwd,
        env,
        timeout,
        idle: node.get("idle").and_then(time),
    })
}

/// The older form can ask for a stage to run elsewhere; to run it here instead would be wrong.
fn in_the_cloud(text: &Text, stage: &Node) -> Result<(), ConfigError> {
    for node in [Some(stage), stage.get("plan")].into_iter().flatten() {
        let asked = node.get("requires_cloud").filter(|asked| asked.truth() == Some(true));
        let cloud = |key| node.get(key).filter(|mode: &&Node| mode.text() == Some("cloud"));
        if let Some(asked) = asked.or_else(|| cloud("execution_mode")).or_else(|| cloud("mode")) {
            let fault = "this version does not run stages in the cloud";
            return Err(text.fault(asked.at, fault).hint("remove the key to run it here"));
        }
    }
    Ok(())
}

fn said(node: &Node, key: &str) -> Option<String> {
    node.get(key).and_then(Node::text).map(str::to_owned)
}

fn source(text: &Text, at: usize) -> Source {
    Source::File { path: text.name.clone(), line: text.position(at).line }
}

fn told(
    text: &Text,
    pipeline: &str,
    at: usize,
    nodes: &[&Node],
    stages: &[Stage],
    fault: StagesFault,
) -> ConfigError {
    let place = |stage: usize, key: &str| nodes[stage].get(key).unwrap_or(nodes[stage]).at;
    match fault {
        StagesFault::Empty => text.fault(at, format!("pipeline `{pipeline}` has no stages")),
        StagesFault::SameId { stage, first } => {
            let id = &stages[stage].id;
            let line = text.position(place(first, "id")).line;
            text.fault(
                place(stage, "id"),
                format!("pipeline `{pipeline}` has another stage `{id}`, in line {line}"),
            )
            .hint("give one of them another `id`")
        }
        StagesFault::UnknownNeed { stage, need } => {
            let needs = nodes[stage].get("needs").map(Node::items).unwrap_or_default();
            let (at, wanted) = match needs.get(need) {
                Some(node) => (node.at, node.text().unwrap_or_default()),
                None => (nodes[stage].at, ""),
            };
            let fault = format!("there is no stage `{wanted}` in pipeline `{pipeline}`");
            let others = stages.iter().map(|stage| stage.id.as_str());
            let others = others.filter(|id| *id != stages[stage].id.as_str());
            text.fault(at, fault).meant(wanted, others, "its other stages are")
        }
        StagesFault::Cycle(ring) => {
            let names: Vec<String> = ring
                .iter()
                .chain(ring.first())
                .map(|&stage| format!("`{}`", stages[stage].id))
                .collect();
            let said = ring.iter().find(|&&stage| nodes[stage].get("needs").is_some());
            let at = said.map_or(at, |&stage| place(stage, "needs"));
            let fault = format!("stages need each other: {}", names.join(" -> "));
            let fault = text.fault(at, fault);
            match ring.iter().find(|&&stage| nodes[stage].get("needs").is_none()) {
                None => fault.hint("let one of them need less"),
                Some(&silent) => fault.hint(format!(
                    "`{}` has no `needs` and so waits for the stage before it; `needs = []` ends that",
                    stages[silent].id
                )),
            }
        }
    }
}
