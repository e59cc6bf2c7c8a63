//! What an MCP server wants from a person, mostly a form to fill in: what it asks, and how what is
//! answered is put.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value, json};

use super::said::{Answer, Form, Question, Wanted};

/// What an MCP server wants from a person, as the protocol has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elicitation {
    /// What it says.
    pub message: String,
    /// The form; null where there is none.
    pub schema: Value,
    /// Where somebody is to go instead.
    pub url: Option<String>,
}

impl Elicitation {
    /// What a server asks by a request with these parameters. One of a kind that nobody here knows has
    /// neither a form nor an address.
    pub fn read(params: &Value) -> Self {
        let text = |name: &str| params[name].as_str().map(str::to_owned);
        let (schema, url) = match params["mode"].as_str() {
            Some("url") => (Value::Null, text("url")),
            Some("form") | None => (params["requestedSchema"].clone(), None),
            Some(_) => (Value::Null, None),
        };
        Self { message: text("message").unwrap_or_default(), schema, url }
    }

    /// What somebody has to do to accept it.
    pub fn form(&self) -> Form {
        match &self.url {
            Some(url) => Form::Visit { url: url.clone() },
            None => read(&self.schema),
        }
    }

    /// What the server is to hear of that answer.
    pub fn result(&self, answer: &Answer) -> Value {
        let (action, content) = self.outcome(answer);
        let mut result = json!({ "action": action });
        if !content.is_null() {
            result["content"] = content;
        }
        result
    }

    /// What is done with it, and what is filled in.
    pub(super) fn outcome(&self, answer: &Answer) -> (&'static str, Value) {
        match answer {
            Answer::Input { answers } => ("accept", filled_in(&self.schema, answers)),
            // Where there is no form, there is nothing in it.
            Answer::Once | Answer::Session | Answer::Rule => {
                ("accept", if self.schema.is_null() { Value::Null } else { json!({}) })
            }
            Answer::Deny | Answer::Decline => ("decline", Value::Null),
            Answer::Cancel => ("cancel", Value::Null),
        }
    }
}

/// A form, as the protocol has them: fields without depth.
#[derive(Deserialize)]
struct Schema {
    properties: Map<String, Value>,
    required: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Field {
    r#type: String,
    title: Option<String>,
    description: Option<String>,
    default: Value,
    format: Option<String>,
    min_length: Option<u64>,
    max_length: Option<u64>,
    minimum: Option<Number>,
    maximum: Option<Number>,
    min_items: Option<u64>,
    max_items: Option<u64>,
    items: Option<Choices>,
    #[serde(flatten)]
    choices: Choices,
}

/// What can be chosen from, in each of the ways to say it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Choices {
    r#enum: Option<Vec<String>>,
    enum_names: Option<Vec<String>>,
    one_of: Option<Vec<Choice>>,
    any_of: Option<Vec<Choice>>,
}

#[derive(Clone, Deserialize)]
struct Choice {
    r#const: String,
    title: String,
}

/// What a person answers for a truth.
const TRUTHS: [(&str, bool); 2] = [("yes", true), ("no", false)];

/// What is asked by a form.
fn read(schema: &Value) -> Form {
    let Ok(schema) = Schema::deserialize(schema) else { return Form::Strange };
    let required = schema.required.unwrap_or_default();
    let fields = schema.properties.iter().map(|(name, field)| {
        let field = Field::deserialize(field).ok()?;
        question(name, required.contains(name), field)
    });
    match fields.collect::<Option<Vec<_>>>() {
        None => Form::Strange,
        Some(fields) if fields.is_empty() => Form::Empty,
        Some(fields) => Form::Fields(fields),
    }
}

