//! What is built in, and what caps mean to those who carry them out.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::{
    Caches, Caps, CapsLayer, DelegateTools, EnvCaps, FsCaps, Granted, Hosts, Inherit, Names,
    NetworkCaps, NetworkMode, OnMissing, Standing, Table, Tmp, ToolCaps, UnixSockets, Withheld,
    is_hook,
};

/// What a delegated run cannot write within what it can.
const PROTECTED: &[&str] = &["@git", ".codex", ".agents", "@config", "@runs"];

/// What it cannot read.
const HIDDEN: &[&str] = &["@logins"];

/// What Codex takes the key of its model from.
const KEYS: &[&str] = &["OPENAI_API_KEY", "CODEX_API_KEY"];

impl Standing {
    /// What holds where nothing is written.
    #[must_use]
    pub fn built_in(self) -> Caps {
        let free = self == Self::Free;
        let network = if free { NetworkMode::Open } else { NetworkMode::None };
        let withheld = |paths: &[&str]| match free {
            true => Withheld::default(),
            false => paths.iter().map(|path| path.parse().expect("a path of ours")).collect(),
        };
        let writable: &[&str] = if free { &["/"] } else { &["@worktree", "@tmp"] };
        let write = writable.iter().map(|path| path.parse().expect("a path of ours"));
        let keys: Names = KEYS.iter().map(|&key| key.to_owned()).collect();
        Caps {
            network: NetworkCaps {
                mode: network,
                allow: Hosts::default(),
                forward: BTreeSet::new(),
                pins: BTreeMap::new(),
            },
            fs: FsCaps {
                write: write.collect::<Granted>(),
                protect: withheld(PROTECTED),
                hide: withheld(HIDDEN),
                tmp: if free { Tmp::Shared } else { Tmp::Private },
                // Where everything may be written, so may the user's.
                caches: Caches::Private,
                unix_sockets: if free { UnixSockets::Allow } else { UnixSockets::Deny },
            },
            env: EnvCaps {
                inherit: if free { Inherit::All } else { Inherit::Core },
                pass: Names::NONE,
                secrets: match free {
                    true => Table::All,
                    false => BTreeMap::from([("codex".to_owned(), keys)]).into(),
                },
            },
            tools: ToolCaps {
                mcp: if free { Table::All } else { Table::NONE },
                may_ask: if free { Table::All } else { Table::NONE },
                // Which of them there are is said by the mode that it was started with.
                delegate: DelegateTools::ALL,
                web_search: free,
                subagents: free,
            },
            max_network: network,
            on_missing: OnMissing::Refuse,
            ask: false,
        }
    }
}

impl Caps {
    /// What these caps are for a run that is started by who has them: its parent's layer.
    #[must_use]
    pub fn grant(&self) -> CapsLayer {
        let mut layer = self.to_layer();
        // What is open is open to all that a list would have.
        if self.max_network == NetworkMode::Open {
            layer.network.allow = None;
            layer.network.forward = None;
            layer.network.pins = None;
        }
        if self.env.inherit == Inherit::All {
            layer.env.pass = None;
        }
        layer
    }

    /// Whether nothing has to be kept from anybody: it is as if there were no caps.
    #[must_use]
    pub fn is_free(&self) -> bool {
        let free = Standing::Free.built_in();
        self.network.mode == free.network.mode
            && self.fs == free.fs
            && self.env.inherit == free.env.inherit
            && self.env.secrets == free.env.secrets
    }

    /// The hosts that a list has now. Of an open network there is no list.
    #[must_use]
    pub fn listed(&self) -> Option<Hosts> {
        listed(self.network.mode, &self.network.allow)
    }

    /// The hosts that may be asked for where they are not reached now; all of them where none are
    /// said.
    #[must_use]
    pub fn may_be_asked_for(&self) -> Option<Hosts> {
        listed(self.max_network, &self.network.allow)
    }

