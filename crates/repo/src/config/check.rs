//! Whether a text has only keys that we know, with values that they can have. What passes here is
//! read without another look at its types.

use model::{LONGEST_DURATION, StageId, TaskId, parse_duration};

use super::{
    error::ConfigError,
    keys::{FILE, KINDS, Key, Kind, PIPELINE, Role, STAGE_SET, Shape, Table},
    node::{self, Node, Value},
    rules::Rule,
    settings::{NEVER, is_url},
    text::{Form, Text},
};

/// Something worth saying about a config that is no error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where it is about, as a person would name it.
    pub place: String,
    /// What there is to say.
    pub text: String,
}

/// Checks a whole text.
pub(super) fn check(text: &Text, root: &Node, notes: &mut Vec<Note>) -> Result<(), ConfigError> {
    Checked { text, notes }.table(root, &FILE, "the config")
}

struct Checked<'a> {
    text: &'a Text,
    notes: &'a mut Vec<Note>,
}

impl Checked<'_> {
    fn table(&mut self, node: &Node, table: &Table, name: &str) -> Result<(), ConfigError> {
        self.is_table(node, name, "a table")?;
        for (at, (written, value)) in node.pairs().iter().enumerate() {
            let key = self.key(written, table)?;
            let twice = node.pairs()[..at].iter().find(|(other, _)| other.snake() == key.name);
            if let Some((other, _)) = twice {
                let (one, two) = (&other.name, &written.name);
                let fault = self.text.fault(written.at, format!("`{one}` and `{two}` are one key"));
                return Err(fault.hint("keep one of them"));
            }
            if let Role::Gone(instead) = key.role {
                let fault = format!("`{}` in {} is no longer read", key.name, table.what);
                return Err(self.text.fault(written.at, fault).hint(instead));
            }
            if value.value == Value::Null {
                continue;
            }
            self.shape(value, &key.shape, &written.name)?;
            if let Role::Idle(why) = key.role {
                let text = format!("`{}` has no effect: {why}", key.name);
                self.notes.push(Note { place: self.text.place(written.at), text });
            }
        }
        let missing = |key: &&Key| key.role == Role::Needed && node.get(key.name).is_none();
        match table.keys.iter().find(missing) {
            Some(key) => {
                let what = table.what;
                Err(self.text.fault(node.at, format!("{what} without `{}`", key.name)))
            }
            None => Ok(()),
        }
    }

    fn known(&self, key: &Key) -> bool {
        key.role != Role::Older || self.text.form == Form::Json
    }

    fn key<'t>(&self, written: &node::Key, table: &'t Table) -> Result<&'t Key, ConfigError> {
        let snake = written.snake();
        let same = |key: &&Key| key.name == written.name || key.name == snake;
        if let Some(key) = table.keys.iter().find(same).filter(|key| self.known(key)) {
            return Ok(key);
        }
        let name = written.name.escape_debug();
        let fault = self.text.fault(written.at, format!("unknown key `{name}` in {}", table.what));
        let of_kind = |kind: &&Kind| {
            kind.table.what != table.what && kind.table.keys.iter().any(|key| same(&key))
        };
        let of_stage = KINDS.iter().any(|kind| kind.table.what == table.what);
        match KINDS.iter().filter(|_| of_stage).find(of_kind) {
            Some(_) if snake == "optional" => Err(fault.hint("write `allow_failure`")),
            Some(kind) => Err(fault.hint(format!("it is a key of {}", kind.table.what))),
            None => {
                let past = |key: &Key| matches!(key.role, Role::Idle(_) | Role::Gone(_));
                let shown = |key: &&Key| self.known(key) && !past(key);
                let names = table.keys.iter().filter(shown).map(|key| key.name);
                Err(fault.meant(&snake, names, "its keys are"))
            }
        }
    }

    fn shape(&mut self, node: &Node, shape: &Shape, name: &str) -> Result<(), ConfigError> {
        match shape {
            Shape::Anything => Ok(()),
            Shape::Text => self.words(node, name),
            Shape::Name => self.name(node, name),
            Shape::Truth => match node.truth() {
                Some(_) => Ok(()),
                None => Err(self.wrong(node, name, "it is `true` or `false`")),
            },
            Shape::Count { least, most } => match node.count() {
                Some(count) if (*least..=*most).contains(&count) => Ok(()),
                _ => Err(self.wrong(
                    node,
                    name,
                    &format!("it is a whole number from {least} to {most}"),
                )),
            },
            Shape::Time { zero } => self.time(node, *zero, name),
            Shape::Expiry if node.text() == Some(NEVER) => Ok(()),
            Shape::Expiry => self.time(node, false, name),
            Shape::OneOf(choices) => self.one_of(node, choices, name, "it is one of"),
            Shape::SomeOf(choices) => self.each(node, name, "words", |this, item, name| {
                this.one_of(item, choices, name, "the words are")
            }),
            Shape::Command => self.command(node, name),
            Shape::Folder => self.folder(node, name),
            Shape::Folders => self.each(node, name, "folders", Self::folder_anywhere),
            Shape::Url => match node.text() {
                Some(text) if is_url(text) => Ok(()),
                // Not shown: an address may be a secret.
                _ => {
                    let fault = self.text.fault(node.at, format!("`{name}` is no address"));
                    Err(fault.hint("it begins with `https://` or `http://`"))
                }
            },
            Shape::Names => self.each(node, name, "names", Self::name),
            Shape::Texts => self.each(node, name, "texts", Self::words),
            Shape::Each(rule) => self.each_by(node, name, rule),
            Shape::EachBy { names, texts } => self.lists_by(node, name, names, texts),
            Shape::Env => self.env(node, name),
            Shape::Table(table) => self.table(node, table, name),
            Shape::Pipelines => self.pipelines(node, name),
            Shape::StageSets => self.stage_sets(node, name),
            Shape::Stages => self.stages(node, name),
        }
    }

    fn wrong(&self, node: &Node, name: &str, right: &str) -> ConfigError {
        let name = name.escape_debug();
        let fault = format!("`{name}` cannot be {}", node.shown());
        self.text.fault(node.at, fault).hint(right)
    }

    fn is_table(&self, node: &Node, name: &str, right: &str) -> Result<(), ConfigError> {
        match node.value {
            Value::Table(_) => Ok(()),
            _ if name == "the config" => {
                let fault = format!("a config cannot be {}", node.shown());
                Err(self.text.fault(node.at, fault).hint("it is a table of keys"))
            }
            _ => Err(self.wrong(node, name, &format!("it is {right}"))),
        }
    }

    fn each(
        &mut self,
        node: &Node,
        name: &str,
        of: &str,
        check: impl Fn(&mut Self, &Node, &str) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        match &node.value {
            Value::List(items) => items.iter().try_for_each(|item| check(self, item, name)),
            _ => Err(self.wrong(node, name, &format!("it is a list of {of}"))),
        }
    }

    fn words(&mut self, node: &Node, name: &str) -> Result<(), ConfigError> {
        match node.text() {
            None => Err(self.wrong(node, name, "it is a text")),
            Some(text) if text.trim().is_empty() => Err(self.wrong(node, name, "leave it out")),
            Some(text) => self.no_nul(node, name, text),
        }
    }

    /// No program can be given a text with a NUL character in it.
    fn no_nul(&self, node: &Node, name: &str, text: &str) -> Result<(), ConfigError> {
        if text.contains('\0') {
            let name = name.escape_debug();
            return Err(self.text.fault(node.at, format!("`{name}` has a NUL character in it")));
        }
        Ok(())
    }

    fn name(&mut self, node: &Node, name: &str) -> Result<(), ConfigError> {
        let Some(text) = node.text() else {
            return Err(self.wrong(node, name, "it is a name"));
        };
        match is_name(text) {
            Ok(()) => Ok(()),
            Err(right) => Err(self.wrong(node, name, &right)),
        }
    }

    fn time(&mut self, node: &Node, zero: bool, name: &str) -> Result<(), ConfigError> {
        match time(node) {
            Some(length) if zero || !length.is_zero() => Ok(()),
            Some(_) => Err(self.wrong(node, name, "it is longer than nothing")),
            None => {
                let right = "it is a length of time such as `90s`, `10m` or `1h30m`";
                Err(self.wrong(node, name, right))
            }
        }
    }

    fn command(&mut self, node: &Node, name: &str) -> Result<(), ConfigError> {
        let blank = |text: &str| text.trim().is_empty();
        match &node.value {
            Value::Text(line) if blank(line) => {
                Err(self.wrong(node, name, "write what is to be run"))
            }
            Value::Text(line) => self.no_nul(node, name, line),
            Value::List(words) => {
                for word in words {
                    let Some(text) = word.text() else {
                        return Err(self.wrong(
                            word,
                            name,
                            "a program and its arguments are texts",
                        ));
                    };
                    self.no_nul(word, name, text)?;
                }
                match words.first().and_then(Node::text) {
                    Some(program) if !blank(program) => Ok(()),
                    _ => Err(self
                        .text
                        .fault(node.at, format!("`{name}` names no program"))
                        .hint("write it as `[\"program\", \"argument\"]`")),
                }
            }
            _ => Err(self.wrong(node, name, "it is a text, or a list of texts")),
        }
    }

    fn folder(&mut self, node: &Node, name: &str) -> Result<(), ConfigError> {
        self.words(node, name)?;
        let text = node.text().unwrap_or_default();
        let mut depth = 0_usize;
        let outside = text.starts_with('/')
            || text.split('/').any(|part| match part {
                "" | "." => false,
                ".." => match depth.checked_sub(1) {
                    Some(less) => {
                        depth = less;
                        false
                    }
                    None => true,
                },
                _ => {
                    depth += 1;
                    false
                }
            });
        match outside {
            true => Err(self.wrong(node, name, "it is a folder inside the work tree")),
            false => Ok(()),
        }
    }

    fn folder_anywhere(&mut self, node: &Node, name: &str) -> Result<(), ConfigError> {
        self.words(node, name)?;
        let text = node.text().unwrap_or_default();
        // The home of somebody else is found by asking the system, which a config does not.
        match text.strip_prefix('~') {
            Some(rest) if !rest.is_empty() && !rest.starts_with('/') => {
                Err(self.wrong(node, name, "`~/` begins a folder in your own home"))
            }
            _ => Ok(()),
        }
    }

    fn one_of(
        &mut self,
        node: &Node,
        choices: &[&str],
        name: &str,
        all: &str,
    ) -> Result<(), ConfigError> {
        match node.text() {
            Some(text) if choices.contains(&text) => Ok(()),
            text => {
                let fault = format!("`{name}` cannot be {}", node.shown());
                let fault = self.text.fault(node.at, fault);
                Err(fault.meant(text.unwrap_or_default(), choices.iter().copied(), all))
            }
        }
    }

    fn each_by(&mut self, node: &Node, name: &str, rule: &Rule) -> Result<(), ConfigError> {
        self.each(node, name, rule.what, |this, item, name| match item.text() {
            None => Err(this.wrong(item, name, &format!("it is a list of {}", rule.what))),
            Some(text) => match (rule.fault)(text) {
                Some(right) => Err(this.wrong(item, name, &right)),
                None => Ok(()),
            },
        })
    }

    fn lists_by(
        &mut self,
        node: &Node,
        name: &str,
        names: &Rule,
        texts: &Rule,
    ) -> Result<(), ConfigError> {
        self.is_table(node, name, &format!("a table of {}", names.what))?;
        for (key, value) in node.pairs() {
            if let Some(right) = (names.fault)(&key.name) {
                let fault = format!("`{}` cannot stand in `{name}`", key.name.escape_debug());
                return Err(self.text.fault(key.at, fault).hint(right));
            }
            self.each_by(value, &key.name, texts)?;
            let all = |node: &Node| node.items().iter().any(|item| item.text() == Some("*"));
            if key.name == "*" && !all(value) {
                let right = "every server has every tool: `\"*\" = [\"*\"]`";
                return Err(self.wrong(value, "*", right));
            }
        }
        Ok(())
    }

    fn env(&mut self, node: &Node, name: &str) -> Result<(), ConfigError> {
        self.is_table(node, name, "a table of variables")?;
        for (key, value) in node.pairs() {
            if key.name.is_empty() || key.name.contains(['=', '\0']) {
                let name = key.name.escape_debug();
                let fault = format!("`{name}` cannot be the name of a variable");
                return Err(self.text.fault(key.at, fault));
            }
            // An empty value is one: it is how a variable is blanked.
            match &value.value {
                Value::Text(text) => self.no_nul(value, &key.name, text)?,
                Value::Truth(_) | Value::Whole(_) | Value::Fraction(_) => {
                    return Err(self.wrong(
                        value,
                        &key.name,
                        "variables are texts; put it in quotes",
                    ));
                }
                _ => return Err(self.wrong(value, &key.name, "variables are texts")),
            }
        }
        Ok(())
    }

    fn pipelines(&mut self, node: &Node, name: &str) -> Result<(), ConfigError> {
        if self.text.form == Form::Entry {
            let fault = "pipelines cannot be written in one line";
            return Err(self.text.fault(node.at, fault).hint("write them in a config file"));
        }
        if let Value::List(items) = &node.value {
            for item in items {
                self.table(item, &PIPELINE, "pipeline")?;
                if item.get("id").is_none() {
                    return Err(self.text.fault(item.at, "a pipeline without `id`"));
                }
            }
            return Ok(());
        }
        self.is_table(node, name, "a table of pipelines, or a list")?;
        for (key, value) in node.pairs() {
            self.named(key, "a pipeline")?;
            self.table(value, &PIPELINE, &key.name)?;
            if let Some(id) = value.get("id").filter(|id| id.text() != Some(&key.name)) {
                let fault = format!("pipeline `{}` has the `id` {}", key.name, id.shown());
                return Err(self.text.fault(id.at, fault).hint("leave out the `id`"));
            }
        }
        Ok(())
    }

    fn stage_sets(&mut self, node: &Node, name: &str) -> Result<(), ConfigError> {
        if self.text.form == Form::Entry {
            let fault = "stage sets cannot be written in one line";
            return Err(self.text.fault(node.at, fault).hint("write them in a config file"));
        }
        self.is_table(node, name, "a table of stage sets")?;
        for (key, value) in node.pairs() {
            self.named(key, "a stage set")?;
            match &value.value {
                Value::List(_) => self.stages(value, &key.name)?,
                _ => self.table(value, &STAGE_SET, &key.name)?,
            }
        }
        Ok(())
    }

    fn named(&self, key: &node::Key, what: &str) -> Result<(), ConfigError> {
        is_name(&key.name).map_err(|right| {
            let name = key.name.escape_debug();
            self.text.fault(key.at, format!("`{name}` cannot name {what}")).hint(right)
        })
    }

    fn stages(&mut self, node: &Node, name: &str) -> Result<(), ConfigError> {
        let Value::List(stages) = &node.value else {
            return Err(self.wrong(node, name, "it is a list of stages"));
        };
        for stage in stages {
            self.is_table(stage, "stage", "a table")?;
            let kind = kind_of(self.text, stage)?;
            self.table(stage, &kind.table, "stage")?;
        }
        Ok(())
    }
}

