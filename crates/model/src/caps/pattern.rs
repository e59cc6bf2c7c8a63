//! Which hosts may be reached, at which port.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use super::{
    axis::{Axis, listed},
    host::{BadHost, Host, shown},
};

/// `api.example.com`, `files.example.com:8443`, `*.example.com` or `**.example.com`: hosts and the
/// port at which they may be reached, which is 443 if none is said.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern {
    host: Host,
    span: Span,
    port: u16,
}

/// Which hosts about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Span {
    /// It alone.
    Itself,
    /// Those below it.
    Below,
    /// It and those below it.
    Both,
}

/// The port where none is said.
pub const DEFAULT_PORT: u16 = 443;

/// The text is no pattern of hosts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// The host in it is none.
    #[error(transparent)]
    Host(#[from] BadHost),
    /// Something else is wrong with it.
    #[error("`{text}` is no host with a port: {why}")]
    Text {
        /// The text, with nothing in it for a terminal to act on.
        text: String,
        /// What is wrong with it, and how to write it.
        why: &'static str,
    },
}

impl BadPattern {
    /// What is wrong with it, and how to write it.
    #[must_use]
    pub fn why(&self) -> &'static str {
        match self {
            Self::Host(bad) => bad.why,
            Self::Text { why, .. } => why,
        }
    }
}

fn bad(text: &str, why: &'static str) -> BadPattern {
    BadPattern::Text { text: shown(text), why }
}

/// What stands before the port, and the port.
fn parted(text: &str) -> Result<(&str, Option<u16>), BadPattern> {
    let (host, port) = match text.rsplit_once(':') {
        // A bare address of version 6 has no port, only colons.
        Some((host, _)) if host.contains(':') && !host.ends_with(']') => (text, None),
        Some(("", _)) => return Err(bad(text, "write the host before the `:`")),
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let Some(port) = port else { return Ok((host, None)) };
    let digits = port.bytes().all(|c| c.is_ascii_digit()) && !port.starts_with('0');
    match port.parse() {
        Ok(port) if digits && port != 0 => Ok((host, Some(port))),
        _ => Err(bad(text, "a port is a number from 1 to 65535")),
    }
}

impl FromStr for HostPattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        if text.contains("//") {
            return Err(bad(text, "write the host alone, without `https://`"));
        }
        if text.contains(['/', '@', '?', '#']) {
            return Err(bad(text, "write the host alone, without a path or a user"));
        }
        let (host, port) = parted(text)?;
        let (span, name) = match host.strip_prefix("**.") {
            Some(rest) => (Span::Both, rest),
            None => match host.strip_prefix("*.") {
                Some(rest) => (Span::Below, rest),
                None => (Span::Itself, host),
            },
        };
        if name.contains('*') {
            return Err(bad(text, "a `*` stands for whole names before a domain: `*.example.com`"));
        }
        let name = Host::read(name)?;
        if span != Span::Itself && name.name().is_none() {
            return Err(bad(text, "there is nothing below an address"));
        }
        Ok(Self { host: name, span, port: port.unwrap_or(DEFAULT_PORT) })
    }
}

impl HostPattern {
    /// One host at one port.
    #[must_use]
    pub fn exactly(host: Host, port: u16) -> Self {
        Self { host, span: Span::Itself, port }
    }

    /// Whether that host may be reached at that port.
    #[must_use]
    pub fn matches(&self, host: &Host, port: u16) -> bool {
        self.port == port
            && match self.span {
                Span::Itself => self.host == *host,
                Span::Below => host.is_below(&self.host),
                Span::Both => self.host == *host || host.is_below(&self.host),
            }
    }

    /// What both allow. Two patterns have nothing in common, or one is within the other.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Option<Self> {
        match (self.is_within(other), other.is_within(self)) {
            (true, _) => Some(self.clone()),
            (_, true) => Some(other.clone()),
            (false, false) => None,
        }
    }

    /// Whether the other one allows all that this one does.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        let same_name = self.host == other.host;
        let below = self.host.is_below(&other.host);
        self.port == other.port
            && match (self.span, other.span) {
                (_, Span::Both) => same_name || below,
                (Span::Itself, Span::Itself) | (Span::Below, Span::Below) if same_name => true,
                (_, Span::Below) => below,
                (_, Span::Itself) => false,
            }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stars = match self.span {
            Span::Itself => "",
            Span::Below => "*.",
            Span::Both => "**.",
        };
        write!(out, "{stars}{}", self.host)?;
        match self.port {
            DEFAULT_PORT => Ok(()),
            port => write!(out, ":{port}"),
        }
    }
}

