//! What is asked of a request before anybody looks at what it wants.
//!
//! Whoever is at the other end was admitted; this is about a browser there that asks in another page's
//! name.

use axum::{
    body::HttpBody,
    extract::Request,
    http::{HeaderMap, HeaderName, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{
    answer::Refusal,
    desk::{Code, Fault},
};

pub(crate) async fn minded(request: Request, next: Next) -> Response {
    match mind(&request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn mind(request: &Request) -> Result<(), Refusal> {
    let headers = request.headers();
    let host = host(request)?;
    if request.method() == Method::POST {
        same_origin(headers, host)?;
        json(headers)?;
        measured(request)?;
    }
    Ok(())
}

/// The name under which the browser knows this page. A name that somebody owns could be made to lead
/// here, and a page of that name would then be of one origin with this one; of these nobody is the
/// owner. The port may be another one, since people forward ports.
fn host(request: &Request) -> Result<&str, Refusal> {
    let Some(host) = only(request.headers(), header::HOST)? else {
        return Err(misdirected());
    };
    // What an address names as a whole comes before the header, and only proxies are sent that.
    if request.uri().authority().is_some() {
        return Err(misdirected());
    }
    let port = ["127.0.0.1", "localhost", "[::1]"].iter().find_map(|name| host.strip_prefix(name));
    if port.is_some_and(|port| port.is_empty() || port.strip_prefix(':').is_some_and(is_port)) {
        return Ok(host);
    }
    Err(misdirected())
}

fn is_port(digits: &str) -> bool {
    (1..=5).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit())
}

fn misdirected() -> Refusal {
    let words = "this page is only known as `127.0.0.1`, `localhost` or `[::1]`";
    Refusal::new(StatusCode::MISDIRECTED_REQUEST, Code::Refused, words)
        .next("open the link as it was printed")
}

/// Only a page that came from here may ask for anything. Browsers say where one came from, and no page
/// can make them say something else.
fn same_origin(headers: &HeaderMap, host: &str) -> Result<(), Refusal> {
    let foreign = || Fault::new(Code::Refused, "only the page itself may ask for this");
    let origin = only(headers, header::ORIGIN)?.and_then(|origin| origin.strip_prefix("http://"));
    if origin != Some(host) {
        return Err(foreign().into());
    }
    match only(headers, HeaderName::from_static("sec-fetch-site"))? {
        None | Some("same-origin") => Ok(()),
        Some(_) => Err(foreign().into()),
    }
}

/// What forms can send needs no leave of anybody.
fn json(headers: &HeaderMap) -> Result<(), Refusal> {
    let media_type = only(headers, header::CONTENT_TYPE)?.and_then(|all| all.split(';').next());
    if media_type.is_some_and(|name| name.trim().eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    let words = "a request has to be `application/json`";
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::Usage, words))
}

/// Browsers say how long a body is. One that comes in pieces, perhaps beside a length that says
/// otherwise, is nobody's that we know.
fn measured(request: &Request) -> Result<(), Refusal> {
    match request.body().size_hint().exact() {
        Some(_) => Ok(()),
        None => {
            let words = "a request has to say how long it is";
            Err(Refusal::new(StatusCode::LENGTH_REQUIRED, Code::Usage, words))
        }
    }
}

/// A header that nobody would know how to read if it were there twice.
fn only(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, Refusal> {
    let mut all = headers.get_all(&name).iter();
    let Some(value) = all.next() else { return Ok(None) };
    match (value.to_str(), all.next()) {
        (Ok(value), None) => Ok(Some(value)),
        _ => {
            let words = format!("the header `{name}` is there twice, or is no text");
            Err(Fault::new(Code::Usage, &words).into())
        }
    }
}

/// The token that a request brings.
pub(crate) fn token(headers: &HeaderMap) -> Option<&str> {
    only(headers, header::AUTHORIZATION).ok().flatten()?.strip_prefix("Bearer ")
}
