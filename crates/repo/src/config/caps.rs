//! What a text that has passed its check says of caps.

use model::caps::{CapsFrom, CapsLayer, CapsOrigin, NetworkMode, WrittenCaps};
use serde_json::{Map, Value as Json, json};

use super::{
    Layer, check,
    error::ConfigError,
    keys::{CAPS, Merge, Shape, Table},
    nearest,
    node::{Node, Value},
    text::{Form, Text},
};

impl Layer {
    /// The same as caps speak of it.
    fn of_caps(self) -> CapsFrom {
        match self {
            Self::BuiltIn => CapsFrom::BuiltIn,
            Self::User => CapsFrom::User,
            Self::Repo => CapsFrom::Repo,
            Self::Environment => CapsFrom::Environment,
            Self::CommandLine => CapsFrom::CommandLine,
        }
    }
}

/// What a layer says of all runs, added to what was said before. Entries of one layer are one layer:
/// each of them is one key of it.
pub(super) fn take(
    text: &Text,
    root: &Node,
    layer: Layer,
    all: &mut Vec<WrittenCaps>,
) -> Result<(), ConfigError> {
    let Some(node) = root.get("caps") else { return Ok(()) };
    let who = (!layer.is_a_persons()).then(|| layer.spoken());
    let caps = said(text, node, who)?;
    let place = text.place(node.at);
    let from = layer.of_caps();
    let entries = matches!(layer, Layer::Environment | Layer::CommandLine);
    match all.last_mut().filter(|last| entries && last.origin.from == from) {
        Some(last) => {
            last.origin.place = format!("{}, {place}", last.origin.place);
            last.caps = last.caps.meet(&caps);
        }
        None => all.push(WrittenCaps { origin: CapsOrigin { from, place }, caps }),
    }
    Ok(())
}

/// What a pipeline or a stage says of itself.
pub(super) fn of_step(
    text: &Text,
    step: &Node,
    what: &str,
) -> Result<Option<Box<CapsLayer>>, ConfigError> {
    let Some(node) = step.get("caps") else { return Ok(None) };
    Ok(Some(Box::new(said(text, node, Some(what))?)))
}

/// Reads a table of caps that somebody gave as JSON: the same keys and values as in a config, checked
/// in the same way. `what` is how errors speak of it.
///
/// # Errors
///
/// The first fault that is found, with where it stands.
pub fn read_caps(json: &Json, what: &str) -> Result<CapsLayer, ConfigError> {
    let text = Text::new(what.to_owned(), Form::Entry, json!({ "caps": json }).to_string());
    let root = super::json::read(&text)?;
    check::check(&text, &root, &mut Vec::new())?;
    match root.get("caps") {
        Some(node) => said(&text, node, Some(what)),
        None => Ok(CapsLayer::default()),
    }
}

/// `who` cannot say what only persons may say of all their runs.
fn said(text: &Text, node: &Node, who: Option<&str>) -> Result<CapsLayer, ConfigError> {
    if let Some(who) = who {
        only_a_persons(text, node, &CAPS, "caps", who)?;
    }
    let read = serde_json::from_value(to_json(node, &Shape::Table(&CAPS)));
    // A pattern of ours that passed its check, and is none after all.
    let caps: CapsLayer = read.map_err(|fault| text.fault(node.at, fault.to_string()))?;
    let network = node.get("network");
    let at = |key| network.and_then(|network| network.get(key)).map_or(node.at, |node| node.at);
    if let (Some(mode), Some(most)) = (caps.network.mode, caps.max_network)
        && mode > most
    {
        let (mode, most) = (mode.as_str(), most.as_str());
        let fault = format!("`mode` is `{mode}`, and `max_network` only `{most}`");
        return Err(text.fault(at("mode"), fault).hint("raise the one or lower the other"));
    }
    if caps.network.mode == Some(NetworkMode::Open) && caps.network.allow.is_some() {
        let fault = "`allow` says nothing where `mode` is `open`";
        return Err(text
            .fault(at("allow"), fault)
            .hint("write `mode = \"list\"`, or leave it out"));
    }
    Ok(caps)
}

fn only_a_persons(
    text: &Text,
    node: &Node,
    table: &Table,
    name: &str,
    who: &str,
) -> Result<(), ConfigError> {
    for key in table.keys {
        let Some(said) = node.get(key.name) else { continue };
        let name = format!("{name}.{}", key.name);
        if let Shape::Table(inner) = key.shape {
            only_a_persons(text, said, inner, &name, who)?;
        }
        if let Merge::PersonOnly { but } = key.merge
            && !said.text().is_some_and(|said| but.contains(&said))
        {
            let fault = match but {
                [] => format!("{who} cannot say `{name}`"),
                but => format!("{who} can say of `{name}` only {}", nearest::listed(but)),
            };
            let hint = "say it in your own `orchestrator.toml`, or with `--config`";
            return Err(text.fault(said.at, fault).hint(hint));
        }
    }
    Ok(())
}

/// A value with the keys of tables as we spell them. Names that somebody gave stay as they are.
fn to_json(node: &Node, shape: &Shape) -> Json {
    match (&node.value, shape) {
        (Value::Table(_), Shape::Table(table)) => {
            let said = table.keys.iter().filter_map(|key| {
                Some((key.name.to_owned(), to_json(node.get(key.name)?, &key.shape)))
            });
            said.collect::<Map<_, _>>().into()
        }
        (Value::Table(pairs), _) => {
            let pairs = pairs.iter().map(|(key, node)| (key.name.clone(), to_json(node, shape)));
            pairs.collect::<Map<_, _>>().into()
        }
        (Value::List(items), _) => items.iter().map(|item| to_json(item, shape)).collect(),
        (Value::Text(text), _) => text.as_str().into(),
        (Value::Truth(truth), _) => (*truth).into(),
        (Value::Null | Value::Whole(_) | Value::Fraction(_) | Value::Date(_), _) => Json::Null,
    }
}
