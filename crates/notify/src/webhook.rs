//! An address on the web that is sent a notice.

use std::{io::Read, net::IpAddr, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::crypto::ring;
use ureq::{
    Agent, Error, Proxy,
    http::{Response, Uri, header::RETRY_AFTER},
    tls::{RootCerts, TlsConfig},
};

use crate::{Parcel, Undelivered, line};

/// As much of a refusal is read as makes a line.
const LONGEST_REFUSAL: u64 = 1024;

/// Posts the document once. Only an answer of 2xx counts: nobody is followed to another address.
/// A proxy of the environment is used, unless the address is on this machine.
///
/// # Errors
///
/// When it cannot be sent, or is not taken in time. The address is in none of what is said then.
pub fn post(url: &str, parcel: &Parcel, timeout: Duration) -> Result<(), Undelivered> {
    let (url, login) = without_login(url);
    let uri: Uri = url.parse().map_err(|_| Undelivered::new("the address cannot be understood"))?;
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .build();
    let proxy = Proxy::try_from_env().filter(|_| !is_here(&uri));
    let agent: Agent = Agent::config_builder()
        .tls_config(tls)
        .proxy(proxy)
        .timeout_global(Some(timeout))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(concat!("codex-orchestrator/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let mut request = agent.post(uri).content_type("application/json");
    if let Some(login) = login {
        request = request.header("authorization", format!("Basic {}", STANDARD.encode(login)));
    }
    let mut response = request.send(&parcel.document).map_err(|error| match error {
        Error::Timeout(_) => Undelivered::new(&format!("no answer within {timeout:?}")),
        // It would say the address.
        Error::BadUri(_) => Undelivered::new("the address cannot be understood"),
        other => Undelivered::new(&other.to_string()),
    })?;
    match response.status().is_success() {
        true => Ok(()),
        false => Err(refusal(&mut response)),
    }
}

fn refusal(response: &mut Response<ureq::Body>) -> Undelivered {
    let seconds =
        response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let mut body = Vec::new();
    // What cannot be read is only an explanation.
    let _ = response.body_mut().as_reader().take(LONGEST_REFUSAL).read_to_end(&mut body);
    let why = line(&String::from_utf8_lossy(&body));
    let colon = if why.is_empty() { "" } else { ": " };
    let said = line(&format!("the answer was {}{colon}{why}", response.status()));
    Undelivered { said, not_before: seconds.map(Duration::from_secs) }
}

/// The address, and the user and password that it may have before its host.
fn without_login(url: &str) -> (String, Option<Vec<u8>>) {
    let Some((scheme, rest)) = url.split_once("://") else { return (url.to_owned(), None) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rsplit_once('@') {
        Some((login, host)) => (format!("{scheme}://{host}{}", &rest[end..]), Some(plain(login))),
        None => (url.to_owned(), None),
    }
}

/// The text without percent signs that stand for something else.
fn plain(text: &str) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let hex = |at: usize| more.get(at).and_then(|&digit| char::from(digit).to_digit(16));
        match (first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                plain.push((high * 16 + low) as u8);
                rest = &more[2..];
            }
            _ => {
                plain.push(*first);
                rest = more;
            }
        }
    }
    plain
}

fn is_here(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        net::TcpListener,
        thread,
    };

    use super::*;

    const AMPLE: Duration = Duration::from_secs(60);

    /// What is said of an address that answers so, and what it was sent.
    fn check(login: &str, answer: &'static str) -> (Result<(), Undelivered>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(&stream);
            let mut got = String::new();
            while !got.ends_with("\r\n\r\n") {
                assert_ne!(reader.read_line(&mut got).unwrap(), 0);
            }
            let length = got.to_lowercase();
            let length = length.split("content-length: ").nth(1).unwrap();
            let mut body = vec![0; length.lines().next().unwrap().parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            (&stream).write_all(answer.as_bytes()).unwrap();
            got + &String::from_utf8(body).unwrap()
        });
        let parcel = Parcel { document: b"{\"a\":1}".to_vec(), variables: Vec::new() };
        let told = post(&format!("http://{login}{address}/secret?k=v"), &parcel, AMPLE);
        (told, server.join().unwrap())
    }

    #[test]
    fn an_address_is_sent_the_document_with_the_login_that_it_has() {
        let (told, got) = check("", "HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(told, Ok(()));
        assert!(got.starts_with("POST /secret?k=v HTTP/1.1\r\n"), "{got}");
        assert!(got.contains("content-type: application/json\r\n") && got.ends_with("{\"a\":1}"));
        assert!(!got.contains("authorization"), "{got}");
        let (_, got) = check("me:p%40ss@", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        assert!(got.contains(&format!("authorization: Basic {}\r\n", STANDARD.encode("me:p@ss"))));
    }

    #[test]
    fn whatever_is_no_success_is_a_failure_and_nobody_is_followed() {
        let said = |answer| check("", answer).0.unwrap_err();
        assert_eq!(
            said("HTTP/1.1 500 Oops\r\ncontent-length: 5\r\n\r\nno\x07 \n").said,
            "the answer was 500 Internal Server Error: no"
        );
        let busy = said("HTTP/1.1 429 Slow\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(busy.not_before, Some(Duration::from_secs(7)));
        let moved =
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(said(moved).said, "the answer was 302 Found");
    }

    #[test]
    fn nobody_is_waited_for_longer_than_it_may_take() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/secret", listener.local_addr().unwrap());
        let parcel = Parcel { document: Vec::new(), variables: Vec::new() };
        let hung = post(&url, &parcel, Duration::from_millis(200)).unwrap_err();
        assert_eq!(hung.said, "no answer within 200ms");
        drop(listener);
        let down = post(&url, &parcel, AMPLE).unwrap_err();
        assert!(down.said.to_lowercase().contains("refused"), "{down:?}");
        assert!(!down.said.contains("secret"));
        let bad = post("http://a b/secret", &parcel, AMPLE).unwrap_err();
        assert_eq!(bad.said, "the address cannot be understood");
    }

    #[test]
    fn an_address_on_this_machine_needs_no_proxy() {
        let here = |url: &str| is_here(&url.parse().unwrap());
        assert!(here("http://localhost:1/") && here("http://127.0.0.2/") && here("https://[::1]/"));
        assert!(!here("https://hooks.example/") && !here("http://10.0.0.1/"));
    }
}
