//! What a request to a proxy asks for. What could be read in two ways is not read at all.

use model::caps::Host;

/// The longest head that is read.
pub const LONGEST_HEAD: usize = 64 * 1024;

/// A request as far as a proxy cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `CONNECT host:port`: bytes both ways.
    Tunnel {
        /// The host.
        host: Host,
        /// The port.
        port: u16,
    },
    /// One request in the clear.
    Plain {
        /// The host.
        host: Host,
        /// The port.
        port: u16,
        /// The head as it is sent on.
        head: Vec<u8>,
        /// How many bytes follow.
        body: u64,
    },
}

/// Why a request is not read, in a line for whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unclear(pub &'static str);

/// Where a head ends, if all of it is there.
#[must_use]
pub fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// Headers that are between a client and its proxy, or would let one connection be used for more.
const BETWEEN_TWO: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "http2-settings",
];

/// Reads a whole head, with the empty line at its end.
pub fn read(head: &[u8]) -> Result<Asked, Unclear> {
    let text = std::str::from_utf8(head).map_err(|_| Unclear("the head is not ASCII"))?;
    let text = text.strip_suffix("\r\n\r\n").ok_or(Unclear("the head has no end"))?;
    // Tabs stand within values; whatever else is not printed has no business in a head.
    let printed = |c: char| c == '\t' || (c.is_ascii() && !c.is_ascii_control());
    let mut lines = text.split("\r\n");
    if !lines.clone().all(|line| line.chars().all(printed)) {
        return Err(Unclear("the head has characters in it that are not printed"));
    }
    let first = lines.next().unwrap_or_default();
    let mut words = first.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Unclear("the first line is no `METHOD address HTTP/1.1`"));
    };
    if method.is_empty() || !method.bytes().all(|c| c.is_ascii_uppercase() || c == b'-') {
        return Err(Unclear("the method is none"));
    }
    if !matches!(version, "HTTP/1.1" | "HTTP/1.0") {
        return Err(Unclear("the version is none that is spoken here"));
    }
    let mut headers = vec![];
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(Unclear("a header has no `:`"))?;
        let token = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
        // A line that begins with a space would go on with the one before.
        if name.is_empty() || !name.bytes().all(token) {
            return Err(Unclear("a header has no name"));
        }
        headers.push((name, value.trim_matches([' ', '\t'])));
    }
    match method {
        "CONNECT" => tunnel(target, &headers),
        _ => plain(method, target, version, &headers),
    }
}

type Headers<'a> = [(&'a str, &'a str)];

/// What a header says; twice is once too often.
fn only<'a>(headers: &Headers<'a>, name: &str, twice: Unclear) -> Result<Option<&'a str>, Unclear> {
    let mut found = headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
    match (found.next(), found.next()) {
        (Some(_), Some(_)) => Err(twice),
        (found, _) => Ok(found.map(|(_, value)| *value)),
    }
}

/// `host`, `host:port` or `[v6]:port`.
fn authority(text: &str, port: Option<u16>) -> Result<(Host, u16), Unclear> {
    if text.contains('@') {
        return Err(Unclear("the address has a user in it"));
    }
    let (host, written) = match text.rsplit_once(':') {
        Some((host, written)) if !written.ends_with(']') => (host, Some(written)),
        _ => (text, None),
    };
    let port = match written {
        None => port,
        Some(digits) => {
            let plain = !digits.starts_with('0') && digits.bytes().all(|c| c.is_ascii_digit());
            digits.parse().ok().filter(|_| plain)
        }
    };
    let port = port.filter(|port| *port != 0).ok_or(Unclear("the port is none"))?;
    // An address of version 6 has its brackets here, so that a port is told from it.
    if host.contains(':') && !host.starts_with('[') {
        return Err(Unclear("the host is none"));
    }
    let host = Host::read(host).map_err(|_| Unclear("the host is none"))?;
    Ok((host, port))
}