/// What kind of stage it is, as it says or as its keys tell.
pub(super) fn kind_of(text: &Text, stage: &Node) -> Result<&'static Kind, ConfigError> {
    if let Some(said) = stage.get("kind") {
        let name = said.text().unwrap_or_default();
        if let Some(kind) = KINDS.iter().find(|kind| kind.names.contains(&name)) {
            return Ok(kind);
        }
        let names = KINDS.iter().map(|kind| kind.names[0]);
        let fault = text.fault(said.at, format!("unknown kind of stage {}", said.shown()));
        return Err(fault.meant(name, names, "the kinds are"));
    }
    let is_marked = |kind: &&Kind| {
        stage.get(kind.mark).is_some()
            || (kind.mark == "prompt" && stage.get("prompt_file").is_some())
    };
    let mut marked = KINDS.iter().filter(is_marked);
    match (marked.next(), marked.next()) {
        (Some(kind), None) => Ok(kind),
        (Some(one), Some(two)) => {
            let fault = format!("a stage with both `{}` and `{}`", one.mark, two.mark);
            Err(text.fault(stage.at, fault).hint("make two stages of it"))
        }
        (None, _) => {
            // A slip in the one key that would have told is the likeliest reason.
            let marks: Vec<&str> = KINDS.iter().map(|kind| kind.mark).collect();
            for (key, _) in stage.pairs() {
                if let Some(near) = super::nearest::nearest(&key.name, marks.iter().copied()) {
                    let fault = format!("unknown key `{}` in a stage", key.name.escape_debug());
                    return Err(text.fault(key.at, fault).hint(format!("did you mean `{near}`?")));
                }
            }
            Err(text
                .fault(stage.at, "a stage without `command`")
                .hint("it has a `command`, a `prompt`, a `pipeline` or a `ref`"))
        }
    }
}

/// A length of time: with units, or a number of seconds.
pub(super) fn time(node: &Node) -> Option<std::time::Duration> {
    match &node.value {
        Value::Text(text) => parse_duration(text).ok(),
        Value::Whole(seconds) => u64::try_from(*seconds).ok().map(std::time::Duration::from_secs),
        // To the millisecond, like every other time.
        Value::Fraction(seconds) => {
            std::time::Duration::try_from_secs_f64((*seconds * 1000.0).round() / 1000.0).ok()
        }
        _ => None,
    }
    .filter(|length| *length <= LONGEST_DURATION)
}

/// Names become parts of file names and of the names of stages, so all have the rule of those.
fn is_name(text: &str) -> Result<(), String> {
    let rule =
        "names have letters, digits, `.`, `_`, `:` and `-`, and begin with a letter or digit";
    match text.parse::<StageId>() {
        Ok(id) if id.outer().is_none() => Ok(()),
        _ => Err(match TaskId::from_words(text) {
            Some(near) if text.len() <= 128 => format!("{rule}, such as `{near}`"),
            _ => rule.to_owned(),
        }),
    }
}
