//! Programs that look for a network where a stage has none but the proxy: what they say then, and what
//! they are told.

use model::{Attempt, Part, StageIndex, caps::NetworkMode};

use super::{Runner, input};

/// How they say that a name leads nowhere, or that nobody is there. In lower case.
const SIGNS: &[&str] = &[
    "could not resolve host",
    "could not resolve proxy",
    "couldn't resolve host",
    "unable to resolve host",
    "unknown host",
    "unknownhostexception",
    "no such host",
    "name resolution",
    "name or service not known",
    "failed to lookup address",
    "nodename nor servname",
    "enotfound",
    "eai_again",
    "eai_noname",
    "dns error",
    "network is unreachable",
    "enetunreach",
    "connection refused",
    "econnrefused",
    "couldn't connect to server",
    "could not connect to server",
    "failed to connect to",
];

/// What stands for this machine.
const NEAR: &[&str] = &["127.0.0.1", "localhost", "[::1]", "::1:"];

const FAR_AWAY: &str = "this has no network but the proxy, which is in `https_proxy` and the like and \
                        lets through what `caps.network.allow` lists: a program that passes it over \
                        reaches nobody";

const NEARBY: &str = "this has no network but the proxy, and a loopback of its own: what listens on \
                      this machine outside is there if `caps.network.forward` has its address";

/// How many of the last lines are looked at: what tools say after the reason is rarely longer.
const LINES: usize = 30;

impl Runner<'_, '_, '_> {
    /// What to say of a command that failed and was denied nothing by the proxy, if it looks as if it
    /// had passed it over.
    pub(super) fn astray(
        &self,
        stage: StageIndex,
        attempt: Attempt,
        part: Part,
    ) -> Option<&'static str> {
        let (cage, denied) = self.run.cage(stage);
        let network = self.spec.caps_of(stage).ok()?.caps.network.mode;
        if cage?["enforced"].is_null() || network == NetworkMode::Open || denied > 0 {
            return None;
        }
        hint(&input::tail(&self.log_path(stage, attempt, part))?)
    }
}

/// What to tell whoever reads that this came last from a stage without a whole network, if it looks
/// as if that was why it failed.
fn hint(said: &str) -> Option<&'static str> {
    let lines = said.lines().rev().take(LINES).map(str::to_lowercase);
    let telling = lines.filter(|line| SIGNS.iter().any(|sign| line.contains(sign)));
    let mut near = telling.map(|line| NEAR.iter().any(|near| line.contains(near))).peekable();
    near.peek()?;
    Some(if near.any(|near| near) { NEARBY } else { FAR_AWAY })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tools_say_without_a_network_is_known() {
        for line in [
            "curl: (6) Could not resolve host: files.example.com",
            "ssh: Could not resolve hostname git.example: Temporary failure in name resolution",
            "fatal: unable to look up git.example (port 9418) (Name or service not known)",
            "Error: getaddrinfo ENOTFOUND registry.example",
            "TypeError: fetch failed\n  [cause]: Error: getaddrinfo EAI_AGAIN registry.example",
            "OSError: [Errno 101] Network is unreachable",
            "dial tcp: lookup modules.example on 10.0.0.1:53: no such host",
            "error trying to connect: dns error: failed to lookup address information",
            "java.net.UnknownHostException: repo.example",
            "curl: (7) Failed to connect to 192.0.2.1 port 80: Couldn't connect to server",
        ] {
            assert_eq!(
                hint(&format!("begins\n{line}\nmake: *** Error 1\n")),
                Some(FAR_AWAY),
                "{line}"
            );
        }
        for line in [
            "Error: connect ECONNREFUSED 127.0.0.1:5432 {\n  code: 'ECONNREFUSED',\n  port: 5432\n}",
            "curl: (7) Failed to connect to localhost port 8080 after 0 ms: Couldn't connect to server",
        ] {
            assert_eq!(hint(line), Some(NEARBY), "{line}");
        }
    }

    #[test]
    fn other_failures_are_none_of_its() {
        let old = format!("Could not resolve host: a\n{}", "fine\n".repeat(LINES));
        for said in ["", "assertion failed: left == right", "error[E0432]: unresolved import", &old]
        {
            assert_eq!(hint(said), None, "{said}");
        }
    }
}
