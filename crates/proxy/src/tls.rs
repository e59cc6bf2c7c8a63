//! The name by which a client calls a server in its first TLS message.

use model::caps::Host;

/// The longest first message that is waited for; those with many keys have some thousand bytes.
pub const LONGEST: usize = 32 * 1024;

/// What a client has sent so far comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// It is not all there.
    More,
    /// It is not TLS, or none that can be read in one way only.
    NotTls,
    /// It is there, with the name in it.
    Named(Option<String>),
}

/// Reads the beginning of a connection.
#[must_use]
pub fn hello(bytes: &[u8]) -> Hello {
    // A message may be cut into records at any place.
    let mut message = vec![];
    let mut rest = bytes;
    loop {
        let wanted = match message.first_chunk::<4>() {
            Some([1, a, b, c]) => {
                4 + (usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c))
            }
            Some(_) => return Hello::NotTls,
            None => 4,
        };
        if wanted > LONGEST {
            return Hello::NotTls;
        }
        if message.len() >= wanted && wanted > 4 {
            // The server begins only now: nothing stands behind the message in its record.
            return match message.len() == wanted {
                true => name(&message[4..]).map_or(Hello::NotTls, Hello::Named),
                false => Hello::NotTls,
            };
        }
        match record(rest) {
            Record::More => return Hello::More,
            Record::None => return Hello::NotTls,
            Record::Of(part, after) => {
                message.extend_from_slice(part);
                rest = after;
            }
        }
    }
}

enum Record<'a> {
    More,
    None,
    Of(&'a [u8], &'a [u8]),
}

/// The next record, which must be one of the handshake and not empty.
fn record(bytes: &[u8]) -> Record<'_> {
    let right = |at: usize, good: &dyn Fn(u8) -> bool| bytes.get(at).is_none_or(|byte| good(*byte));
    if !right(0, &|kind| kind == 22)
        || !right(1, &|version| version == 3)
        || !right(2, &|minor| minor <= 4)
    {
        return Record::None;
    }
    let Some(([_, _, _, high, low], rest)) = bytes.split_first_chunk::<5>() else {
        return Record::More;
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if length == 0 || length > 16 * 1024 {
        return Record::None;
    }
    match rest.split_at_checked(length) {
        Some((part, after)) => Record::Of(part, after),
        None => Record::More,
    }
}

/// Takes bytes from the front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, bytes: usize) -> Option<usize> {
        Some(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// What has its length before it.
    fn counted(&mut self, bytes: usize) -> Option<Bytes<'a>> {
        let length = self.number(bytes)?;
        self.take(length).map(Bytes)
    }
}

/// The name in the body of a client's hello; none in one that is broken, or names two.
fn name(body: &[u8]) -> Option<Option<String>> {
    const SERVER_NAME: usize = 0;
    let mut body = Bytes(body);
    body.take(2 + 32)?;
    body.counted(1)?;
    body.counted(2)?;
    body.counted(1)?;
    if body.0.is_empty() {
        return Some(None);
    }
    let mut extensions = body.counted(2)?;
    if !body.0.is_empty() {
        return None;
    }
    let mut found = None;
    while !extensions.0.is_empty() {
        let kind = extensions.number(2)?;
        let mut content = extensions.counted(2)?;
        if kind != SERVER_NAME {
            continue;
        }
        let mut names = content.counted(2)?;
        let of_host = names.number(1)? == 0;
        let name = names.counted(2)?;
        if !of_host || !names.0.is_empty() || !content.0.is_empty() || found.is_some() {
            return None;
        }
        found = Some(std::str::from_utf8(name.0).ok()?.to_owned());
    }
    Some(found)
}

/// Whether a client that was let through to a host calls it by its name. An address has none.
#[must_use]
pub fn is_called(host: &Host, name: Option<&str>) -> bool {
    match (host.name(), name) {
        (Some(_), Some(name)) => Host::read(name).is_ok_and(|named| named == *host),
        (Some(_), None) => false,
        (None, name) => name.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hello with these extensions, as one record.
    fn hello_with(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let sized =
            |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
        let all: Vec<u8> = extensions
            .iter()
            .flat_map(|(kind, body)| [&kind.to_be_bytes()[..], &sized(body)].concat())
            .collect();
        let body = [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0x13, 1], &[1, 0], &sized(&all)].concat();
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let message = [&[1][..], &length[1..], &body].concat();
        [&[22, 3, 1][..], &sized(&message)].concat()
    }

    fn named(name: &[u8]) -> (u16, Vec<u8>) {
        let length = u16::try_from(name.len()).unwrap();
        (0, [&(length + 3).to_be_bytes()[..], &[0], &length.to_be_bytes(), name].concat())
    }

    #[test]
    fn the_name_is_found_wherever_the_message_is_cut() {
        let whole = hello_with(&[(10, vec![0, 0]), named(b"a.example")]);
        assert_eq!(hello(&whole), Hello::Named(Some("a.example".to_owned())));
        for end in 0..whole.len() {
            assert_eq!(hello(&whole[..end]), Hello::More, "{end}");
        }
        let message = &whole[5..];
        for cut in 1..message.len() {
            let record = |part: &[u8]| {
                [&[22, 3, 1][..], &u16::try_from(part.len()).unwrap().to_be_bytes(), part].concat()
            };
            let two = [record(&message[..cut]), record(&message[cut..])].concat();
            assert_eq!(hello(&two), Hello::Named(Some("a.example".to_owned())), "{cut}");
        }
    }

    #[test]
    fn what_is_no_hello_or_has_two_names_is_none() {
        assert_eq!(hello(b"GET / HTTP/1.1\r\n\r\n"), Hello::NotTls);
        assert_eq!(hello(b"SSH-2.0-x\r\n"), Hello::NotTls);
        assert_eq!(hello(&hello_with(&[named(b"a.example"), named(b"b.example")])), Hello::NotTls);
        let mut behind = hello_with(&[named(b"a.example")]);
        behind.extend_from_slice(b"x");
        assert_eq!(
            hello(&behind),
            Hello::Named(Some("a.example".to_owned())),
            "the rest is another record"
        );
        assert_eq!(hello(&hello_with(&[(10, vec![0, 0])])), Hello::Named(None));
        assert_eq!(hello(&[22, 3, 1, 0, 0]), Hello::NotTls);
        assert_eq!(hello(&[22, 3, 1, 0, 4, 2, 0, 0, 0]), Hello::NotTls);
    }

    #[test]
    fn a_host_is_called_by_its_own_name() {
        let called = |host: &str, name| is_called(&host.parse().unwrap(), name);
        assert!(called("a.example", Some("A.example")));
        assert!(!called("a.example", Some("b.example")) && !called("a.example", None));
        assert!(called("10.0.0.1", None) && !called("10.0.0.1", Some("a.example")));
    }
}