fn question(name: &str, required: bool, field: Field) -> Option<Question> {
    let mut choices = Vec::new();
    let wanted = match field.r#type.as_str() {
        "boolean" => {
            choices.extend(TRUTHS.map(|(word, _)| word.to_owned()));
            Wanted::One
        }
        "integer" | "number" => Wanted::Number {
            whole: field.r#type == "integer",
            least: field.minimum,
            most: field.maximum,
        },
        "array" => {
            choices.extend(field.items?.read()?.into_iter().map(|choice| choice.title));
            Wanted::Several { least: field.min_items, most: field.max_items }
        }
        "string" => match field.choices.read() {
            Some(read) => {
                choices.extend(read.into_iter().map(|choice| choice.title));
                Wanted::One
            }
            None => Wanted::Text {
                least: field.min_length,
                most: field.max_length,
                format: field.format,
            },
        },
        _ => return None,
    };
    Some(Question {
        id: name.to_owned(),
        header: field.title.unwrap_or_else(|| name.to_owned()),
        question: field.description.unwrap_or_default(),
        default: shown(&field.default),
        options: choices.into_iter().map(|choice| (choice, String::new())).collect(),
        wanted,
        required,
        secret: false,
    })
}

/// A default, as somebody would have answered it.
fn shown(default: &Value) -> Vec<String> {
    match default {
        Value::Bool(truth) => {
            let word = TRUTHS.into_iter().find(|(_, value)| value == truth);
            word.map(|(word, _)| word.to_owned()).into_iter().collect()
        }
        Value::Number(number) => vec![number.to_string()],
        Value::String(text) => vec![text.clone()],
        Value::Array(several) => several.iter().flat_map(shown).collect(),
        Value::Null | Value::Object(_) => Vec::new(),
    }
}

impl Choices {
    /// Those there are, each with its name for people.
    fn read(self) -> Option<Vec<Choice>> {
        if let Some(titled) = self.one_of.or(self.any_of) {
            return Some(titled);
        }
        let mut names = self.enum_names.unwrap_or_default().into_iter();
        let values = self.r#enum?.into_iter();
        let named = values.map(|value| {
            let title = names.next().unwrap_or_else(|| value.clone());
            Choice { r#const: value, title }
        });
        Some(named.collect())
    }
}

/// Answers are texts; a form may want numbers, truths, lists, and other words than a person chose.
fn filled_in(schema: &Value, answers: &BTreeMap<String, Vec<String>>) -> Value {
    let one = |(name, said): (&String, &Vec<String>)| {
        let field = Field::deserialize(&schema["properties"][name.as_str()]).unwrap_or_default();
        let first = said.first().map_or("", String::as_str);
        let value = match field.r#type.as_str() {
            "boolean" => TRUTHS.contains(&(first, true)).into(),
            "integer" | "number" => {
                serde_json::from_str(first).unwrap_or_else(|_| Value::from(first))
            }
            "array" => {
                let choices = field.items.and_then(Choices::read).unwrap_or_default();
                json!(said.iter().map(|one| chosen(&choices, one)).collect::<Vec<_>>())
            }
            _ => chosen(&field.choices.read().unwrap_or_default(), first).into(),
        };
        (name.clone(), value)
    };
    answers.iter().map(one).collect()
}