impl TryFrom<String> for HostPattern {
    type Error = BadPattern;

    fn try_from(text: String) -> Result<Self, BadPattern> {
        text.parse()
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.to_string()
    }
}

/// A set of hosts with their ports. There is one form for each set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(from = "Vec<HostPattern>")]
pub struct Hosts(BTreeSet<HostPattern>);

impl Hosts {
    /// Whether that host may be reached at that port.
    #[must_use]
    pub fn has(&self, host: &Host, port: u16) -> bool {
        self.0.iter().any(|pattern| pattern.matches(host, port))
    }

    /// Whether all that a pattern allows is in the set.
    #[must_use]
    pub fn covers(&self, pattern: &HostPattern) -> bool {
        self.0.iter().any(|own| pattern.is_within(own))
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The patterns.
    pub fn iter(&self) -> impl Iterator<Item = &HostPattern> {
        self.0.iter()
    }
}

impl From<Vec<HostPattern>> for Hosts {
    fn from(patterns: Vec<HostPattern>) -> Self {
        patterns.into_iter().collect()
    }
}

impl FromIterator<HostPattern> for Hosts {
    fn from_iter<I: IntoIterator<Item = HostPattern>>(patterns: I) -> Self {
        let mut all: BTreeSet<_> = patterns.into_iter().collect();
        // A domain and all below it are one pattern.
        let below = |pattern: &&HostPattern| pattern.span == Span::Below;
        let both: Vec<_> = all
            .iter()
            .filter(below)
            .filter(|own| all.contains(&HostPattern { span: Span::Itself, ..(*own).clone() }))
            .map(|own| HostPattern { span: Span::Both, ..own.clone() })
            .collect();
        all.extend(both);
        let within = |one: &HostPattern| all.iter().any(|two| one != two && one.is_within(two));
        Self(all.iter().filter(|one| !within(one)).cloned().collect())
    }
}

impl Axis for Hosts {
    fn meet(&self, other: &Self) -> Self {
        let pairs = self.0.iter().flat_map(|one| other.0.iter().map(move |two| one.meet(two)));
        pairs.flatten().collect()
    }

    fn beyond(&self, bound: &Self) -> Option<String> {
        listed(self.0.iter().filter(|own| !bound.covers(own)))
    }
}

/// An address of this machine's own with a port, which stands for itself inside.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint(SocketAddr);

impl Endpoint {
    /// Where it is.
    #[must_use]
    pub fn address(self) -> SocketAddr {
        self.0
    }
}

impl FromStr for Endpoint {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        match text.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() && address.port() != 0 => Ok(Self(address)),
            _ => Err(bad(text, "it is an address of this machine, such as `127.0.0.1:8080`")),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl TryFrom<String> for Endpoint {
    type Error = BadPattern;

    fn try_from(text: String) -> Result<Self, BadPattern> {
        text.parse()
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.to_string()
    }
}

impl Axis for BTreeSet<Endpoint> {
    fn meet(&self, other: &Self) -> Self {
        self & other
    }

    fn beyond(&self, bound: &Self) -> Option<String> {
        listed(self - bound)
    }
}

/// Where names are, whatever else says so, and although it is near.
pub type Pins = BTreeMap<Host, BTreeSet<IpAddr>>;

/// A host that is not pinned is nobody's concern: it has the addresses that its name has.
impl Axis for Pins {
    fn meet(&self, other: &Self) -> Self {
        let mut both = self.clone();
        for (host, addresses) in other {
            both.entry(host.clone())
                .and_modify(|own| *own = &*own & addresses)
                .or_insert_with(|| addresses.clone());
        }
        both
    }

