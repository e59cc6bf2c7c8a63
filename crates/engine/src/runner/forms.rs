//! What a thread, or a server that it called, wants to know, as questions that people read. Whoever
//! asks may mean no good: how much is asked and how long it is has bounds, and nothing in it makes a
//! terminal do anything.

use codex::Wanted;
use model::{Fallback, Format, Held, Matter, Shape};

use crate::asked::Field;

/// So many things are asked at once.
const MOST_QUESTIONS: usize = 20;

/// So many answers are there to choose from.
const MOST_OPTIONS: usize = 50;

/// So many characters of a question are shown.
const LONGEST: usize = 4000;

/// So many characters may an option have, or a name, or an address.
const LONGEST_WORD: usize = 500;

/// A question, as it is put down and as its answer is put.
#[derive(Debug, PartialEq)]
pub(super) struct Put {
    pub(super) prompt: String,
    pub(super) matter: Matter,
    pub(super) field: Field,
}

/// The questions of a thread, or of a server's form with what it says of it; or why they are not asked.
pub(super) fn put(
    questions: Vec<codex::Question>,
    form: Option<(&str, &str)>,
) -> Result<Vec<Put>, &'static str> {
    let count = questions.len();
    match count {
        0 => return Err("nothing is asked"),
        1..=MOST_QUESTIONS => {}
        _ => return Err("more than 20 things are asked at once"),
    }
    // What is answered stands in the record.
    let asked = questions.into_iter().filter(|asked| !asked.secret);
    let put: Vec<Put> = asked.map(|asked| one(asked, form)).collect::<Result<_, _>>()?;
    if put.is_empty() { Err("no secret is asked for, since answers are recorded") } else { Ok(put) }
}

fn one(asked: codex::Question, form: Option<(&str, &str)>) -> Result<Put, &'static str> {
    if asked.options.len() > MOST_OPTIONS {
        return Err("more than 50 options are offered");
    }
    let several = matches!(asked.wanted, Wanted::Several { .. });
    let mut options: Vec<(String, String)> = Vec::new();
    for (label, _) in &asked.options {
        let shown = plain(label, LONGEST_WORD);
        // Several are divided by commas.
        let shown = if several { shown.replace([',', '\n'], " ") } else { shown };
        let shown = shown.trim().to_owned();
        if shown.is_empty() || options.iter().any(|(other, _)| *other == shown) {
            return Err("options are offered that look alike, or like nothing");
        }
        options.push((shown, label.clone()));
    }
    let shape = shape(&asked.wanted);
    let prompt = prompt(&asked, form, shape.as_ref());
    let mut field = Field { id: asked.id, required: asked.required, default: None, shape, options };
    let default = asked.default.iter().map(|one| {
        let option = field.options.iter().find(|(_, label)| label == one);
        option.map_or_else(|| plain(one, LONGEST_WORD), |(shown, _)| shown.clone())
    });
    let default = Some(default.collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty());
    field.default = default.as_ref().and_then(|text| field.read(text));
    let matter = Matter::Question {
        options: field.options.iter().map(|(shown, _)| shown.clone()).collect(),
        default: default.filter(|_| field.default.is_some()),
        fallback: Fallback::Resume,
        auto_pause: false,
        shape: field.shape.clone(),
        held: Some(match form {
            None => Held::Thread,
            Some((server, _)) => Held::Server { name: plain(server, LONGEST_WORD) },
        }),
    };
    Ok(Put { prompt, matter, field })
}

fn shape(wanted: &Wanted) -> Option<Shape> {
    match wanted.clone() {
        Wanted::One => None,
        Wanted::Text { least, most, format } => {
            let format = format.and_then(|name| Format::named(&name));
            let is_any = (least, most, format) == (None, None, None);
            (!is_any).then_some(Shape::Text { least, most, format })
        }
        Wanted::Number { whole, least, most } => Some(Shape::Number { whole, least, most }),
        Wanted::Several { least, most } => Some(Shape::Several { least, most }),
        Wanted::Other => Some(Shape::Other),
    }
}

fn prompt(asked: &codex::Question, form: Option<(&str, &str)>, shape: Option<&Shape>) -> String {
    let (header, question) = (asked.header.trim(), asked.question.trim());
    let mut lines = Vec::new();
    if let Some((server, message)) = form {
        lines.push(format!("MCP server `{server}` asks: {}", message.trim()));
    }
    lines.push(match (form, question.is_empty()) {
        (_, true) => header.to_owned(),
        (None, false) => question.to_owned(),
        (Some(_), false) => format!("{header}: {question}"),
    });
    let explained = asked.options.iter().filter(|(_, meaning)| !meaning.trim().is_empty());
    lines.extend(explained.map(|(label, meaning)| format!("- {label}: {}", meaning.trim())));
    // One that nobody checks here.
    let format = match &asked.wanted {
        Wanted::Text { format: Some(name), .. } if Format::named(name).is_none() => {
            Some(format!("as {name}"))
        }
        _ => None,
    };
    let optional = (form.is_some() && !asked.required)
        .then(|| "it may be left out, by dismissing it".to_owned());
    let wanted = shape.map(ToString::to_string).into_iter().chain(format).chain(optional);
    let wanted: Vec<String> = wanted.collect();
    if !wanted.is_empty() {
        lines.push(format!("({})", wanted.join("; ")));
    }
    plain(&lines.join("\n"), LONGEST)
}