fn tunnel(target: &str, headers: &Headers<'_>) -> Result<Asked, Unclear> {
    let (host, port) = authority(target, None)?;
    // What follows is the tunnel's; a body would be between the two.
    for name in ["transfer-encoding", "content-length"] {
        if headers.iter().any(|(own, value)| own.eq_ignore_ascii_case(name) && *value != "0") {
            return Err(Unclear("a `CONNECT` has no body"));
        }
    }
    if let Some(said) = only(headers, "host", Unclear("there are two `Host`"))?
        && authority(said, Some(port)) != Ok((host.clone(), port))
    {
        return Err(Unclear("`Host` is another one than the address"));
    }
    Ok(Asked::Tunnel { host, port })
}

fn plain(
    method: &str,
    target: &str,
    version: &str,
    headers: &Headers<'_>,
) -> Result<Asked, Unclear> {
    let Some((scheme, rest)) = target.split_once("://") else {
        return Err(Unclear("this is a proxy: the address begins with `http://`"));
    };
    if scheme.eq_ignore_ascii_case("https") {
        return Err(Unclear("what is encrypted is asked for with `CONNECT`"));
    }
    if !scheme.eq_ignore_ascii_case("http") {
        return Err(Unclear("the address begins with `http://`"));
    }
    if target.contains(['\\', '#', '\t']) {
        return Err(Unclear("the address has `\\` or `#` in it"));
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host_and_port, path) = rest.split_at(end);
    let (host, port) = authority(host_and_port, Some(80))?;
    let said = only(headers, "host", Unclear("there are two `Host`"))?;
    let said = said.ok_or(Unclear("there is no `Host`"))?;
    if authority(said, Some(80)) != Ok((host.clone(), port)) {
        return Err(Unclear("`Host` is another one than the address"));
    }
    if headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("transfer-encoding")) {
        return Err(Unclear("a body is sent with its `Content-Length`"));
    }
    let body = match only(headers, "content-length", Unclear("there are two `Content-Length`"))? {
        None => 0,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit()) => {
            digits.parse().map_err(|_| Unclear("`Content-Length` is too long"))?
        }
        Some(_) => return Err(Unclear("`Content-Length` is no number")),
    };
    // What a client has said is between the two is not sent on either.
    let between = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("connection"));
    let between: Vec<&str> =
        between.flat_map(|(_, value)| value.split(',')).map(str::trim).collect();
    let sent_on = |name: &str| {
        let is = |other: &&str| name.eq_ignore_ascii_case(other);
        match is(&"content-length") {
            true => true,
            false => !is(&"host") && !BETWEEN_TWO.iter().chain(&between).any(is),
        }
    };
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut head = format!("{method} {slash}{path} {version}\r\nHost: {}\r\n", shown(&host, port));
    for (name, value) in headers.iter().filter(|(name, _)| sent_on(name)) {
        head.extend([*name, ": ", *value, "\r\n"]);
    }
    head.push_str("Connection: close\r\n\r\n");
    Ok(Asked::Plain { host, port, head: head.into_bytes(), body })
}

