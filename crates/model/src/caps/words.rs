//! Caps of which one is chosen. The narrower is the less.

use serde::{Deserialize, Serialize};

use super::axis::in_a_line;
use crate::choices;

choices! {
    /// How much of the network there is.
    #[derive(Serialize, Deserialize, schemars::JsonSchema)]
    #[serde(rename_all = "snake_case")]
    NetworkMode {
        /// None of it.
        None = "none",
        /// The hosts that are listed, by way of a proxy.
        List = "list",
        /// All of it.
        Open = "open",
    }
}

choices! {
    /// Whose folder for temporary files it is.
    #[derive(Serialize, Deserialize, schemars::JsonSchema)]
    #[serde(rename_all = "snake_case")]
    Tmp {
        /// Its own, which goes away with it.
        Private = "private",
        /// The one that everybody has.
        Shared = "shared",
    }
}

choices! {
    /// Which caches of package managers may be changed where only some folders may be written.
    #[derive(Serialize, Deserialize, schemars::JsonSchema)]
    #[serde(rename_all = "snake_case")]
    Caches {
        /// None.
        None = "none",
        /// Its repository's own, in which everything is that its user has.
        Private = "private",
    }
}

choices! {
    /// Which sockets of the file system may be used.
    #[derive(Serialize, Deserialize, schemars::JsonSchema)]
    #[serde(rename_all = "snake_case")]
    UnixSockets {
        /// None.
        Deny = "deny",
        /// Its own.
        Private = "private",
        /// Any that its user may use.
        Allow = "allow",
    }
}

choices! {
    /// Which variables are there without being named.
    #[derive(Serialize, Deserialize, schemars::JsonSchema)]
    #[serde(rename_all = "snake_case")]
    Inherit {
        /// None.
        None = "none",
        /// Those without which few programs work.
        Core = "core",
        /// Every one.
        All = "all",
    }
}

choices! {
    /// What happens where a cap cannot be kept.
    #[derive(Serialize, Deserialize, schemars::JsonSchema)]
    #[serde(rename_all = "snake_case")]
    OnMissing {
        /// Nothing is started.
        Refuse = "refuse",
        /// It is started without, and that is recorded.
        Warn = "warn",
    }
}

in_a_line!(NetworkMode, Tmp, Caches, UnixSockets, Inherit, OnMissing);

/// What `core` stands for: where things are, who one is, and how to print.
const CORE: &[&str] = &[
    "COLORTERM",
    "COLUMNS",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LINES",
    "LOGNAME",
    "NO_COLOR",
    "PATH",
    "SHELL",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
];

/// What makes a program load or run something else, or reaches a process outside. No list passes it on.
const HOOKS: &[&str] = &[
    "BASH_ENV",
    "CLASSPATH",
    "DBUS_SESSION_BUS_ADDRESS",
    "ENV",
    "GPG_AGENT_INFO",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PERL5DB",
    "PERL5LIB",
    "PERL5OPT",
    "PROMPT_COMMAND",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "RUBYLIB",
    "RUBYOPT",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "SSH_AGENT_PID",
    "SSH_ASKPASS",
    "SSH_AUTH_SOCK",
    "SUDO_ASKPASS",
    "XDG_RUNTIME_DIR",
    "ZDOTDIR",
    "_JAVA_OPTIONS",
];

impl Inherit {
    /// Whether a variable of that name is there without being named.
    #[must_use]
    pub fn has(self, name: &str) -> bool {
        match self {
            Self::None => false,
            Self::Core => CORE.contains(&name) || name.starts_with("LC_"),
            Self::All => true,
        }
    }
}

/// Whether a variable of that name is a hook into programs or a way out of a sandbox, which is never
/// passed on to whom caps hold.
#[must_use]
pub fn is_hook(name: &str) -> bool {
    HOOKS.contains(&name)
        || name.starts_with("LD_")
        || name.starts_with("DYLD_")
        || name.starts_with("GIT_")
        || name.ends_with("_ASKPASS")
        || name.ends_with("_WRAPPER")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_has_no_hook_in_it() {
        assert!(CORE.iter().all(|name| !is_hook(name)));
        assert!(Inherit::Core.has("PATH") && Inherit::Core.has("LC_ALL"));
        assert!(!Inherit::Core.has("OPENAI_API_KEY") && !Inherit::None.has("PATH"));
    }

    #[test]
    fn hooks_are_known_by_name_and_by_kind() {
        for hook in ["LD_PRELOAD", "GIT_CONFIG_COUNT", "RUSTC_WRAPPER", "GIT_ASKPASS", "BASH_ENV"] {
            assert!(is_hook(hook), "{hook}");
        }
        assert!(!is_hook("CARGO_HOME") && !is_hook("HTTPS_PROXY"));
    }
}
