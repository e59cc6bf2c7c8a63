//! Who may be reached, and what whoever may not is told.

use std::{
    collections::BTreeSet,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use model::caps::{Caps, DEFAULT_PORT, Host, HostPattern, Hosts, Pins};

use crate::{
    address::is_near,
    wire::{Stop, Stopper, stopping},
};

/// What can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The hosts that are listed.
    pub hosts: Hosts,
    /// Where names are, whatever else says so, and although it is near.
    pub pins: Pins,
    /// The ports at which a client has to speak TLS, and to call the host by its name.
    pub tls_ports: BTreeSet<u16>,
    /// What may be asked for that is not listed; nothing where nobody is to be asked.
    pub asking: Option<Asking>,
}

/// What a person may be asked to let through beside what is listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asking {
    /// The hosts; all that have a name where none are said.
    pub within: Option<Hosts>,
    /// Those that somebody is asked for already.
    pub asked: Hosts,
    /// Those of which it was asked before, and the answer was no.
    pub refused: Hosts,
    /// Enough is asked at the moment, so that no others are asked for.
    pub full: bool,
}

impl Default for Policy {
    fn default() -> Self {
        let (hosts, pins) = (Hosts::default(), Pins::default());
        Self { hosts, pins, tls_ports: [DEFAULT_PORT].into(), asking: None }
    }
}

/// A policy that may be replaced while connections are judged by it. Those that were let through stay.
#[derive(Clone, Debug, Default)]
pub struct Rules(Arc<Replaceable>);

#[derive(Debug, Default)]
struct Replaceable {
    policy: RwLock<Arc<Policy>>,
    /// What those who wait for another policy are woken by; nothing where nobody waits.
    waiting: Mutex<Option<(Stopper, Stop)>>,
}