    /// Whether a person may be asked for a host that is not listed.
    #[must_use]
    pub fn asks_for_hosts(&self) -> bool {
        let open = self.network.mode == NetworkMode::Open;
        self.ask && !open && self.may_be_asked_for().is_none_or(|hosts| !hosts.is_empty())
    }

    /// A stable name for just these caps: SHA-256 in hex.
    #[must_use]
    pub fn hash(&self) -> String {
        let json = serde_json::to_vec(self).expect("caps are plain data");
        Sha256::digest(json).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn listed(mode: NetworkMode, allow: &Hosts) -> Option<Hosts> {
    match mode {
        NetworkMode::None => Some(Hosts::default()),
        NetworkMode::List => Some(allow.clone()),
        NetworkMode::Open => None,
    }
}

impl ToolCaps {
    /// Whether no tool has to be kept from anybody.
    #[must_use]
    pub fn is_free(&self) -> bool {
        let free = Standing::Free.built_in().tools;
        *self == Self { may_ask: self.may_ask.clone(), ..free }
    }

    /// The tools of a server that a person may be asked for. Of one of which nothing is given there are
    /// none: it is not there to be asked.
    #[must_use]
    pub fn may_be_asked_for(&self, server: &str) -> Names {
        match &self.mcp {
            Table::Only(given) if given.contains_key(server) => self.may_ask.of(server),
            Table::Only(_) | Table::All => Names::NONE,
        }
    }
}

impl EnvCaps {
    /// Whether a variable of that name is passed on to everything. Where not every one is, those that
    /// make programs load something are not passed on by any name.
    #[must_use]
    pub fn admits(&self, name: &str) -> bool {
        match self.inherit {
            Inherit::All => true,
            inherit => !is_hook(name) && (inherit.has(name) || self.pass.has(name)),
        }
    }

    /// Whether a variable of that name is passed on to that program. A secret goes to its own alone,
    /// also where all others are passed on; where no secrets are named, Codex has the key of its model.
    #[must_use]
    pub fn admits_to(&self, program: &str, name: &str) -> bool {
        let Table::Only(secrets) = &self.secrets else {
            return self.admits(name) || (program == "codex" && KEYS.contains(&name));
        };
        if secrets.get(program).is_some_and(|own| own.has(name)) {
            return self.admits(name) || !is_hook(name);
        }
        let names = |of: &Names| matches!(of, Names::Only(names) if names.contains(name));
        self.admits(name) && !secrets.values().any(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_start_is_free_and_what_agents_start_is_not() {
        assert!(Standing::Free.built_in().is_free());
        assert!(!Standing::Delegated.built_in().is_free());
    }

    #[test]
    fn a_secret_goes_to_its_program_only() {
        let env = Standing::Delegated.built_in().env;
        assert!(env.admits("PATH") && env.admits("LC_ALL"));
        assert!(!env.admits("OPENAI_API_KEY") && env.admits_to("codex", "OPENAI_API_KEY"));
        assert!(!env.admits_to("sh", "OPENAI_API_KEY"));
        let mine = EnvCaps { inherit: Inherit::All, ..env.clone() };
        assert!(mine.admits_to("sh", "TOKEN") && !mine.admits_to("sh", "OPENAI_API_KEY"));
        assert!(mine.admits_to("codex", "OPENAI_API_KEY"));
        let unnamed = EnvCaps { secrets: Table::All, ..env.clone() };
        assert!(!unnamed.admits_to("sh", "TOKEN") && !unnamed.admits_to("codex", "TOKEN"));
        assert!(unnamed.admits_to("codex", "OPENAI_API_KEY"));
        let all = EnvCaps { pass: Names::All, ..env };
        assert!(all.admits("X") && !all.admits("LD_PRELOAD"));
    }

    #[test]
    fn the_hash_is_of_what_the_caps_are() {
        let caps = Standing::Delegated.built_in();
        let again: Caps = serde_json::from_value(serde_json::to_value(&caps).unwrap()).unwrap();
        assert_eq!((again.hash(), again.hash().len()), (caps.hash(), 64));
        assert_ne!(caps.hash(), Standing::Free.built_in().hash());
    }
}
