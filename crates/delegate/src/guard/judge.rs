//! Whether what came is a message; if not, what its sender is told.

use rmcp::{
    ErrorData,
    model::{
        CallToolRequestParams, ClientJsonRpcMessage, ClientNotification, ClientRequest,
        CustomRequest, InitializeRequestParams, RequestId,
    },
};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::{Value, value::RawValue};

use super::frames::content;

/// Values nested deeper than this are not taken: reading them recurses.
const DEEPEST: usize = 100;

/// Nobody reads more than that of what is wrong.
const LONGEST_REASON: usize = 300;

/// What is told to whoever sent something that is not passed on.
pub(super) struct Refusal {
    /// The request's id, null if it has none that could be sent back.
    pub(super) id: Value,
    pub(super) error: Box<ErrorData>,
}

impl Refusal {
    pub(super) fn of(id: Value, error: ErrorData) -> Self {
        Self { id, error: Box::new(error) }
    }
}

/// The members of any message, each as it was written.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow, default, deserialize_with = "as_written")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "as_written")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "as_written")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "as_written")]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "as_written")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "as_written")]
    error: Option<&'a RawValue>,
}

/// Without this a null would be the same as nothing.
fn as_written<'de, D: Deserializer<'de>>(value: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(value).map(Some)
}

/// The message that these bytes are; nothing if they are wrong, but no request, so that they are
/// not answered.
pub(super) fn judge(message: &[u8]) -> Result<Option<ClientJsonRpcMessage>, Refusal> {
    let message = content(message);
    let Ok(text) = std::str::from_utf8(message) else {
        let text = String::from_utf8_lossy(message);
        let id = serde_json::from_str::<Members<'_>>(&text).map_or(Value::Null, |it| it.echo());
        return Err(Refusal::of(id, ErrorData::parse_error("not UTF-8", None)));
    };
    let members = members(text).map_err(|error| Refusal::of(Value::Null, error))?;
    let refuse = |error| Err(Refusal::of(members.echo(), error));
    let invalid = |words: &str| refuse(ErrorData::invalid_request(words.to_owned(), None));

    if members.method.is_none() && (members.result.is_some() || members.error.is_some()) {
        // An answer is never answered, or two that misunderstand each other would go on for ever.
        let sound = !is_deeper(text, DEEPEST);
        return Ok(sound.then(|| serde_json::from_str(text).ok()).flatten());
    }
    if members.jsonrpc.is_none_or(|version| version.get() != "\"2.0\"") {
        return invalid("`jsonrpc` has to be \"2.0\"");
    }
    let method = members.method.map(|method| serde_json::from_str::<String>(method.get()));
    let Some(Ok(method)) = method else {
        return invalid("`method` has to be a string");
    };
    let Some(id) = members.id else {
        let sound = !is_deeper(text, DEEPEST);
        let notification = sound.then(|| serde_json::from_str::<ClientNotification>(text).ok());
        return Ok(notification.flatten().map(ClientJsonRpcMessage::notification));
    };
    let Ok(id) = serde_json::from_str::<RequestId>(id.get()) else {
        return invalid("`id` has to be a string or an integer");
    };
    if is_deeper(text, DEEPEST) {
        return invalid(&format!("nested more than {DEEPEST} deep"));
    }
    let unfit = |why: String| {
        // The library quotes what it cannot read, however long it is.
        let why = why.chars().take(LONGEST_REASON).collect::<String>();
        let method = method.chars().take(LONGEST_REASON).collect::<String>();
        let words = format!("`params` do not fit `{method}`: {why}");
        refuse(ErrorData::invalid_params(words, None))
    };
    match serde_json::from_str::<ClientRequest>(text) {
        Ok(ClientRequest::CustomRequest(CustomRequest { method, .. })) if is_known(&method) => {
            unfit(why_unfit(&method, members.params))
        }
        Ok(request) => Ok(Some(ClientJsonRpcMessage::request(request, id))),
        Err(_) => unfit("they and their `_meta` have to be objects".to_owned()),
    }
}

fn members(text: &str) -> Result<Members<'_>, ErrorData> {
    let not_json = |error| ErrorData::parse_error(format!("not JSON: {error}"), None);
    if !text.starts_with('{') {
        serde_json::from_str::<IgnoredAny>(text).map_err(not_json)?;
        let words = "a message is one JSON object; send the messages of a batch one by one";
        return Err(ErrorData::invalid_request(words, None));
    }
    serde_json::from_str(text).map_err(|error| match error.is_data() {
        true => ErrorData::invalid_request(format!("not a message: {error}"), None),
        false => not_json(error),
    })
}

impl Members<'_> {
    /// The id to send back: also one that is refused, as long as it tells requests apart.
    fn echo(&self) -> Value {
        let id = self.id.and_then(|id| match id.get().as_bytes().first() {
            Some(b'"' | b'-' | b'0'..=b'9') => serde_json::from_str(id.get()).ok(),
            _ => None,
        });
        id.unwrap_or_default()
    }
}

/// Methods that the library takes for somebody else's when their parameters do not fit.
fn is_known(method: &str) -> bool {
    matches!(method, "initialize" | "ping" | "server/discover" | "tools/call" | "tools/list")
}

fn why_unfit(method: &str, params: Option<&RawValue>) -> String {
    let params = params.map_or("null", RawValue::get);
    let error = match method {
        "initialize" => serde_json::from_str::<InitializeRequestParams>(params).err(),
        "tools/call" => serde_json::from_str::<CallToolRequestParams>(params).err(),
        _ => None,
    };
    error.map_or_else(|| "they have to be an object".to_owned(), |error| error.to_string())
}

/// Whether values are nested deeper than that. Quick, since every message is asked.
fn is_deeper(text: &str, deepest: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > deepest {
            return true;
        }
    }
    false
}
