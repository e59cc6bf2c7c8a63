//! What all layers come to, and which of them asked for more than it may have.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{
    layer::{CAPS, Caps, CapsLayer},
    names::Table,
    words::{Inherit, NetworkMode, OnMissing, UnixSockets},
};

/// Who says something of caps, the one with the widest authority first.
///
/// The steps of a plan lie within each other: a stage that runs a pipeline is at the depth of the
/// pipeline that it is written in, and the pipeline that it runs is one deeper.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum CapsFrom {
    /// The program.
    BuiltIn,
    /// The user's own file.
    User,
    /// A file of the repository.
    Repo,
    /// A pipeline, or a stage of one.
    Step {
        /// How many pipelines it is within.
        depth: usize,
        /// Whether it is a stage.
        stage: bool,
    },
    /// A variable.
    Environment,
    /// The command line.
    CommandLine,
    /// What the run that started it may do.
    Parent,
    /// The wish of whoever started it.
    Spawn,
}

impl CapsFrom {
    /// As an error speaks of it.
    #[must_use]
    pub fn spoken(self) -> &'static str {
        match self {
            Self::BuiltIn => "what is built in",
            Self::User => "the user's file",
            Self::Repo => "the repository",
            Self::Step { stage: false, .. } => "the pipeline",
            Self::Step { stage: true, .. } => "the stage",
            Self::Environment => "the environment",
            Self::CommandLine => "the command line",
            Self::Parent => "the run that starts it",
            Self::Spawn => "the wish",
        }
    }

    /// Whether it is a person who speaks there.
    fn is_a_persons(self) -> bool {
        matches!(self, Self::BuiltIn | Self::User | Self::CommandLine)
    }

    /// Whether what it says stands in the place of what is built in. The others only narrow that.
    fn replaces(self) -> bool {
        match self {
            Self::User | Self::Repo | Self::Step { .. } | Self::CommandLine => true,
            Self::BuiltIn | Self::Environment | Self::Parent | Self::Spawn => false,
        }
    }

    /// Whether a repository says it.
    fn is_the_repos(self) -> bool {
        matches!(self, Self::Repo | Self::Step { .. })
    }

    /// What it is when this one asks for more than that one allows.
    fn asking_beyond(self, bound: Self) -> Option<Weight> {
        match (self, bound) {
            (_, Self::Parent) => match self {
                Self::Spawn | Self::CommandLine => Some(Weight::Error),
                Self::Step { .. } | Self::Environment => Some(Weight::Warning),
                // They are said for all runs, not for the one that a narrower one starts.
                _ => None,
            },
            // It asks for nothing.
            (Self::Parent | Self::BuiltIn, _) => None,
            (Self::Environment, _) if bound < self => Some(Weight::Warning),
            (_, _) if bound < self => Some(Weight::Error),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    Error,
    Warning,
}

/// Where something of caps was said.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct CapsOrigin {
    /// By whom.
    pub from: CapsFrom,
    /// The file and line, the variable, the argument or the run.
    pub place: String,
}

impl CapsOrigin {
    fn built_in() -> Self {
        Self { from: CapsFrom::BuiltIn, place: String::new() }
    }
}

impl fmt::Display for CapsOrigin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.is_empty() {
            true => out.write_str(self.from.spoken()),
            false => write!(out, "{} ({})", self.from.spoken(), self.place),
        }
    }
}

/// A layer and where it was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WrittenCaps {
    /// Where.
    pub origin: CapsOrigin,
    /// What.
    pub caps: CapsLayer,
}

/// A layer asks for more than another one allows.
#[derive(
    Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, schemars::JsonSchema,
)]
#[error("{asking} asks for `caps.{cap}` {more}, which is more than {bound} allows")]
pub struct AsksForMore {
    /// The name of the cap.
    pub cap: String,
    /// What is too much.
    pub more: String,
    /// Who asks.
    pub asking: CapsOrigin,
    /// Who does not allow it.
    pub bound: CapsOrigin,
}

/// What holds where nothing is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// A person started it: it may do what they may.
    Free,
    /// An agent did.
    Delegated,
}

/// What holds, and where each part of it is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Effective {
    /// What holds.
    pub caps: Caps,
    /// By the name of each cap: those who made it what it is.
    pub origins: BTreeMap<String, Vec<CapsOrigin>>,
    /// What was asked for and is not given, where that is no error.
    pub warnings: Vec<AsksForMore>,
}

