//! SOCKS 5, of which a connection to a name is spoken and nothing else.

use model::caps::Host;

/// What a client has sent so far comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard<T> {
    /// It is not all there.
    More,
    /// It is there, and so many bytes long.
    All(T, usize),
    /// It is not spoken here; the byte says so in SOCKS.
    No(u8),
}

/// The version that is spoken.
pub const VERSION: u8 = 5;
/// What the refused version 4 is told.
pub const NOT_FOUR: &[u8] = &[0, 0x5b, 0, 0, 0, 0, 0, 0];
/// None of the ways to say who one is.
pub const NO_WAY: u8 = 0xff;
/// Replies to a request.
pub const GRANTED: u8 = 0;
/// The rules do not allow it.
pub const NOT_ALLOWED: u8 = 2;
/// It cannot be reached.
pub const UNREACHABLE: u8 = 4;
const NO_SUCH_COMMAND: u8 = 7;
const NO_SUCH_ADDRESS: u8 = 8;
const FAILED: u8 = 1;

/// Reads what ways there are for a client to say who it is. Nobody has to.
#[must_use]
pub fn greeting(bytes: &[u8]) -> Heard<()> {
    let [version, count, ways @ ..] = bytes else { return Heard::More };
    let count = usize::from(*count);
    match ways.get(..count) {
        _ if *version != VERSION => Heard::No(NO_WAY),
        None => Heard::More,
        Some(ways) if ways.contains(&0) => Heard::All((), 2 + count),
        Some(_) => Heard::No(NO_WAY),
    }
}

/// Reads where to. Addresses are not taken here, and a name with one in it is judged as one.
#[must_use]
pub fn request(bytes: &[u8]) -> Heard<(Host, u16)> {
    let [version, command, zero, kind, rest @ ..] = bytes else { return Heard::More };
    match (version, zero, command, kind) {
        (&VERSION, 0, 1, 3) => {}
        (&VERSION, 0, 1, _) => return Heard::No(NO_SUCH_ADDRESS),
        (&VERSION, 0, _, _) => return Heard::No(NO_SUCH_COMMAND),
        _ => return Heard::No(FAILED),
    }
    let [length, rest @ ..] = rest else { return Heard::More };
    let length = usize::from(*length);
    let Some((name, [high, low])) = rest
        .split_at_checked(length)
        .and_then(|(name, rest)| Some((name, rest.first_chunk::<2>()?)))
    else {
        return Heard::More;
    };
    let port = u16::from_be_bytes([*high, *low]);
    let host = std::str::from_utf8(name).ok().and_then(|name| Host::read(name).ok());
    match host.filter(|_| port != 0) {
        Some(host) => Heard::All((host, port), 7 + length),
        None => Heard::No(NO_SUCH_ADDRESS),
    }
}

/// A reply to a request. Which address was connected from is nobody's business.
#[must_use]
pub fn reply(code: u8) -> [u8; 10] {
    [VERSION, code, 0, 1, 0, 0, 0, 0, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &[u8], port: u16) -> Vec<u8> {
        let length = u8::try_from(name.len()).unwrap();
        [&[5, 1, 0, 3, length], name, &port.to_be_bytes()].concat()
    }

    #[test]
    fn a_name_is_read_whole() {
        let bytes = named(b"A.example", 443);
        assert_eq!(request(&bytes), Heard::All(("a.example".parse().unwrap(), 443), bytes.len()));
        for end in 0..bytes.len() {
            assert_eq!(request(&bytes[..end]), Heard::More);
        }
    }

    #[test]
    fn whatever_else_there_is_is_refused() {
        assert_eq!(request(&[5, 2, 0, 3]), Heard::No(7));
        assert_eq!(request(&[5, 3, 0, 3]), Heard::No(7));
        assert_eq!(request(&[5, 1, 0, 1, 127, 0, 0, 1, 0, 80]), Heard::No(8));
        assert_eq!(request(&[5, 1, 0, 4]), Heard::No(8));
        assert_eq!(request(&[5, 1, 1, 3]), Heard::No(1));
        assert_eq!(request(&[4, 1, 0, 80]), Heard::No(1));
        for name in [&b"a.example\0.b.example"[..], b"", b"\xff", b"a b", b"u@a.example", b"127.1"]
        {
            assert_eq!(request(&named(name, 443)), Heard::No(8), "{name:?}");
        }
        assert_eq!(request(&named(b"a.example", 0)), Heard::No(8));
    }

    #[test]
    fn nobody_has_to_say_who_they_are() {
        assert_eq!(greeting(&[5, 1, 0, 9]), Heard::All((), 3));
        assert_eq!(greeting(&[5, 2, 2, 0]), Heard::All((), 4));
        assert_eq!(greeting(&[5, 1, 2]), Heard::No(0xff));
        assert_eq!(greeting(&[5, 2, 0]), Heard::More);
        assert_eq!(greeting(&[5]), Heard::More);
        assert_eq!(greeting(&[5, 0]), Heard::No(0xff));
    }
}
