//! The tools: what each takes and gives, and who may use it. One file each.

#[cfg(test)]
mod any;
mod cancel;
mod list;
mod log;
mod message;
mod pause;
mod question;
mod result;
mod shown;
mod spawn;
mod status;
mod wait;

use std::sync::Arc;

use model::Mode;
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use schemars::{
    JsonSchema,
    generate::{Contract, SchemaSettings},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{desk::Call, fault::Fault};
pub use spawn::Leave;
pub(crate) use spawn::{leave, untrusted};

/// What a tool is.
pub(crate) trait Offer {
    /// What it takes.
    type Input: DeserializeOwned + JsonSchema;
    /// What it gives.
    type Output: Serialize + JsonSchema;
    const NAME: &'static str;
    const TITLE: &'static str;
    /// For the model, with every limit: clients drop those that stand in schemas.
    const ABOUT: &'static str;
    /// It changes nothing.
    const READ_ONLY: bool;
    /// Doing it twice is doing it once.
    const IDEMPOTENT: bool;
    /// Servers of this mode and of wider ones offer it.
    const LEAST: Mode;

    fn call(call: &Call<'_>, input: Self::Input) -> Result<Self::Output, Fault>;
}

/// A tool, as the server keeps it.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) least: Mode,
    make: fn() -> Tool,
    pub(crate) call: fn(&Call<'_>, JsonObject) -> Result<Value, Fault>,
}

impl Entry {
    const fn of<T: Offer>() -> Self {
        Self { name: T::NAME, least: T::LEAST, make: tool::<T>, call: call::<T> }
    }

    /// Its name as caps have it.
    pub(crate) fn plain_name(&self) -> &'static str {
        self.name.strip_prefix("delegate.").unwrap_or(self.name)
    }

    pub(crate) fn tool(&self) -> Tool {
        (self.make)()
    }
}

/// All of them, in the order in which they are shown.
pub(crate) const ALL: &[Entry] = &[
    Entry::of::<spawn::Spawn>(),
    Entry::of::<status::Status>(),
    Entry::of::<wait::Wait>(),
    Entry::of::<message::Message>(),
    Entry::of::<pause::Pause>(),
    Entry::of::<cancel::Cancel>(),
    Entry::of::<list::List>(),
    Entry::of::<log::Log>(),
    Entry::of::<result::Ended>(),
    Entry::of::<question::Enqueue>(),
    Entry::of::<question::Poll>(),
    Entry::of::<question::List>(),
    Entry::of::<question::Answer>(),
];

fn tool<T: Offer>() -> Tool {
    let annotations = ToolAnnotations::from_raw(
        Some(T::TITLE.to_owned()),
        Some(T::READ_ONLY),
        // Nothing here destroys: what is cancelled keeps its record and can be resumed.
        Some(false),
        Some(T::IDEMPOTENT),
        Some(false),
    );
    Tool::new(T::NAME, T::ABOUT, Arc::new(schema::<T::Input>(Contract::Deserialize)))
        .with_title(T::TITLE)
        .with_raw_output_schema(Arc::new(schema::<T::Output>(Contract::Serialize)))
        .with_annotations(annotations)
}

/// A schema that stands alone, without formats that clients do not know. What is given is described
/// as it is given: where something is left out when there is none of it, it is not required.
fn schema<T: JsonSchema>(contract: Contract) -> JsonObject {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.contract = contract;
    });
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let mut value = schema.to_value();
    plain(&mut value);
    match value {
        Value::Object(mut object) => {
            object.remove("$schema");
            object.remove("title");
            object.remove("description");
            object.entry("type").or_insert_with(|| "object".into());
            object
        }
        _ => JsonObject::new(),
    }
}

fn plain(value: &mut Value) {
    match value {
        Value::Object(object) => {
            let odd = |format: &Value| {
                format
                    .as_str()
                    .is_some_and(|format| format.starts_with("uint") || format.starts_with("int"))
            };
            if object.get("format").is_some_and(odd) {
                object.remove("format");
            }
            without_null(object);
            object.values_mut().for_each(plain);
            apart(object);
        }
        Value::Array(values) => values.iter_mut().for_each(plain),
        _ => {}
    }
}