/// What a layer says in other words: whoever lists hosts wants a list, and whoever says how much of the
/// network or of tools there is also says how much can be asked for.
fn spelled_out(layer: &CapsLayer) -> CapsLayer {
    let mut layer = layer.clone();
    let network = &mut layer.network;
    if network.allow.is_some() && network.mode.is_none() && layer.max_network.is_none() {
        network.mode = Some(NetworkMode::List);
    }
    if layer.max_network.is_none() {
        layer.max_network = network.mode;
    }
    // What is given need not be asked for: of tools, what is said is what may be asked for besides.
    if let Some(mcp) = &layer.tools.mcp {
        let besides = layer.tools.may_ask.as_ref();
        layer.tools.may_ask = Some(besides.map_or_else(|| mcp.clone(), |it| it.and(mcp)));
    }
    layer
}

/// Caps to which every layer adds. What is built in of them only a person can lift.
const ADDING_UP: &[&str] = &["fs.protect", "fs.hide"];

/// Whether a layer says of one of these that there is to be nothing. Whoever names one more place to
/// hide does not mean to uncover all the others.
fn lifts(layer: &CapsLayer, cap: &str) -> bool {
    let said = match cap {
        "fs.protect" => &layer.fs.protect,
        "fs.hide" => &layer.fs.hide,
        _ => return false,
    };
    said.as_ref().is_some_and(|paths| paths.iter().next().is_none())
}

impl Effective {
    /// What the layers come to, in whatever order they are given.
    pub fn of(standing: Standing, written: &[WrittenCaps]) -> Result<Self, Box<AsksForMore>> {
        let layers: Vec<WrittenCaps> = written.iter().map(heard).collect();
        let built_in =
            WrittenCaps { origin: CapsOrigin::built_in(), caps: standing.built_in().to_layer() };
        let replacing = layers.iter().filter(|layer| layer.origin.from.replaces());
        let base = all(replacing.map(|layer| replacement(standing, layer, &layers)));
        let persons = layers
            .iter()
            .filter(|layer| layer.origin.from.replaces() && layer.origin.from.is_a_persons());
        let persons: Vec<&CapsLayer> = persons.map(|layer| &layer.caps).collect();
        // What is built in and still holds.
        let kept = |cap: &str| match ADDING_UP.contains(&cap) {
            true => !persons.iter().any(|layer| lifts(layer, cap)),
            false => !base.said().contains(&cap),
        };
        let kept = built_in.caps.only(kept);
        let kept = WrittenCaps { caps: kept, ..built_in };

        let warnings = excesses(&kept, &layers)?;
        let narrowing = layers.iter().filter(|layer| !layer.origin.from.replaces());
        let wish = layers.iter().filter(|layer| layer.origin.from == CapsFrom::Spawn);
        let wish = all(wish.map(|layer| layer.caps.clone()));
        // How much of the network there is, a wish may say anew: up to what may be asked for.
        let settled = all(narrowing.map(|layer| match layer.origin.from {
            CapsFrom::Spawn => layer.caps.only(|cap| cap != "network.mode"),
            _ => layer.caps.clone(),
        }));
        let whole = base.meet(&kept.caps).meet(&settled);
        let mut caps = whole.or(&standing.built_in());
        caps.network.mode = wish.network.mode.unwrap_or(caps.network.mode).min(caps.max_network);
        caps.tools.may_ask = caps.tools.may_ask.and(&caps.tools.mcp);
        // Behind a socket that nobody has named there may be somebody with a network.
        if kept.caps.fs.unix_sockets.is_some() && caps.network.mode != NetworkMode::Open {
            caps.fs.unix_sockets = UnixSockets::Deny;
        }
        // Whoever passes on every variable, and names no secrets, has nothing to keep from anybody.
        let names_none = layers.iter().all(|layer| layer.caps.env.secrets.is_none());
        if names_none && caps.env.inherit == Inherit::All {
            caps.env.secrets = Table::All;
        }
        let origins = origins(&caps, &kept, &layers);
        Ok(Self { caps, origins, warnings })
    }
}

