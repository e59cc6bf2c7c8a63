//! Which kind of failure Codex speaks of.

use serde::Deserialize;
use serde_json::Value;

use super::said::ErrorClass;

/// A failure of a turn, or of one of its requests.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TurnError {
    #[serde(default)]
    message: String,
    codex_error_info: Option<Value>,
    additional_details: Option<String>,
}

impl TurnError {
    /// What it is, in one text.
    pub(super) fn message(&self) -> String {
        if let Some(body) = self.body() {
            return body.error.message;
        }
        match &self.additional_details {
            Some(details) if !details.trim().is_empty() && !self.message.contains(details) => {
                format!("{}: {}", self.message, details.trim())
            }
            _ => self.message.clone(),
        }
    }

    pub(super) fn class(&self) -> ErrorClass {
        match &self.codex_error_info {
            Some(Value::String(name)) if name == "other" => self.by_body(),
            Some(Value::String(name)) => by_name(name),
            Some(Value::Object(tagged)) => {
                tagged.iter().next().map_or(ErrorClass::Other, |(name, data)| {
                    by_status(name, data["httpStatusCode"].as_u64())
                })
            }
            _ => ErrorClass::Other,
        }
    }

    fn by_body(&self) -> ErrorClass {
        match self.body().and_then(|body| body.error.kind).as_deref() {
            Some("invalid_request_error") => ErrorClass::BadRequest,
            _ => ErrorClass::Other,
        }
    }

    /// The answer of an endpoint that was not pleased with the request, which Codex passes on as it
    /// came.
    fn body(&self) -> Option<Body> {
        serde_json::from_str(&self.message).ok()
    }
}

/// An error as model endpoints put it.
#[derive(Deserialize)]
struct Body {
    error: BodyError,
}

#[derive(Deserialize)]
struct BodyError {
    message: String,
    #[serde(rename = "type")]
    kind: Option<String>,
}

fn by_name(name: &str) -> ErrorClass {
    match name {
        "usageLimitExceeded" => ErrorClass::UsageLimit,
        "rateLimitExceeded" => ErrorClass::RateLimit,
        "contextWindowExceeded" => ErrorClass::ContextWindow,
        "unauthorized" => ErrorClass::Unauthorized,
        "badRequest" | "modelNotFound" => ErrorClass::BadRequest,
        "internalServerError" => ErrorClass::Server,
        "sandboxError" => ErrorClass::Sandbox,
        "serverOverloaded" | "policyCapacityUnavailable" | "flexUnavailable" => {
            ErrorClass::Overloaded
        }
        _ => ErrorClass::Other,
    }
}

/// Failures of HTTP carry the status that came, if any came.
fn by_status(name: &str, status: Option<u64>) -> ErrorClass {
    match (name, status) {
        (_, Some(401 | 403)) => ErrorClass::Unauthorized,
        (_, Some(429)) => ErrorClass::RateLimit,
        (_, Some(529)) => ErrorClass::Overloaded,
        (_, Some(500..)) => ErrorClass::Server,
        (_, Some(400..)) => ErrorClass::BadRequest,
        (
            "httpConnectionFailed"
            | "responseStreamConnectionFailed"
            | "responseStreamDisconnected"
            | "responseTooManyFailedAttempts",
            _,
        ) => ErrorClass::Network,
        _ => ErrorClass::Other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{ErrorClass, TurnError};

    fn check(info: Value, expected: ErrorClass) {
        let error = json!({ "message": "m", "codexErrorInfo": info, "additionalDetails": null });
        let error: TurnError = serde_json::from_value(error).expect("an error");
        assert_eq!(error.class(), expected, "{info}");
    }

    #[test]
    fn names_have_their_classes() {
        check(json!("usageLimitExceeded"), ErrorClass::UsageLimit);
        check(json!("rateLimitExceeded"), ErrorClass::RateLimit);
        check(json!("contextWindowExceeded"), ErrorClass::ContextWindow);
        check(json!("unauthorized"), ErrorClass::Unauthorized);
        check(json!("modelNotFound"), ErrorClass::BadRequest);
        check(json!("sandboxError"), ErrorClass::Sandbox);
        check(json!("serverOverloaded"), ErrorClass::Overloaded);
    }

    #[test]
    fn a_failed_connection_is_of_the_class_of_its_status() {
        let failed =
            |status: Value| json!({ "httpConnectionFailed": { "httpStatusCode": status } });
        check(failed(json!(null)), ErrorClass::Network);
        check(failed(json!(401)), ErrorClass::Unauthorized);
        check(failed(json!(429)), ErrorClass::RateLimit);
        check(failed(json!(503)), ErrorClass::Server);
        check(failed(json!(404)), ErrorClass::BadRequest);
        check(json!({ "responseStreamDisconnected": {} }), ErrorClass::Network);
    }

    #[test]
    fn an_answer_that_was_passed_on_is_read() {
        let body = r#"{"error":{"message":"no such tool","type":"invalid_request_error"}}"#;
        let error = json!({ "message": body, "codexErrorInfo": "other" });
        let error: TurnError = serde_json::from_value(error).expect("an error");
        assert_eq!(error.class(), ErrorClass::BadRequest);
        assert_eq!(error.message(), "no such tool");
    }

    #[test]
    fn what_nobody_has_heard_of_is_other() {
        check(json!("somethingNew"), ErrorClass::Other);
        check(json!({ "somethingNew": { "x": 1 } }), ErrorClass::Other);
        check(json!(7), ErrorClass::Other);
        check(json!(null), ErrorClass::Other);
    }
}