/// What may be left out is not said to be nothing as well: there are clients for which a property
/// has one type, and models that are told of `null` send it. Who does is understood all the same.
fn without_null(object: &mut JsonObject) {
    let required = object.get("required").cloned().unwrap_or_default();
    let required =
        |name: &String| required.as_array().is_some_and(|all| all.contains(&json!(name)));
    let Some(Value::Object(properties)) = object.get_mut("properties") else { return };
    for property in properties.iter_mut().filter(|(name, _)| !required(name)).map(|(_, it)| it) {
        let Value::Object(property) = property else { continue };
        if let Some(Value::Array(types)) = property.get_mut("type") {
            types.retain(|name| name != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                property.insert("type".to_owned(), only);
            }
        }
        if let Some(Value::Array(ways)) = property.get_mut("anyOf") {
            ways.retain(|way| way["type"] != "null");
            if let [Value::Object(only)] = ways.as_slice() {
                let only = only.clone();
                property.remove("anyOf");
                // What is said of the property is more than what is said of its type.
                for (key, value) in only {
                    property.entry(key).or_insert(value);
                }
            }
        }
    }
}

/// What is always there and may be nothing is written as two types, each by itself.
fn apart(object: &mut JsonObject) {
    let Some(Value::Array(types)) = object.get("type") else { return };
    let rest: Vec<Value> = types.iter().filter(|name| *name != "null").cloned().collect();
    let [only] = rest.as_slice() else { return };
    let mut some = JsonObject::from_iter([("type".to_owned(), only.clone())]);
    let keys: Vec<String> = object.keys().cloned().collect();
    for key in keys {
        if !matches!(key.as_str(), "type" | "description" | "title" | "default") {
            some.extend(object.remove(&key).map(|value| (key, value)));
        }
    }
    object.remove("type");
    object.insert("anyOf".to_owned(), json!([some, { "type": "null" }]));
}

fn call<T: Offer>(call: &Call<'_>, input: JsonObject) -> Result<Value, Fault> {
    let input = serde_json::from_value(Value::Object(input)).map_err(|error| {
        Fault::invalid(format!("{}: {error}", T::NAME), "call it again with what its schema says")
    })?;
    let output = T::call(call, input)?;
    serde_json::to_value(output)
        .map_err(|error| Fault::new(crate::fault::Code::Internal, error, "report this as a bug"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_states_all_that_clients_decide_by() {
        for entry in ALL {
            let tool = entry.tool();
            let hints = tool.annotations.clone().unwrap();
            assert!(hints.read_only_hint.is_some() && hints.idempotent_hint.is_some());
            // What the stock client runs without asking anybody.
            assert_eq!((hints.destructive_hint, hints.open_world_hint), (Some(false), Some(false)));
            assert!(tool.title.is_some() && tool.output_schema.is_some(), "{}", tool.name);
            let about = tool.description.clone().unwrap();
            assert!(about.len() > 40 && about.len() < 1200, "{}: {}", tool.name, about.len());
            let text = serde_json::to_string(&tool).unwrap();
            assert!(!text.contains("uint"), "{text}");
            assert!(!text.contains("$ref"), "{text}");
            assert!(!text.contains(r#""type":["#), "some clients know one type at a time: {text}");
        }
    }

    #[test]
    fn what_may_be_left_out_is_not_nothing_as_well() {
        for entry in ALL {
            let schema = entry.tool().input_schema;
            let text = serde_json::to_string(&schema).unwrap();
            assert!(!text.contains("null"), "{}: {text}", entry.name);
        }
        let nothing: spawn::Input =
            serde_json::from_value(json!({ "pipeline": "x", "key": null, "delegate_mode": null }))
                .unwrap();
        drop(nothing);
    }

    #[test]
    fn caps_can_name_every_tool_and_nothing_else() {
        let names: Vec<&str> = ALL.iter().map(Entry::plain_name).collect();
        assert_eq!(names, model::caps::DelegateTools::KNOWN);
    }

    #[test]
    fn names_stay_apart_when_clients_replace_their_dots() {
        let mut names: Vec<String> = ALL.iter().map(|entry| entry.name.replace('.', "_")).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn unknown_arguments_are_refused() {
        for entry in ALL {
            let schema = entry.tool().input_schema;
            assert_eq!(schema["additionalProperties"], Value::Bool(false), "{}", entry.name);
        }
    }
}