/// An address as it may be shown; nothing where not all of it would be.
pub(super) fn address(url: &str) -> Option<String> {
    let shown = plain(url, LONGEST);
    (shown == url && !url.contains(char::is_whitespace)).then_some(shown)
}

/// A text as it may be shown.
pub(super) fn message(text: &str) -> String {
    plain(text.trim(), LONGEST)
}

/// Without anything that a terminal would act on, or that would make words look like others, and as far
/// as so many characters.
fn plain(text: &str, most: usize) -> String {
    let shown = |c: &char| *c == '\n' || !(c.is_control() || model::misleads(*c));
    let clean: String = text.chars().filter(shown).take(most + 1).collect();
    match clean.chars().count() > most {
        true => clean.chars().take(most - 1).chain(['…']).collect(),
        false => clean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(question: &str, options: &[&str], wanted: Wanted) -> codex::Question {
        codex::Question {
            id: "f".to_owned(),
            header: "Count".to_owned(),
            question: question.to_owned(),
            options: options.iter().map(|it| ((*it).to_owned(), String::new())).collect(),
            wanted,
            required: false,
            default: Vec::new(),
            secret: false,
        }
    }

    const TEXT: Wanted = Wanted::Text { least: None, most: None, format: None };

    #[test]
    fn a_field_says_who_asks_what_is_wanted_and_whether_it_may_be_left_out() {
        let wanted = Wanted::Number { whole: true, least: Some(1.into()), most: Some(9.into()) };
        let mut question = asked("How many?", &[], wanted);
        question.default = vec!["3".to_owned()];
        let form = Some(("docs", "Well?"));
        let one = put(vec![question.clone()], form).unwrap().remove(0);
        assert_eq!(
            one.prompt,
            "MCP server `docs` asks: Well?\nCount: How many?\n\
             (a whole number, 1 to 9; it may be left out, by dismissing it)"
        );
        assert_eq!(one.field.default, Some(vec!["3".to_owned()]));
        question.required = true;
        question.default = vec!["30".to_owned()];
        let one = put(vec![question], form).unwrap().remove(0);
        assert!(one.prompt.ends_with("(a whole number, 1 to 9)"), "{}", one.prompt);
        assert_eq!(one.field.default, None, "it does not fit");
        let own = put(vec![asked("Which?", &["a", "b"], Wanted::One)], None).unwrap().remove(0);
        assert_eq!(own.prompt, "Which?");
    }

    #[test]
    fn a_format_is_said_in_words_and_checked_where_it_is_known() {
        let put_one = |format: &str, default: &str| {
            let format = Some(format.to_owned());
            let mut asked = asked("When?", &[], Wanted::Text { least: None, most: None, format });
            asked.default = vec![default.to_owned()];
            put(vec![asked], None).unwrap().remove(0)
        };
        let one = put_one("date", "today");
        assert_eq!(one.prompt, "When?\n(a date like 2026-11-30)");
        assert_eq!(one.field.default, None, "it is no date");
        assert_eq!(one.field.read("2026-11-31"), None);
        assert_eq!(one.field.read("2026-11-30 "), Some(vec!["2026-11-30".to_owned()]));
        assert!(matches!(one.matter, Matter::Question { shape: Some(_), default: None, .. }));
        let one = put_one("time", "noon");
        assert_eq!(one.prompt, "When?\n(as time)");
        assert_eq!(one.field.default, Some(vec!["noon".to_owned()]));
        assert!(matches!(one.matter, Matter::Question { shape: None, .. }));
    }

    #[test]
    fn what_is_asked_has_bounds_and_moves_no_terminal() {
        let many = |count| vec![asked("?", &[], TEXT); count];
        assert_eq!(put(many(20), None).map(|put| put.len()), Ok(20));
        assert!(put(many(21), None).is_err() && put(Vec::new(), None).is_err());
        let labels: Vec<String> = (0..51).map(|at| at.to_string()).collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        assert!(put(vec![asked("?", &labels, Wanted::One)], None).is_err());
        assert!(put(vec![asked("?", &labels[..50], Wanted::One)], None).is_ok());
        let alike = put(vec![asked("?", &["a\u{202e}", "a"], Wanted::One)], None);
        assert!(alike.is_err(), "{alike:?}");
        let long = format!("\u{1b}[2J{}", "x".repeat(9000));
        let one = put(vec![asked(&long, &["r\u{7}ed"], Wanted::One)], None).unwrap().remove(0);
        assert_eq!(one.prompt.chars().count(), 4000);
        assert!(one.prompt.starts_with("[2Jx") && one.prompt.ends_with('…'));
        assert_eq!(one.field.read("red"), Some(vec!["r\u{7}ed".to_owned()]));
        let mut secret = asked("Which key?", &[], TEXT);
        secret.secret = true;
        assert!(put(vec![secret.clone()], None).is_err());
        assert_eq!(put(vec![secret, asked("?", &[], TEXT)], None).map(|put| put.len()), Ok(1));
        assert_eq!(address("https://a.example/x").as_deref(), Some("https://a.example/x"));
        assert_eq!(address("https://a.example/\u{202e}x"), None);
        assert_eq!(address(&"x".repeat(4001)), None);
    }
}