/// A host and a port as `Host` has them.
#[must_use]
pub fn shown(host: &Host, port: u16) -> String {
    match port {
        80 => host.to_string(),
        port => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &str, expected: &str) {
        let head = head.replace('\n', "\r\n") + "\r\n\r\n";
        let shown = match read(head.as_bytes()) {
            Err(unclear) => unclear.to_string(),
            Ok(Asked::Tunnel { host, port }) => format!("tunnel {host} {port}"),
            Ok(Asked::Plain { host, port, head, body }) => {
                let head = String::from_utf8(head).unwrap();
                assert!(head.ends_with("\r\n\r\n"));
                format!("plain {host} {port} {body} {}", head.trim_end().replace("\r\n", "|"))
            }
        };
        assert_eq!(shown, expected, "{head:?}");
    }

    #[test]
    fn what_is_clear_is_read() {
        check("CONNECT a.example:443 HTTP/1.1\nHost: a.example:443", "tunnel a.example 443");
        check("CONNECT A.EXAMPLE.:22 HTTP/1.0", "tunnel a.example 22");
        check("CONNECT [::1]:443 HTTP/1.1", "tunnel [::1] 443");
        check(
            "GET http://a.example/x?y=1 HTTP/1.1\nHost: a.example\nAccept: */*\nProxy-Connection: x",
            "plain a.example 80 0 GET /x?y=1 HTTP/1.1|Host: a.example|Accept: */*|Connection: close",
        );
        check(
            "POST http://a.example:8080 HTTP/1.1\nhost: A.example:8080\ncontent-length: 12",
            "plain a.example 8080 12 POST / HTTP/1.1|Host: a.example:8080|content-length: 12|Connection: close",
        );
        check(
            "GET http://a.example?q HTTP/1.1\nHost: a.example:80\nConnection: X-Own, close\nX-Own: 1\nTE: x",
            "plain a.example 80 0 GET /?q HTTP/1.1|Host: a.example|Connection: close",
        );
    }

    #[test]
    fn a_host_has_one_name_only() {
        let two = "`Host` is another one than the address";
        check("GET http://a.example/ HTTP/1.1\nHost: b.example", two);
        check("GET http://a.example/ HTTP/1.1\nHost: a.example:8080", two);
        check("GET http://a.example/ HTTP/1.1\nHost: u@a.example", two);
        check(
            "GET http://a.example/ HTTP/1.1\nHost: a.example\nHost: a.example",
            "there are two `Host`",
        );
        check("GET http://a.example/ HTTP/1.1", "there is no `Host`");
        check("CONNECT a.example:443 HTTP/1.1\nHost: b.example:443", two);
        check("GET http://u@a.example/ HTTP/1.1\nHost: a.example", "the address has a user in it");
        check(
            "GET http://a.example:80@b.example/ HTTP/1.1\nHost: a.example",
            "the address has a user in it",
        );
        check("CONNECT a.example HTTP/1.1", "the port is none");
        check("CONNECT a.example:0443 HTTP/1.1", "the port is none");
        check("CONNECT ::1:443 HTTP/1.1", "the host is none");
        check("CONNECT a_b.example:443 HTTP/1.1", "the host is none");
        check("CONNECT 0x7f.1:443 HTTP/1.1", "the host is none");
    }

    #[test]
    fn a_body_has_one_length_only() {
        let head = "POST http://a.example/ HTTP/1.1\nHost: a.example\n";
        let with = |more: &str| format!("{head}{more}");
        check(&with("Transfer-Encoding: chunked"), "a body is sent with its `Content-Length`");
        check(&with("Content-Length: 1\nContent-Length: 1"), "there are two `Content-Length`");
        check(&with("Content-Length: +1"), "`Content-Length` is no number");
        check(&with("Content-Length: 1, 1"), "`Content-Length` is no number");
        check(&with("Content-Length: 99999999999999999999"), "`Content-Length` is too long");
        check("CONNECT a.example:443 HTTP/1.1\nContent-Length: 5", "a `CONNECT` has no body");
    }

    #[test]
    fn what_looks_like_more_than_it_is_is_refused() {
        check("GET / HTTP/1.1\nHost: a", "this is a proxy: the address begins with `http://`");
        check(
            "GET https://a.example/ HTTP/1.1\nHost: a",
            "what is encrypted is asked for with `CONNECT`",
        );
        check("GET ftp://a.example/ HTTP/1.1\nHost: a", "the address begins with `http://`");
        check("GET http://a.example/ HTTP/2.0\nHost: a", "the version is none that is spoken here");
        check("GET  http://a.example/ HTTP/1.1", "the first line is no `METHOD address HTTP/1.1`");
        check("get http://a.example/ HTTP/1.1", "the method is none");
        check("GET http://a.example/ HTTP/1.1\nHost : a.example", "a header has no name");
        check("GET http://a.example/ HTTP/1.1\nHost: a.example\n folded", "a header has no `:`");
        check("GET http://a.example\\@b/ HTTP/1.1\nHost: a", "the address has `\\` or `#` in it");
        let odd = "the head has characters in it that are not printed";
        check("GET http://a.example/ HTTP/1.1\nHost: a.example\0.b.example", odd);
        let bare = b"GET http://a.example/ HTTP/1.1\nHost: a.example\r\n\r\n";
        assert_eq!(read(bare), Err(Unclear(odd)));
    }
}
