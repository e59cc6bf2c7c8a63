//! Who may be reached, and what whoever may not is told.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
};

use model::caps::{Caps, DEFAULT_PORT, Host, HostPattern, Hosts, Pins};

use crate::address::is_near;

/// What can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The hosts that are listed.
    pub hosts: Hosts,
    /// Where names are, whatever else says so, and although it is near.
    pub pins: Pins,
    /// The ports at which a client has to speak TLS, and to call the host by its name.
    pub tls_ports: BTreeSet<u16>,
}

impl Default for Policy {
    fn default() -> Self {
        let (hosts, pins) = (Hosts::default(), Pins::default());
        Self { hosts, pins, tls_ports: [DEFAULT_PORT].into() }
    }
}

/// A policy that may be replaced while connections are judged by it. Those that were let through stay.
#[derive(Clone, Debug, Default)]
pub struct Rules(Arc<RwLock<Arc<Policy>>>);

impl Rules {
    /// Rules that begin with that policy.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(policy))))
    }

    /// The policy as it is now.
    #[must_use]
    pub fn now(&self) -> Arc<Policy> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another one in its place.
    pub fn replace(&self, policy: Policy) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }
}

/// Why a host is not reached, in a word that is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Denied {
    /// Nobody has listed it.
    #[error("is not listed")]
    Unlisted,
    /// Its name leads to somewhere near.
    #[error("is an address of this machine or near it")]
    Near,
    /// What was sent is no TLS, where there has to be.
    #[error("was not spoken to in TLS")]
    NoTls,
    /// In TLS it was called by another name, or by none.
    #[error("was called by another name within TLS")]
    OtherName,
    /// What was sent is no request that a proxy reads in one way only.
    #[error("was asked for in a way that is not clear")]
    Unclear,
    /// More was sent than may be.
    #[error("has been sent all that may be")]
    Spent,
}

impl Denied {
    /// As records have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unlisted => "unlisted",
            Self::Near => "near",
            Self::NoTls => "no_tls",
            Self::OtherName => "other_name",
            Self::Unclear => "unclear",
            Self::Spent => "spent",
        }
    }

    /// The one that records have under that word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        let all =
            [Self::Unlisted, Self::Near, Self::NoTls, Self::OtherName, Self::Unclear, Self::Spent];
        all.into_iter().find(|denied| denied.as_str() == word)
    }

    /// What somebody can do who wants to reach it all the same.
    #[must_use]
    pub fn remedy(self, host: &Host, port: u16) -> String {
        let pattern = HostPattern::exactly(host.clone(), port);
        match self {
            Self::Unlisted => format!(
                "add \"{pattern}\" to `caps.network.allow` in `.codex/orchestrator.toml`, with \
                 `mode = \"list\"`"
            ),
            Self::Near => {
                let bare = host.to_string();
                let bare = bare.trim_start_matches('[').trim_end_matches(']');
                format!(
                    "if it is meant, add `\"{bare}\" = [\"ADDRESS\"]` to `caps.network.pins` in your own \
                     `orchestrator.toml`"
                )
            }
            Self::NoTls | Self::OtherName => {
                format!("port {port} is for TLS whose server name is the host that was asked for")
            }
            Self::Unclear => "send one plain request for each connection".to_owned(),
            Self::Spent => "let what is sent and received be less".to_owned(),
        }
    }
}

impl Policy {
    /// The policy of somebody with these caps; none where the whole network is open to them, and there
    /// is nothing to judge.
    #[must_use]
    pub fn of(caps: &Caps) -> Option<Self> {
        let pins = caps.network.pins.clone();
        caps.listed().map(|hosts| Self { hosts, pins, ..Self::default() })
    }

    /// Judges a host by its name alone: nothing is looked up for one that is denied.
    pub fn judge(&self, host: &Host, port: u16) -> Result<(), Denied> {
        match self.hosts.has(host, port) {
            true => Ok(()),
            false => Err(Denied::Unlisted),
        }
    }

    /// Where a host is, as far as that is said and need not be looked up.
    pub(crate) fn pinned(&self, host: &Host) -> Option<Vec<IpAddr>> {
        self.pins.get(host).map(|addresses| addresses.iter().copied().collect())
    }

    /// Judges the addresses that were found for a host that is not pinned. One that is near spoils
    /// all: who gives such a name does not mean well.
    pub(crate) fn judge_addresses(addresses: &[IpAddr]) -> Result<(), Denied> {
        match addresses.iter().any(|address| is_near(*address)) {
            true => Err(Denied::Near),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use model::caps::{NetworkMode, Standing};

    use super::*;

    #[test]
    fn whoever_is_denied_is_told_the_key() {
        let host = |text: &str| text.parse::<Host>().unwrap();
        let told = Denied::Unlisted.remedy(&host("A.example"), 443);
        assert!(told.starts_with("add \"a.example\" to `caps.network.allow`"), "{told}");
        let told = Denied::Unlisted.remedy(&host("a.example"), 80);
        assert!(told.starts_with("add \"a.example:80\" to"), "{told}");
        let told = Denied::Near.remedy(&host("[fd00::1]"), 80);
        assert!(told.contains("\"fd00::1\" = ["), "{told}");
    }

    #[test]
    fn without_a_network_nothing_is_listed_and_with_all_of_it_nothing_is_judged() {
        let mut caps = Standing::Delegated.built_in();
        caps.network.allow = ["a.example".parse().unwrap()].into_iter().collect();
        let host = "a.example".parse().unwrap();
        assert_eq!(Policy::of(&caps).unwrap().judge(&host, 443), Err(Denied::Unlisted));
        caps.network.mode = NetworkMode::List;
        assert_eq!(Policy::of(&caps).unwrap().judge(&host, 443), Ok(()));
        caps.network.mode = NetworkMode::Open;
        assert_eq!(Policy::of(&caps), None);
    }

    #[test]
    fn a_policy_can_be_widened_while_it_is_used() {
        let rules = Rules::default();
        let host = "a.example".parse().unwrap();
        assert_eq!(rules.now().judge(&host, 443), Err(Denied::Unlisted));
        let hosts = ["a.example".parse().unwrap()].into_iter().collect();
        rules.clone().replace(Policy { hosts, ..Policy::default() });
        assert_eq!(rules.now().judge(&host, 443), Ok(()));
    }
}
