//! Texts in caps, each kind with its rule: how they are read, and what the JSON Schema says of them.

use std::net::IpAddr;

use model::caps::{CapPath, DelegateTools, Endpoint, Host, HostPattern, is_hook};

/// The rule for a kind of text.
#[derive(Debug)]
pub(super) struct Rule {
    /// What an error calls a list of them.
    pub(super) what: &'static str,
    /// What is wrong with a text, as a hint that says how to write it.
    pub(super) fault: fn(&str) -> Option<String>,
    /// Nearly the same as a pattern; what it cannot say is only said by the reader.
    pub(super) pattern: &'static str,
}

/// A name that no resolver reads as a number, or an address.
macro_rules! host {
    () => {
        r"(([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*(?!([0-9]+|0[xX][0-9A-Fa-f]*)\.?(:[0-9]+)?$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.?|((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])|\[[0-9A-Fa-f:.]+\])"
    };
}

pub(super) static HOSTS: Rule = Rule {
    what: "hosts",
    fault: |text| text.parse::<HostPattern>().err().map(|bad| bad.why().to_owned()),
    pattern: concat!(r"^(\*\*?\.)?", host!(), r"(:[1-9][0-9]{0,4})?$"),
};

pub(super) static HOST: Rule = Rule {
    what: "hosts",
    fault: |text| text.parse::<Host>().err().map(|bad| bad.why.to_owned()),
    pattern: concat!("^", host!(), "$"),
};

pub(super) static ADDRESSES: Rule = Rule {
    what: "addresses",
    fault: |text| match text.parse::<IpAddr>() {
        Ok(_) => None,
        Err(_) => Some("it is an address such as `10.0.0.7`".to_owned()),
    },
    pattern: r"^([0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$",
};

pub(super) static ENDPOINTS: Rule = Rule {
    what: "addresses of this machine",
    fault: |text| text.parse::<Endpoint>().err().map(|bad| bad.why().to_owned()),
    pattern: r"^(127(\.[0-9]{1,3}){3}|\[::1\]):[1-9][0-9]{0,4}$",
};

pub(super) static PATHS: Rule = Rule {
    what: "paths",
    fault: |text| text.parse::<CapPath>().err().map(|bad| bad.why.to_owned()),
    pattern: r"^(?=.*\S)(?!~[^/])(?!@(?!(worktree|tmp|git|config|runs)(/|$)|logins/*$))(?!(.*/)?\.\.(/|$))[^*\u0000]+$",
};

pub(super) static VARIABLES: Rule = Rule {
    what: "names of variables",
    fault: |text| {
        let head = |c: char| c.is_ascii_alphabetic() || c == '_';
        let name = text.starts_with(head) && text.chars().all(|c| head(c) || c.is_ascii_digit());
        match (name, is_hook(text)) {
            (false, _) => Some("names of variables have letters, digits and `_`".to_owned()),
            (true, true) => Some(
                "it makes programs load something, or leads outside: it is never passed on"
                    .to_owned(),
            ),
            (true, false) => None,
        }
    },
    pattern: "^[A-Za-z_][A-Za-z0-9_]*$",
};

pub(super) static TOOLS: Rule = Rule {
    what: "names of tools",
    fault: |text| match text == "*" || is_plain(text) {
        true => None,
        false => Some("it is the name of a tool, or `*` for every tool".to_owned()),
    },
    pattern: r"^(\*|[A-Za-z0-9_./:-]{1,128})$",
};

pub(super) static DELEGATE_TOOLS: Rule = Rule {
    what: "tools of the delegation server",
    fault: DelegateTools::fault,
    pattern: r"^(delegate\.)?(\*|spawn|status|wait|message|pause|cancel|list|log|result|question\.(enqueue|poll|list|answer))$",
};

/// Servers; `*` stands for every server, whose tools are then all or none.
pub(super) static OWNERS: Rule = Rule {
    what: "servers",
    fault: |text| match text == "*" || is_plain(text) {
        true => None,
        false => Some("it is the name of a server, or `*` for every server".to_owned()),
    },
    pattern: r"^(\*|[A-Za-z0-9_./:-]{1,128})$",
};

pub(super) static PROGRAMS: Rule = Rule {
    what: "programs",
    fault: |text| match is_plain(text) {
        true => None,
        false => Some("it is the name of a program, such as `codex`".to_owned()),
    },
    pattern: r"^[A-Za-z0-9_./:-]{1,128}$",
};

fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:-".contains(c);
    (1..=128).contains(&name.len()) && name.chars().all(plain)
}
