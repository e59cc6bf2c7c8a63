//! By what a person is told: wished for when a run is started, read anew whenever they are told.

use std::path::PathBuf;

use model::{CommandLine, Notify};

use super::{ConfigError, Inputs, Layer, Loaded, Webhook, load};

/// What tells a person. Only they themselves can have said it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// What is run.
    pub command: Option<CommandLine>,
    /// What is sent it.
    pub webhook: Option<Webhook>,
}

impl Loaded {
    /// What a run that is started with this config keeps of `[notify]`; `None` where nobody is to
    /// be told of anything.
    #[must_use]
    pub fn notify(&self) -> Option<Notify> {
        let notify = &self.settings.notify;
        if (notify.command.is_none() && notify.webhook.is_none()) || notify.on.is_empty() {
            return None;
        }
        // What stands in the user's file is read from there when it is needed; what was said for
        // this run stands nowhere else.
        let said = |name: &str| {
            self.origins.get(name).is_some_and(|origin| origin.layer == Layer::CommandLine)
        };
        // Whoever tells them is somewhere else by then.
        let file = self.user_file.as_ref().and_then(|file| std::path::absolute(file).ok());
        let command = notify.command.clone().filter(|_| said("notify.command"));
        let webhook = notify.webhook.as_ref().filter(|_| said("notify.webhook"));
        Some(Notify {
            on: notify.on.clone(),
            retries: notify.retries,
            timeout_ms: u64::try_from(notify.timeout.as_millis()).unwrap_or(u64::MAX),
            file: file.and_then(|file| file.to_str().map(str::to_owned)),
            command,
            webhook: webhook.map(|webhook| webhook.url().to_owned()),
        })
    }
}

/// What tells a person of a run now. The repository has no say in it, so that nothing in it can
/// keep them from being told.
pub fn ways(notify: &Notify) -> Result<Ways, ConfigError> {
    let user_file = notify.file.as_ref().map(PathBuf::from);
    let settings = load(&Inputs { user_file, ..Inputs::default() })?.settings.notify;
    let webhook = notify.webhook.as_deref().map(Webhook::new);
    Ok(Ways {
        command: notify.command.clone().or(settings.command),
        webhook: webhook.or(settings.webhook),
    })
}
