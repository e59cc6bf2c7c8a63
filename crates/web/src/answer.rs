//! What goes back to a browser, and what the browser is told to do with it.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{
    assets::Asset,
    desk::{Code, Fault},
};

/// Nothing but what this page brings along itself, nothing that is written into it, no frame around it
/// and no way for text to become markup.
const CONTENT: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                       img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; \
                       require-trusted-types-for 'script'; trusted-types 'none'";

/// Nothing that a browser could lend to a page, of all that browsers know by name. The clipboard is not
/// among it: a person may want to take a command along.
const PERMISSIONS: &str = "accelerometer=(), autoplay=(), camera=(), display-capture=(), \
                           encrypted-media=(), fullscreen=(), geolocation=(), gyroscope=(), hid=(), \
                           idle-detection=(), local-fonts=(), magnetometer=(), microphone=(), midi=(), \
                           payment=(), picture-in-picture=(), publickey-credentials-get=(), \
                           screen-wake-lock=(), serial=(), usb=(), \
                           window-management=(), xr-spatial-tracking=()";

/// What every answer has, whatever it is the answer to.
const ALWAYS: [(&str, &str); 8] = [
    ("content-security-policy", CONTENT),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
    ("permissions-policy", PERMISSIONS),
];

pub(crate) async fn guarded(mut answer: Response) -> Response {
    for (name, value) in ALWAYS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

pub(crate) fn document(body: &Value) -> Response {
    whole(StatusCode::OK, "application/json", body.to_string().into())
}

pub(crate) fn file(asset: &'static Asset) -> Response {
    whole(StatusCode::OK, asset.media_type, asset.bytes.into())
}

fn whole(status: StatusCode, media_type: &'static str, body: Body) -> Response {
    (status, [(header::CONTENT_TYPE, media_type)], body).into_response()
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        Refusal::from(self).into_response()
    }
}

/// A fault with the status that HTTP has for it, where that says more than the fault's code does.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    fault: Fault,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: Code, message: &str) -> Refusal {
        Refusal { status, fault: Fault::new(code, message) }
    }

    pub(crate) fn next(self, step: &str) -> Refusal {
        Refusal { fault: self.fault.next(step), ..self }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Refusal {
        let status = StatusCode::from_u16(fault.code.status());
        Refusal { status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), fault }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Fault { code, message, next_step } = self.fault;
        let error = json!({ "code": code.name(), "message": message, "next_step": next_step });
        let body = json!({ "error": error });
        let mut answer = whole(self.status, "application/json", body.to_string().into());
        // What is left unread of a request leaves no place for another one, which its client should know.
        if matches!(code, Code::TooLarge | Code::TimedOut) {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}
