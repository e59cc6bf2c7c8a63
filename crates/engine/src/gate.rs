//! By which rules a confined tree is let out, while they may be widened.

use model::caps::{Caps, HostPattern, Hosts};
use proxy::{Asking, Policy, Rules};

/// What somebody has said since its caps were written.
#[derive(Debug)]
pub(crate) struct Said {
    /// What may be reached all the same.
    pub(crate) widened: Hosts,
    /// What somebody is asked for and has not answered.
    pub(crate) asked: Hosts,
    /// What nobody is to be asked for any more.
    pub(crate) refused: Hosts,
    /// Enough is asked at the moment.
    pub(crate) full: bool,
}

/// The rules of one tree, and what they are made of.
#[derive(Debug)]
pub(crate) struct Gate {
    rules: Rules,
    /// What its caps come to.
    base: Policy,
}

impl Gate {
    /// By these caps, with hosts that are reached whatever they say. Where nobody is to be asked, nobody is.
    pub(crate) fn new(caps: &Caps, also: &[HostPattern], may_ask: bool, said: &Said) -> Self {
        let mut base = Policy::of(caps).unwrap_or_default();
        base.hosts = base.hosts.iter().chain(also).cloned().collect();
        base.asking = base.asking.filter(|_| may_ask);
        let rules = Rules::new(policy(&base, said));
        Self { rules, base }
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Lets what somebody has said hold.
    pub(crate) fn renew(&self, said: &Said) {
        let policy = policy(&self.base, said);
        if *self.rules.now() != policy {
            self.rules.replace(policy);
        }
    }
}

fn policy(base: &Policy, said: &Said) -> Policy {
    let asking = base.asking.as_ref().map(|asking| Asking {
        within: asking.within.clone(),
        asked: said.asked.clone(),
        refused: said.refused.clone(),
        full: said.full,
    });
    let hosts = base.hosts.iter().chain(said.widened.iter()).cloned().collect();
    Policy { hosts, asking, ..base.clone() }
}