fn chosen<'a>(choices: &'a [Choice], said: &'a str) -> &'a str {
    let named = choices.iter().find(|choice| choice.title == said);
    named.map_or(said, |choice| &choice.r#const)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is asked by that field, and how that answer to it is put.
    #[track_caller]
    fn check(field: &Value, options: &[&str], wanted: &Wanted, said: &[&str], put: &Value) {
        let schema = json!({ "type": "object", "properties": { "f": field }, "required": ["f"] });
        let Form::Fields(fields) = read(&schema) else { panic!("{field}") };
        let [asked] = &fields[..] else { panic!("{fields:?}") };
        let offered: Vec<&str> = asked.options.iter().map(|(label, _)| label.as_str()).collect();
        assert_eq!(offered, options, "{field}");
        assert_eq!(&asked.wanted, wanted, "{field}");
        assert!(asked.required);
        let said = said.iter().map(|&it| it.to_owned()).collect();
        let answers = BTreeMap::from([("f".to_owned(), said)]);
        assert_eq!(filled_in(&schema, &answers), json!({ "f": put }), "{field}");
    }

    #[test]
    fn each_kind_of_field_is_asked_for_and_filled_in() {
        let text = |least, most, format: Option<&str>| Wanted::Text {
            least,
            most,
            format: format.map(ToOwned::to_owned),
        };
        let string = json!({"type": "string", "minLength": 1, "maxLength": 5, "format": "email"});
        check(&string, &[], &text(Some(1), Some(5), Some("email")), &["a@b"], &json!("a@b"));
        check(&json!({"type": "string"}), &[], &text(None, None, None), &["5"], &json!("5"));
        let whole = json!({"type": "integer", "minimum": 1, "maximum": 9});
        let least = |whole, least| Wanted::Number { whole, least, most: Some(9.into()) };
        check(&whole, &[], &least(true, Some(1.into())), &["3"], &json!(3));
        let number = json!({"type": "number", "maximum": 9});
        check(&number, &[], &least(false, None), &["1.5"], &json!(1.5));
        let truth = json!({"type": "boolean"});
        check(&truth, &["yes", "no"], &Wanted::One, &["yes"], &json!(true));
        check(&truth, &["yes", "no"], &Wanted::One, &["no"], &json!(false));
        let one = json!({"type": "string", "enum": ["r", "g"]});
        check(&one, &["r", "g"], &Wanted::One, &["g"], &json!("g"));
        let named = json!({"type": "string", "enum": ["r", "g"], "enumNames": ["Red"]});
        check(&named, &["Red", "g"], &Wanted::One, &["Red"], &json!("r"));
        let titled = json!([{"const": "r", "title": "Red"}, {"const": "g", "title": "Green"}]);
        let one = json!({"type": "string", "oneOf": titled});
        check(&one, &["Red", "Green"], &Wanted::One, &["Green"], &json!("g"));
        let some = |least, most| Wanted::Several { least, most };
        let several = json!({"type": "array", "items": {"anyOf": titled}, "minItems": 1});
        let both = json!(["r", "g"]);
        check(&several, &["Red", "Green"], &some(Some(1), None), &["Red", "Green"], &both);
        let items = json!({"type": "string", "enum": ["r", "g"]});
        let several = json!({"type": "array", "items": items, "maxItems": 1});
        check(&several, &["r", "g"], &some(None, Some(1)), &["r"], &json!(["r"]));
    }

    #[test]
    fn a_form_says_what_it_takes_for_granted_and_what_may_be_left_out() {
        let schema = json!({ "type": "object", "required": ["b"], "properties": {
            "a": { "type": "boolean", "title": "Sure", "description": "Are you?", "default": true },
            "b": { "type": "integer", "default": 3 },
        }});
        let Form::Fields(fields) = read(&schema) else { panic!("{schema}") };
        let seen = fields.iter().map(|it| {
            let words = (it.header.as_str(), it.question.as_str(), it.default[0].as_str());
            (words, it.required)
        });
        let expected = [(("Sure", "Are you?", "yes"), false), (("b", "", "3"), true)];
        assert_eq!(seen.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_no_form_of_the_protocol_is_strange_and_one_without_fields_is_a_yes_or_no() {
        assert_eq!(read(&json!({ "type": "object", "properties": {} })), Form::Empty);
        for strange in [
            json!(null),
            json!({ "type": "object" }),
            json!({ "properties": { "a": { "type": "object", "properties": {} } } }),
            json!({ "properties": { "a": { "type": "array", "items": { "type": "string" } } } }),
            json!({ "properties": { "a": 1 } }),
        ] {
            assert_eq!(read(&strange), Form::Strange, "{strange}");
        }
    }
}