/// A layer as it counts: spelled out, and without what is only for persons to say.
fn heard(written: &WrittenCaps) -> WrittenCaps {
    let from = written.origin.from;
    let mut caps = spelled_out(&written.caps);
    // A parent's caps were a person's to give.
    if !from.is_a_persons() && from != CapsFrom::Parent {
        caps.network.pins = None;
        caps.on_missing = caps.on_missing.filter(|on_missing| *on_missing == OnMissing::Refuse);
    }
    WrittenCaps { caps, ..written.clone() }
}

/// What a layer says in the place of what is built in. That all of the network is open to what an agent
/// starts, the repository has to say.
fn replacement(standing: Standing, layer: &WrittenCaps, layers: &[WrittenCaps]) -> CapsLayer {
    let open = Some(NetworkMode::Open);
    let repo_says = |said: fn(&CapsLayer) -> Option<NetworkMode>| {
        layers.iter().any(|layer| layer.origin.from.is_the_repos() && said(&layer.caps) == open)
    };
    let mut caps = layer.caps.clone();
    if standing == Standing::Delegated && !layer.origin.from.is_the_repos() {
        caps.network.mode = caps
            .network
            .mode
            .filter(|mode| Some(*mode) != open || repo_says(|caps| caps.network.mode));
        caps.max_network = caps
            .max_network
            .filter(|mode| Some(*mode) != open || repo_says(|caps| caps.max_network));
    }
    caps
}

fn all(layers: impl Iterator<Item = CapsLayer>) -> CapsLayer {
    layers.fold(CapsLayer::default(), |all, layer| all.meet(&layer))
}

/// The first thing that is asked for and must not be, or else all that is asked for in vain.
fn excesses(
    kept: &WrittenCaps,
    layers: &[WrittenCaps],
) -> Result<Vec<AsksForMore>, Box<AsksForMore>> {
    let mut sorted: Vec<&WrittenCaps> = layers.iter().chain([kept]).collect();
    sorted.sort_by(|one, two| one.origin.cmp(&two.origin));
    let mut warnings = vec![];
    for asking in &sorted {
        for bound in &sorted {
            let Some(weight) = asking.origin.from.asking_beyond(bound.origin.from) else {
                continue;
            };
            if bound.origin.from == CapsFrom::BuiltIn && asking.origin.from.replaces() {
                continue;
            }
            let mut held = bound.caps.clone();
            held.network.mode = match asking.origin.from {
                CapsFrom::Spawn => held.max_network,
                _ => held.network.mode.or(held.max_network),
            };
            for (cap, more) in asking.caps.beyond(&held) {
                // Said only for what `network.mode` or `tools.mcp` says already.
                let is_said_twice = match cap {
                    "max_network" => asking.caps.max_network == asking.caps.network.mode,
                    "tools.may_ask" => asking.caps.tools.may_ask == asking.caps.tools.mcp,
                    _ => false,
                };
                if is_said_twice {
                    continue;
                }
                let [asking, bound] = [asking, bound].map(|layer| layer.origin.clone());
                let found = AsksForMore { cap: cap.to_owned(), more, asking, bound };
                match weight {
                    Weight::Error => return Err(found.into()),
                    Weight::Warning => warnings.push(found),
                }
            }
        }
    }
    Ok(warnings)
}

/// Who made each cap what it is: those who say just that, or else all who say anything of it.
fn origins(
    caps: &Caps,
    kept: &WrittenCaps,
    layers: &[WrittenCaps],
) -> BTreeMap<String, Vec<CapsOrigin>> {
    let whole = caps.to_layer();
    let who = |cap: &str, says: &dyn Fn(&CapsLayer) -> Vec<&'static str>| {
        let all = layers.iter().chain([kept]).filter(|layer| says(&layer.caps).contains(&cap));
        let mut all: Vec<CapsOrigin> = all.map(|layer| layer.origin.clone()).collect();
        all.sort();
        all.dedup();
        all
    };
    let named = CAPS.iter().map(|cap| {
        let same = who(cap, &|layer| layer.same(&whole));
        // Of several who say the same, the first would have been enough.
        let origins = match same.first() {
            Some(first) => vec![first.clone()],
            None => who(cap, &CapsLayer::said),
        };
        let origins = match origins.is_empty() {
            true => vec![CapsOrigin::built_in()],
            false => origins,
        };
        ((*cap).to_owned(), origins)
    });
    named.collect()
}
