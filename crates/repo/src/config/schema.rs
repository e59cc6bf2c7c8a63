//! The JSON Schema of a config file, made from the same tables that files are checked against.

use serde_json::{Map, Value as Json, json};

use super::{
    keys::{FILE, KINDS, Key, PIPELINE, Role, STAGE_SET, Shape, Table},
    rules::Rule,
    settings::NEVER,
};

/// The schema of `.codex/orchestrator.toml`, for editors.
#[must_use]
pub fn schema() -> Json {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "the config of codex-orchestrator",
    });
    let (Some(all), Json::Object(file)) = (schema.as_object_mut(), table(&FILE)) else {
        return schema;
    };
    all.extend(file);
    let kinds = KINDS.iter().map(|kind| {
        let mut stage = table(&kind.table);
        stage["properties"]["kind"]["enum"] = json!(kind.names);
        stage
    });
    all.insert(
        "$defs".to_owned(),
        json!({
            "stage": {"anyOf": kinds.collect::<Vec<_>>()},
            "pipeline": table(&PIPELINE),
        }),
    );
    schema
}

fn table(table: &Table) -> Json {
    let mut properties = Map::new();
    let mut required = vec![];
    let current = |key: &&Key| !matches!(key.role, Role::Older | Role::Gone(_));
    for key in table.keys.iter().filter(current) {
        properties.insert(key.name.to_owned(), property(key));
        let camel = camel(key.name);
        let needed = key.role == Role::Needed;
        if camel != key.name {
            let mut other = property(key);
            other["deprecated"] = json!(true);
            properties.insert(camel, other);
        }
        required.extend(needed.then_some(key.name));
    }
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn property(key: &Key) -> Json {
    let mut property = shape(&key.shape);
    match key.role {
        Role::Idle(why) => {
            property["description"] = json!(format!("no effect: {why}"));
            property["deprecated"] = json!(true);
        }
        Role::Read | Role::Needed | Role::Preferences | Role::Older | Role::Gone(_) => {
            property["description"] = json!(key.about);
        }
    }
    property
}

fn camel(snake: &str) -> String {
    let mut words = snake.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.extend(letters);
    }
    camel
}

const NAME: &str = r"^[A-Za-z0-9](?!.*\.\.)[A-Za-z0-9._:-]{0,127}$";

fn shape(shape: &Shape) -> Json {
    match shape {
        Shape::Text => json!({"type": "string", "pattern": r"\S"}),
        Shape::Name => json!({"type": "string", "pattern": NAME}),
        Shape::Truth => json!({"type": "boolean"}),
        Shape::Count { least, most } => {
            json!({"type": "integer", "minimum": least, "maximum": most})
        }
        Shape::Time { zero } => json!({"anyOf": time(*zero)}),
        Shape::Expiry => {
            let [text, number] = time(false);
            json!({"anyOf": [{"const": NEVER}, text, number]})
        }
        Shape::OneOf(choices) => json!({"enum": choices}),
        Shape::SomeOf(choices) => json!({"type": "array", "items": {"enum": choices}}),
        Shape::Folders => json!({
            "type": "array",
            "items": {"type": "string", "pattern": r"^(?!~[^/])[^\u0000]*\S"},
        }),
        Shape::Url => json!({"type": "string", "pattern": r"^https?://(?![/?#])[!-~]+$"}),
        Shape::Command => json!({"anyOf": [
            {"type": "string", "pattern": r"\S"},
            {"type": "array", "items": {"type": "string"}, "minItems": 1},
        ]}),
        Shape::Folder => json!({"type": "string", "pattern": r"^(?!/).*\S"}),
        Shape::Names => json!({"type": "array", "items": {"type": "string", "pattern": NAME}}),
        Shape::Texts => json!({"type": "array", "items": {"type": "string", "pattern": r"\S"}}),
        Shape::Each(rule) => each(rule),
        // Every server has every tool, or none is spoken of.
        Shape::EachBy { names, texts } => json!({
            "type": "object",
            "propertyNames": {"pattern": names.pattern},
            "patternProperties": {"^[*]$": {"contains": {"const": "*"}}, "": each(texts)},
        }),
        Shape::Env => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        Shape::Table(inner) => table(inner),
        Shape::Pipelines => json!({"anyOf": [
            {
                "type": "object",
                "propertyNames": {"pattern": NAME},
                "additionalProperties": {"$ref": "#/$defs/pipeline"},
            },
            {"type": "array", "items": {"$ref": "#/$defs/pipeline", "required": ["id"]}},
        ]}),
        Shape::StageSets => json!({
            "type": "object",
            "propertyNames": {"pattern": NAME},
            "additionalProperties": {"anyOf": [stages(), table(&STAGE_SET)]},
        }),
        Shape::Stages => stages(),
        Shape::Anything => json!({}),
    }
}

fn time(zero: bool) -> [Json; 2] {
    let (some, least) = if zero { (r"\d", "minimum") } else { (".*[1-9]", "exclusiveMinimum") };
    let units = r"(\d+|(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?)";
    [
        json!({"type": "string", "pattern": format!(r"^\s*(?={some}){units}\s*$")}),
        json!({"type": "number", least: 0}),
    ]
}

fn each(rule: &Rule) -> Json {
    json!({"type": "array", "items": {"type": "string", "pattern": rule.pattern}})
}

fn stages() -> Json {
    json!({"type": "array", "items": {"$ref": "#/$defs/stage"}, "minItems": 1})
}