    fn beyond(&self, bound: &Self) -> Option<String> {
        let moved = |(host, addresses): &(&Host, &BTreeSet<IpAddr>)| {
            bound.get(host).is_some_and(|held| !addresses.is_subset(held))
        };
        listed(self.iter().filter(moved).map(|(host, _)| host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> HostPattern {
        text.parse().unwrap_or_else(|bad| panic!("{bad}"))
    }

    fn hosts(text: &str) -> Hosts {
        text.split_whitespace().map(pattern).collect()
    }

    fn shown(hosts: &Hosts) -> String {
        hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_pattern_is_shown_in_its_one_form() {
        for (written, form) in [
            ("API.example.com", "api.example.com"),
            ("a.example:443", "a.example"),
            ("a.example.:80", "a.example:80"),
            ("*.Example", "*.example"),
            ("**.example:8443", "**.example:8443"),
            ("[::1]:80", "[::1]:80"),
            ("::1", "[::1]"),
            ("10.0.0.1:22", "10.0.0.1:22"),
        ] {
            assert_eq!(pattern(written).to_string(), form);
            assert_eq!(pattern(form), pattern(written));
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_how_to_write_it() {
        for (text, hint) in [
            ("*", "`*.example.com`"),
            ("**", "`*.example.com`"),
            ("*.*", "`*.example.com`"),
            ("a*.example", "`*.example.com`"),
            ("https://a.example", "without `https://`"),
            ("a.example/x", "without a path"),
            ("u@a.example", "without a path or a user"),
            ("a.example:", "from 1 to 65535"),
            ("a.example:0", "from 1 to 65535"),
            ("a.example:+80", "from 1 to 65535"),
            ("a.example:065", "from 1 to 65535"),
            ("a.example:65536", "from 1 to 65535"),
            (":80", "before the `:`"),
            ("*.10.0.0.1", "below an address"),
            ("bücher.example", "xn--"),
            ("", "between 1 and 253"),
        ] {
            let error = text.parse::<HostPattern>().unwrap_err().to_string();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn hosts_match_at_their_port_and_where_the_stars_are() {
        let matches = |written: &str, host: &str, port| {
            pattern(written).matches(&host.parse().unwrap(), port)
        };
        assert!(matches("a.example", "a.example", 443) && !matches("a.example", "a.example", 80));
        assert!(matches("*.example", "x.y.example", 443) && !matches("*.example", "example", 443));
        assert!(matches("**.example", "example", 443) && matches("**.example", "x.example", 443));
        assert!(!matches("**.example", "badexample", 443));
        assert!(!matches("a.example", "x.a.example", 443));
        assert!(matches("127.0.0.1:80", "127.0.0.1", 80) && !matches("127.0.0.1:80", "::1", 80));
    }

    #[test]
    fn two_lists_come_to_what_both_have() {
        let meet = |one, two| shown(&hosts(one).meet(&hosts(two)));
        assert_eq!(meet("*.example", "a.example b.other"), "a.example");
        assert_eq!(meet("**.example", "*.example"), "*.example");
        assert_eq!(meet("*.a.example", "**.example"), "*.a.example");
        assert_eq!(meet("*.a.example", "*.b.example"), "");
        assert_eq!(meet("*.example", "example"), "");
        assert_eq!(meet("a.example:80", "a.example"), "");
        assert_eq!(meet("", "a.example"), "");
    }

    #[test]
    fn a_list_has_one_form() {
        assert_eq!(shown(&hosts("a.example *.example example b.other")), "b.other **.example");
        assert_eq!(shown(&hosts("x.a.example *.a.example **.example")), "**.example");
    }

    #[test]
    fn only_this_machine_is_forwarded() {
        let endpoint = |text: &str| text.parse::<Endpoint>().map(|one| one.to_string());
        assert_eq!(endpoint("127.0.0.1:80").unwrap(), "127.0.0.1:80");
        assert_eq!(endpoint("[::1]:80").unwrap(), "[::1]:80");
        for bad in ["10.0.0.1:80", "localhost:80", "127.0.0.1", "127.0.0.1:0"] {
            assert!(endpoint(bad).unwrap_err().to_string().contains("127.0.0.1:8080"), "{bad}");
        }
    }
}
