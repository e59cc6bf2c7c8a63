//! Which path is whose.

use std::sync::Arc;

use axum::{
    Router,
    body::{HttpBody, to_bytes},
    extract::{Request, State},
    http::StatusCode,
    middleware::{from_fn, map_response},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Map, Value, json};
use tokio::{task::spawn_blocking, time::timeout};

use crate::{
    Leave,
    answer::{self, Refusal},
    assets,
    desk::{Code, Fault},
    limits::{LONGEST_BODY, LONGEST_KEY},
    manners,
    page::House,
};

type Answer = Result<Response, Refusal>;

/// For those who are admitted.
pub(crate) fn inside(house: Arc<House>) -> Router {
    Router::new()
        .route("/", get(async || answer::file(&assets::INDEX)))
        .route("/assets/{name}", get(asset))
        .route("/api/enter", post(enter))
        .route("/api/{name}", post(call))
        .fallback(async || nothing("page"))
        .method_not_allowed_fallback(async || {
            let words = "this is not asked for in that way";
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, Code::Usage, words)
        })
        .with_state(house)
        .layer(from_fn(manners::minded))
        .layer(map_response(answer::guarded))
}

/// For those who are not: they are told so, whatever they want.
pub(crate) fn outside(fault: Fault) -> Router {
    Router::new().fallback(async move || fault).layer(map_response(answer::guarded))
}

// A path is compared as it came. Nothing in it is decoded, joined or made shorter.
fn last_part<'a>(request: &'a Request, folder: &str) -> &'a str {
    request.uri().path().strip_prefix(folder).unwrap_or_default()
}

async fn asset(request: Request) -> Response {
    match assets::named(last_part(&request, "/assets/")) {
        Some(asset) => answer::file(asset),
        None => nothing("file").into_response(),
    }
}

async fn enter(State(house): State<Arc<House>>, request: Request) -> Answer {
    let body = read(&house, request, LONGEST_KEY).await?;
    let key = body.get("key").and_then(Value::as_str).unwrap_or_default();
    match house.secrets.enter(key) {
        Ok(Some(token)) => Ok(answer::document(&json!({ "token": token }))),
        Ok(None) => Err(stranger("this link was used already, or a newer one was made").into()),
        Err(_) => Err(Fault::new(Code::Internal, "this machine gives no random numbers").into()),
    }
}

async fn call(State(house): State<Arc<House>>, request: Request) -> Answer {
    let token = manners::token(request.headers());
    if !token.is_some_and(|token| house.secrets.knows(token)) {
        return Err(stranger("this page has not come in by a link, or too many have since").into());
    }
    let name = last_part(&request, "/api/").to_owned();
    let body = read(&house, request, LONGEST_BODY).await?;
    Ok(answer::document(&ask(&house, name, body).await?))
}

async fn read(house: &House, request: Request, most: u64) -> Result<Map<String, Value>, Refusal> {
    let body = request.into_body();
    if body.size_hint().lower() > most {
        let words = format!("more than {most} bytes at one time are not taken");
        return Err(Fault::new(Code::TooLarge, &words).into());
    }
    let Ok(bytes) = timeout(house.limits.body, to_bytes(body, usize::MAX)).await else {
        return Err(Fault::new(Code::TimedOut, "the rest of the request did not come").into());
    };
    let bytes = bytes.map_err(|_| Fault::new(Code::Usage, "the request is cut off"))?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(body)) => Ok(body),
        _ => Err(Fault::new(Code::Usage, "the request is no object of JSON").into()),
    }
}

/// Whoever waits for the answer owns this; it is dropped when they are gone.
struct Waiting(Leave);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.end();
    }
}

async fn ask(house: &House, name: String, body: Map<String, Value>) -> Result<Value, Fault> {
    // The call keeps its place until it returns, also when nobody waits for it any more.
    let Ok(place) = house.calls.clone().try_acquire_owned() else {
        return Err(Fault::new(Code::Busy, "too much is asked for at one time")
            .next("close other tabs with this page, or try again"));
    };
    let leave = Leave::default();
    let waiting = Waiting(leave.clone());
    let desk = house.desk.clone();
    let mut call = spawn_blocking(move || {
        let answer = desk.call(&name, body, &leave);
        leave.use_up();
        drop(place);
        answer
    });
    let answer = tokio::select! {
        answer = &mut call => answer,
        () = house.ended() => {
            waiting.0.end();
            call.await
        }
    };
    match answer {
        Ok(Some(answer)) => answer,
        Ok(None) => Err(nothing("call")),
        Err(_) => Err(Fault::new(Code::Internal, "this broke amid what it did")
            .next("look where the page was started from: it says more there")),
    }
}

fn stranger(words: &str) -> Fault {
    Fault::new(Code::Unauthorized, words).next("go where the page was started from for a new link")
}

fn nothing(kind: &str) -> Fault {
    Fault::new(Code::NotFound, &format!("there is no such {kind}"))
}
