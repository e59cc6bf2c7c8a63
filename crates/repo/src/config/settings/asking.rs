//! What is asked of people, and how they hear of it.

use std::{collections::BTreeSet, fmt, time::Duration};

use model::{CommandLine, Fallback, Notice};

/// `[questions]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuestionSettings {
    /// How long a question is open that does not say so itself; `None` is for ever.
    pub expires_in: Option<Duration>,
    /// What follows when nobody has answered by then, where the question does not say.
    pub fallback: Fallback,
    /// Whether a run that asks waits for the answer.
    pub auto_pause: bool,
    /// Whether whoever sits at a session is shown what its runs ask, before its agent is told.
    pub forms: bool,
}

/// `[notify]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifySettings {
    /// What is run for each notice.
    pub command: Option<CommandLine>,
    /// What is sent each notice.
    pub webhook: Option<Webhook>,
    /// What is worth a notice.
    pub on: BTreeSet<Notice>,
    /// How often a notice is tried again that failed.
    pub retries: u32,
    /// How long one try may take.
    pub timeout: Duration,
}

impl NotifySettings {
    /// The command as a record may show it: its arguments may be secrets.
    #[must_use]
    pub fn shown_command(&self) -> Option<String> {
        let (program, more) = match self.command.as_ref()? {
            CommandLine::Argv(words) => (words.first().map_or("", String::as_str), words.len() > 1),
            CommandLine::Shell(line) => {
                let line = line.trim();
                let (program, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
                (program, !rest.is_empty())
            }
        };
        Some(match (program, more) {
            // A variable that is set for the command.
            (program, _) if program.contains('=') => "…".to_owned(),
            (program, true) => format!("{program} …"),
            (program, false) => program.to_owned(),
        })
    }
}

/// The address of something on the web. Whoever knows it all may send there, so that it is shown
/// without what comes after the host.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook(String);

impl Webhook {
    /// An address as [`is_url`] has it.
    pub(in crate::config) fn new(url: &str) -> Self {
        Self(url.to_owned())
    }

    /// All of it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Webhook {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let host = rest[..end].rsplit('@').next().unwrap_or_default();
        let dots = if rest.len() > end + 1 { "/…" } else { "" };
        write!(out, "{scheme}://{host}{dots}")
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Webhook({self})")
    }
}

/// Whether a text is an address that a notice can be sent to.
pub(in crate::config) fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        rest.bytes().all(|byte| byte.is_ascii_graphic())
            && !rest.is_empty()
            && !rest.starts_with(['/', '?', '#'])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[test]
    fn what_may_be_secret_is_not_shown() {
        let shown = |url: &str| Webhook::new(url).to_string();
        assert_eq!(shown("https://a:b@hooks.example/T0/secret"), "https://hooks.example/…");
        assert_eq!(shown("http://127.0.0.1:8080/"), "http://127.0.0.1:8080");
        assert_eq!(shown("https://x.example?key=1"), "https://x.example/…");
        let debug = format!("{:?}", Webhook::new("https://x.example/secret"));
        assert_eq!(debug, "Webhook(https://x.example/…)");

        let command = |command| {
            let mut notify = Settings::built_in(1).notify;
            notify.command = Some(command);
            notify.shown_command().unwrap()
        };
        let shell = |line: &str| command(CommandLine::Shell(line.to_owned()));
        assert_eq!(shell(" notify-send \"$TEXT\""), "notify-send …");
        assert_eq!(shell("bell"), "bell");
        assert_eq!(shell("TOKEN=1 curl x"), "…");
        let words = ["curl", "-H", "secret"].map(str::to_owned).to_vec();
        assert_eq!(command(CommandLine::Argv(words)), "curl …");
    }

    #[test]
    fn an_address_has_a_scheme_and_a_host() {
        for good in ["http://x", "https://x.example:1/y?z", "http://[::1]/"] {
            assert!(is_url(good), "{good}");
        }
        for bad in
            ["", "x", "ftp://x", "http://", "http:///x", "https://?", "https://a b", "HTTP://x"]
        {
            assert!(!is_url(bad), "{bad}");
        }
    }
}