impl Rules {
    /// Rules that begin with that policy.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let policy = RwLock::new(Arc::new(policy));
        Self(Arc::new(Replaceable { policy, waiting: Mutex::default() }))
    }

    /// The policy as it is now.
    #[must_use]
    pub fn now(&self) -> Arc<Policy> {
        self.0.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another one in its place.
    pub fn replace(&self, policy: Policy) {
        *self.0.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
        *self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What is ready to be read as soon as a policy is put in the place of the one that holds now.
    pub(crate) fn replaced(&self) -> io::Result<Stop> {
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.is_none() {
            *waiting = Some(stopping()?);
        }
        waiting.as_ref().map(|(_, stop)| stop.clone()).ok_or_else(|| io::ErrorKind::Other.into())
    }
}

/// Why a host is not reached, in a word that is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Denied {
    /// Nobody has listed it.
    #[error("is not listed")]
    Unlisted,
    /// Nobody has listed it, and a person is asked whether it may be reached.
    #[error("is not listed, and a person is asked whether it may be reached")]
    Asked,
    /// Nobody has listed it, and whoever was asked did not say yes.
    #[error("is not listed, and whoever was asked did not say yes")]
    Refused,
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
            Self::Asked => "asked",
            Self::Refused => "refused",
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
        let all = [
            Self::Unlisted,
            Self::Asked,
            Self::Refused,
            Self::Near,
            Self::NoTls,
            Self::OtherName,
            Self::Unclear,
            Self::Spent,
        ];
        all.into_iter().find(|denied| denied.as_str() == word)
    }

    /// What somebody can do who wants to reach it all the same.
    #[must_use]
    pub fn remedy(self, host: &Host, port: u16) -> String {
        let pattern = HostPattern::exactly(host.clone(), port);
        match self {
            Self::Asked => "try again when somebody has answered (`codex-orch inbox`)".to_owned(),
            Self::Unlisted | Self::Refused => format!(
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
        let within = caps.may_be_asked_for();
        let asking = caps.asks_for_hosts().then(|| Asking { within, ..Asking::default() });
        caps.listed().map(|hosts| Self { hosts, pins, asking, ..Self::default() })
    }

    /// Judges a host by its name alone: nothing is looked up for one that is denied.
    pub fn judge(&self, host: &Host, port: u16) -> Result<(), Denied> {
        match self.hosts.has(host, port) {
            true => Ok(()),
            false => Err(self.unlisted(host, port)),
        }
    }

    /// What becomes of a host that is not listed. An address says nothing of whose it is, so that
    /// nobody is asked for one.
    fn unlisted(&self, host: &Host, port: u16) -> Denied {
        let Some(asking) = &self.asking else { return Denied::Unlisted };
        let within = asking.within.as_ref().is_none_or(|hosts| hosts.has(host, port));
        let near = is_this_machine(host) && !self.pins.contains_key(host);
        let room = !asking.full || asking.asked.has(host, port);
        match asking.refused.has(host, port) {
            true => Denied::Refused,
            false if host.name().is_some() && within && !near && room => Denied::Asked,
            false => Denied::Unlisted,
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

/// Whether a name can only be that of the machine that it is looked up on.
fn is_this_machine(host: &Host) -> bool {
    host.name().is_some_and(|name| name == "localhost" || name.ends_with(".localhost"))
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
    fn a_person_is_asked_for_no_more_than_may_be_asked_for() {
        let mut caps = Standing::Delegated.built_in();
        caps.network.allow = ["a.example".parse().unwrap()].into_iter().collect();
        let judged = |caps: &Caps, host: &str| {
            Policy::of(caps).unwrap().judge(&host.parse().unwrap(), 443).unwrap_err().as_str()
        };
        caps.ask = true;
        assert_eq!(judged(&caps, "a.example"), "unlisted", "there is to be no network at all");
        caps.max_network = NetworkMode::List;
        assert_eq!(judged(&caps, "a.example"), "asked");
        assert_eq!(judged(&caps, "b.example"), "unlisted");
        caps.max_network = NetworkMode::Open;
        assert_eq!(judged(&caps, "b.example"), "asked");
        caps.ask = false;
        assert_eq!(judged(&caps, "b.example"), "unlisted");
    }

    #[test]
    fn only_names_within_what_may_be_asked_for_are_asked_for() {
        let hosts = |patterns: &[&str]| patterns.iter().map(|it| it.parse().unwrap()).collect();
        let asking = Asking {
            within: Some(hosts(&["**.a.example", "192.0.2.1", "localhost", "x.localhost"])),
            asked: hosts(&["x.a.example"]),
            refused: hosts(&["no.a.example"]),
            full: false,
        };
        let judged = |asking: &Asking, host: &str, port| {
            let policy = Policy { asking: Some(asking.clone()), ..Policy::default() };
            policy.judge(&host.parse().unwrap(), port).unwrap_err().as_str()
        };
        for (host, port, expected) in [
            ("a.example", 443, "asked"),
            ("a.example", 80, "unlisted"),
            ("no.a.example", 443, "refused"),
            ("b.example", 443, "unlisted"),
            ("192.0.2.1", 443, "unlisted"),
            ("localhost", 443, "unlisted"),
            ("x.localhost", 443, "unlisted"),
        ] {
            assert_eq!(judged(&asking, host, port), expected, "{host}:{port}");
        }
        let full = Asking { full: true, ..asking };
        assert_eq!(judged(&full, "a.example", 443), "unlisted");
        assert_eq!(judged(&full, "x.a.example", 443), "asked");
        assert_eq!(judged(&full, "no.a.example", 443), "refused");
        let anywhere = Asking::default();
        assert_eq!(judged(&anywhere, "b.example", 80), "asked");
        assert_eq!(judged(&anywhere, "[2001:db8::1]", 443), "unlisted");
        let near = "near.localhost".parse::<Host>().unwrap();
        let policy = Policy {
            pins: [(near.clone(), [IpAddr::from([10, 0, 0, 7])].into())].into(),
            asking: Some(anywhere),
            ..Policy::default()
        };
        assert_eq!(policy.judge(&near, 443), Err(Denied::Asked), "somebody has said where it is");
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
