//! What may pass between a thread and a server of which it is granted some tools.

use std::collections::{HashMap, HashSet};

use engine::ToolLeave;
use serde_json::{Value, json};

use super::elicited::{self, Elicited};

/// What a thread is granted of a server.
pub trait Grants {
    /// Whether that tool may be called, at this moment.
    fn tool(&self, name: &str) -> ToolLeave;
    /// Whether everything may, also what is no tool.
    fn is_whole(&self) -> bool;
    /// Whether somebody may be asked for more tools than are given.
    fn may_widen(&self) -> bool;
    /// Whether the server may ask a person for something.
    fn may_elicit(&self) -> bool;
}

/// What a server has made of the greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// It has answered.
    Answered,
    /// It has refused it, in these words.
    Refused(String),
    /// It has ended without an answer.
    Ended,
    /// Nothing, as long as somebody was there to hear it.
    Unanswered,
}

/// What becomes of what a thread says.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// The server hears it.
    Pass,
    /// It is answered so, and the server does not hear it.
    Refuse { code: i64, words: String, tool: Option<(String, Why)> },
    /// It waits for whoever is asked for that tool.
    Hold { tool: String },
    /// Nobody hears it.
    Drop,
}

/// Why a tool is not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is not granted.
    NotGranted,
    /// Somebody is asked for it, and has not answered.
    Asked,
    /// Whoever was asked did not say yes.
    Refused,
}

/// What becomes of what a server says.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    /// The thread hears it.
    Pass(Value),
    /// The server is answered so, and the thread does not hear it.
    Answer(Value),
    /// A person is asked that, and the thread does not hear of it.
    Elicits { number: u64, params: Value },
    /// Nobody hears it.
    Drop,
}

/// Remembers which answer has to be looked at.
#[derive(Debug)]
pub(super) struct Filter<G> {
    grants: G,
    name: String,
    awaited: HashMap<i64, Awaited>,
    /// How the server has answered the greeting.
    greeting: Greeting,
    /// What the server says that it has, of what somebody may be asked for: for nothing else is anybody
    /// asked.
    askable: HashSet<String>,
    /// What the server wants from a person.
    pub(super) elicited: Elicited,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Greeting,
    Tools,
    Other,
}

/// What a thread can do with a server beside calling its tools, however little it is granted.
const USUAL: [&str; 3] = ["initialize", "ping", "logging/setLevel"];

/// What a server tells by itself that belongs to its tools.
const OF_TOOLS: [&str; 3] =
    ["notifications/message", "notifications/progress", "notifications/tools/list_changed"];

/// Where a client says with each request what it can be asked for.
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

impl<G: Grants> Filter<G> {
    pub(super) fn new(name: String, grants: G) -> Self {
        Self {
            grants,
            name,
            awaited: HashMap::new(),
            greeting: Greeting::Unanswered,
            askable: HashSet::new(),
            elicited: Elicited::default(),
        }
    }

    /// What becomes of a message of the thread's. It is judged as it is passed on, not as it came. A
    /// server is never told that it could ask the thread for anything: see `heard`. It is told that a
    /// person can be asked, whatever the thread can do.
    pub(super) fn said(&mut self, message: &mut Value) -> Verdict {
        let Some(method) = message["method"].as_str().map(str::to_owned) else {
            return Verdict::Drop;
        };
        let method = method.as_str();
        let Some(id) = message["id"].as_i64() else {
            if method == "notifications/cancelled"
                && let Some(id) = message["params"]["requestId"].as_i64()
            {
                self.is_over(id);
            }
            let is_heard =
                method.starts_with("notifications/") && !method.starts_with("notifications/roots/");
            return if is_heard { Verdict::Pass } else { Verdict::Drop };
        };
        if method == "initialize" {
            message["params"]["capabilities"] = match self.grants.may_elicit() {
                true => json!({ "elicitation": { "form": {}, "url": {} } }),
                false => json!({}),
            };
        }
        if let Some(said) = message.pointer_mut("/params/_meta").and_then(Value::as_object_mut)
            && said.contains_key(CAPABILITIES)
        {
            said.insert(CAPABILITIES.to_owned(), json!({}));
        }
        let awaited = match method {
            "initialize" | "server/discover" => Awaited::Greeting,
            "tools/list" => Awaited::Tools,
            "tools/call" => {
                let tool = message["params"]["name"].as_str().unwrap_or_default();
                match self.grants.tool(tool) {
                    ToolLeave::Given => Awaited::Other,
                    ToolLeave::Asks if self.askable.contains(tool) => {
                        return Verdict::Hold { tool: tool.to_owned() };
                    }
                    ToolLeave::Refused => return self.refusal(tool, Why::Refused),
                    ToolLeave::Asks | ToolLeave::Enough | ToolLeave::Withheld => {
                        return self.refusal(tool, Why::NotGranted);
                    }
                }
            }
            usual if USUAL.contains(&usual) || self.grants.is_whole() => Awaited::Other,
            other => {
                let other = other.chars().take(100).collect::<String>();
                let words = format!(
                    "`{}` of `{}` is not granted to this run, which has tools of it and no more",
                    other.escape_debug(),
                    self.name
                );
                return Verdict::Refuse { code: -32601, words, tool: None };
            }
        };
        self.awaited.insert(id, awaited);
        Verdict::Pass
    }

    /// What came of the greeting, of a server that says no more, or that nobody hears any more.
    pub(super) fn greeting(self, server_ended: bool) -> Greeting {
        match self.greeting {
            Greeting::Unanswered if server_ended => Greeting::Ended,
            greeting => greeting,
        }
    }

    /// What somebody hears who calls a tool in vain.
    pub(super) fn refusal(&self, tool: &str, why: Why) -> Verdict {
        let shown = tool.chars().take(100).collect::<String>().escape_debug().to_string();
        let further = match why {
            Why::NotGranted => "`caps.tools.mcp` says which are",
            Why::Asked => {
                "a person is asked for it, and has not answered yet: go on with something else, and \
                 call it again later"
            }
            Why::Refused => "whoever was asked for it did not say yes, and is not asked again",
        };
        let words =
            format!("the tool `{shown}` of `{}` is not granted to this run; {further}", self.name);
        Verdict::Refuse { code: -32602, words, tool: Some((shown, why)) }
    }

    /// Whether a tool may be called that was waited for; nothing as long as nobody has said so.
    pub(super) fn decided(&self, tool: &str) -> Option<Result<(), Why>> {
        match self.grants.tool(tool) {
            ToolLeave::Given => Some(Ok(())),
            ToolLeave::Asks => None,
            ToolLeave::Refused => Some(Err(Why::Refused)),
            ToolLeave::Enough | ToolLeave::Withheld => Some(Err(Why::NotGranted)),
        }
    }

    /// The tools that it names as such that somebody may be asked for may have become others.
    pub(super) fn list_changed(&self) -> Option<Value> {
        let told = json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" });
        self.grants.may_widen().then_some(told)
    }

    /// What becomes of what the server says. Nothing of it is passed on but what belongs to a message
    /// of its kind, so that nobody takes it for one of another.
    ///
    /// What it asks for by itself is refused here, or a person is asked: there is nobody at the thread
    /// whose word that would be.
    pub(super) fn heard(&mut self, mut message: Value) -> Heard {
        if let Some(method) = message.get("method").and_then(Value::as_str) {
            let params = message.get("params");
            return match message.get("id").filter(|id| !id.is_null()) {
                Some(id) if method == "elicitation/create" => self.elicits(id, params),
                Some(id) => Heard::Answer(own_answer(method, id)),
                None => self.told(method, params),
            };
        }
        let awaited = message["id"].as_i64().and_then(|id| self.is_over(id));
        let Some(awaited) = awaited else { return Heard::Drop };
        if !self.grants.is_whole() || awaited == Awaited::Tools {
            self.narrow(awaited, &mut message);
        }
        let outcome = if message.get("result").is_some() { "result" } else { "error" };
        if awaited == Awaited::Greeting && self.greeting != Greeting::Answered {
            let words = || message["error"]["message"].as_str().unwrap_or_default();
            self.greeting = match outcome {
                "result" => Greeting::Answered,
                _ => Greeting::Refused(
                    words().chars().take(200).filter(|c| !c.is_control()).collect(),
                ),
            };
        }
        Heard::Pass(json!({
            "jsonrpc": "2.0", "id": message["id"], outcome: message[outcome].take(),
        }))
    }

    /// Somebody waits no more for the answer to that request, if anybody did.
    fn is_over(&mut self, id: i64) -> Option<Awaited> {
        self.elicited.over(id);
        self.awaited.remove(&id)
    }

    fn elicits(&mut self, id: &Value, params: Option<&Value>) -> Heard {
        match self.grants.may_elicit() {
            true => self.elicited.ask(id, params, self.awaited.keys().copied()),
            false => Heard::Answer(elicited::declined(id)),
        }
    }

    /// What it tells without being asked.
    fn told(&mut self, method: &str, params: Option<&Value>) -> Heard {
        if method == "notifications/cancelled"
            && let Some(id) = params.and_then(|params| params.get("requestId"))
        {
            self.elicited.taken_back(id);
        }
        let is_heard = match self.grants.is_whole() {
            // The thread was asked for nothing that could be taken back, or done elsewhere.
            true => {
                method.starts_with("notifications/")
                    && method != "notifications/cancelled"
                    && !method.starts_with("notifications/elicitation/")
            }
            false => OF_TOOLS.contains(&method),
        };
        if !is_heard {
            return Heard::Drop;
        }
        let mut told = json!({ "jsonrpc": "2.0", "method": method });
        if let Some(params) = params {
            told["params"] = params.clone();
        }
        Heard::Pass(told)
    }

    /// Takes out of an answer what is not granted.
    fn narrow(&mut self, awaited: Awaited, message: &mut Value) {
        match awaited {
            Awaited::Other => {}
            Awaited::Greeting => {
                // To look by index would put a result beside an error.
                let result = message.get_mut("result");
                if let Some(Value::Object(capabilities)) =
                    result.and_then(|result| result.get_mut("capabilities"))
                {
                    capabilities.retain(|name, _| ["tools", "logging"].contains(&name.as_str()));
                    if let Some(Value::Object(tools)) = capabilities.get_mut("tools")
                        && self.grants.may_widen()
                    {
                        tools.insert("listChanged".to_owned(), true.into());
                    }
                }
            }
            Awaited::Tools => {
                match message.get_mut("result").and_then(|result| result.get_mut("tools")) {
                    Some(Value::Array(tools)) => tools.retain_mut(|tool| self.shows(tool)),
                    Some(other) => *other = json!([]),
                    None => {}
                }
            }
        }
    }

    /// Whether a tool is listed. One that is not given, and may be asked for, says so of itself: a model
    /// can call only what it is shown.
    fn shows(&mut self, tool: &mut Value) -> bool {
        let Some(name) = tool["name"].as_str().map(str::to_owned) else { return false };
        match self.grants.tool(&name) {
            ToolLeave::Given => true,
            ToolLeave::Asks | ToolLeave::Enough => {
                let about = tool["description"].as_str().unwrap_or_default();
                tool["description"] = format!("{REMARK}{about}").into();
                self.askable.insert(name);
                true
            }
            ToolLeave::Refused | ToolLeave::Withheld => false,
        }
    }
}

/// What the model reads of a tool that it does not have.
const REMARK: &str = "[Not granted to this run. A call of it asks a person, and is refused until they say \
                      yes; call it only where the work needs it.] ";

/// What a server hears of what it asks for by itself.
fn own_answer(method: &str, id: &Value) -> Value {
    match method {
        "ping" => json!({ "jsonrpc": "2.0", "id": id, "result": {} }),
        _ => {
            let error = json!({ "code": -32601, "message": "nobody answers that here" });
            json!({ "jsonrpc": "2.0", "id": id, "error": error })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first tool, or everything; what else has that leave.
    struct First(bool, ToolLeave);

    impl Grants for First {
        fn tool(&self, name: &str) -> ToolLeave {
            match (self.0, name) {
                (true, _) | (false, "one") => ToolLeave::Given,
                (false, "never") => ToolLeave::Withheld,
                (false, _) => self.1,
            }
        }

        fn is_whole(&self) -> bool {
            self.0
        }

        fn may_widen(&self) -> bool {
            self.1 == ToolLeave::Asks
        }

        fn may_elicit(&self) -> bool {
            self.1 != ToolLeave::Refused
        }
    }

    fn filter(whole: bool) -> Filter<First> {
        Filter::new("s".to_owned(), First(whole, ToolLeave::Withheld))
    }

    fn said(filter: &mut Filter<First>, mut message: Value) -> Verdict {
        filter.said(&mut message)
    }

    fn call(tool: &str) -> Value {
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}})
    }

    fn passed(heard: Heard) -> Value {
        match heard {
            Heard::Pass(message) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_what_is_granted_is_called() {
        assert_eq!(said(&mut filter(false), call("one")), Verdict::Pass);
        for tool in ["two", "One", "one ", "*", ""] {
            let refused = said(&mut filter(false), call(tool));
            let Verdict::Refuse { tool: Some(named), .. } = refused else { panic!("{tool}") };
            assert_eq!(named, (tool.to_owned(), Why::NotGranted));
            assert_eq!(said(&mut filter(true), call(tool)), Verdict::Pass);
        }
    }

    #[test]
    fn only_what_is_granted_is_listed() {
        let mut filter = filter(false);
        assert_eq!(said(&mut filter, json!({"id": 7, "method": "tools/list"})), Verdict::Pass);
        let listed = json!({"id": 7, "result": {"tools": [{"name": "one"}, {"name": "two"}, 3], "nextCursor": "x"}});
        let heard = passed(filter.heard(listed.clone()));
        assert_eq!(heard["result"], json!({"tools": [{"name": "one"}], "nextCursor": "x"}));
        // An answer that nobody waits for is none.
        assert_eq!(filter.heard(listed), Heard::Drop);
    }

    #[test]
    fn what_may_be_asked_for_is_listed_with_a_remark_and_waits_where_the_server_has_it() {
        let mut filter = Filter::new("s".to_owned(), First(false, ToolLeave::Asks));
        let refuses = |verdict| matches!(verdict, Verdict::Refuse { .. });
        assert!(refuses(said(&mut filter, call("two"))), "nobody knows of it");
        said(&mut filter, json!({"id": 6, "method": "initialize", "params": {}}));
        let greeting = json!({"id": 6, "result": {"capabilities": {"tools": {}}}});
        let heard = passed(filter.heard(greeting));
        assert_eq!(heard["result"]["capabilities"]["tools"]["listChanged"], true);
        said(&mut filter, json!({"id": 7, "method": "tools/list"}));
        let two = json!({"name": "two", "description": "Does it."});
        let tools = json!([{"name": "one"}, two, {"name": "never"}]);
        let heard = passed(filter.heard(json!({"id": 7, "result": {"tools": tools}})));
        let listed = heard["result"]["tools"].as_array().unwrap();
        assert_eq!((listed.len(), &listed[0]), (2, &json!({"name": "one"})));
        let about = listed[1]["description"].as_str().unwrap();
        assert!(about.starts_with("[Not granted") && about.ends_with("Does it."), "{about}");
        let held = said(&mut filter, call("two"));
        assert_eq!(held, Verdict::Hold { tool: "two".to_owned() });
        assert!(refuses(said(&mut filter, call("three"))), "the server has none");
        assert!(refuses(said(&mut filter, call("never"))));
        filter.grants.1 = ToolLeave::Enough;
        assert!(refuses(said(&mut filter, call("two"))));
        filter.grants.1 = ToolLeave::Given;
        assert_eq!(said(&mut filter, call("two")), Verdict::Pass);
    }

    #[test]
    fn what_is_no_tool_is_for_those_who_have_everything() {
        for method in ["resources/read", "prompts/list", "completion/complete", "anything"] {
            let asked = json!({"id": 2, "method": method});
            let refused = said(&mut filter(false), asked.clone());
            assert!(matches!(refused, Verdict::Refuse { tool: None, .. }));
            assert_eq!(said(&mut filter(true), asked), Verdict::Pass);
        }
        let mut narrow = filter(false);
        said(&mut narrow, json!({"id": 1, "method": "initialize", "params": {}}));
        let greeting = json!({"id": 1, "result": {"capabilities": {"tools": {}, "resources": {}}}});
        let heard = passed(narrow.heard(greeting));
        assert_eq!(heard["result"]["capabilities"], json!({"tools": {}}));
        let updated = json!({"method": "notifications/resources/updated"});
        assert_eq!(narrow.heard(updated.clone()), Heard::Drop);
        assert!(matches!(filter(true).heard(updated), Heard::Pass(_)));
        assert!(matches!(narrow.heard(json!({"method": "notifications/message"})), Heard::Pass(_)));
        assert_eq!(narrow.heard(json!([1])), Heard::Drop);
    }

    #[test]
    fn nobody_answers_what_a_server_asks_for_by_itself() {
        for whole in [false, true] {
            let mut filter = filter(whole);
            let mut hello = json!({"id": 1, "method": "initialize", "params": {"capabilities": {"sampling": {}}}});
            assert_eq!(filter.said(&mut hello), Verdict::Pass);
            let person = json!({"elicitation": {"form": {}, "url": {}}});
            assert_eq!(hello["params"]["capabilities"], person);
            let mut list = json!({"id": 2, "method": "tools/list", "params": {"_meta": {CAPABILITIES: {"roots": {}}}}});
            assert_eq!(filter.said(&mut list), Verdict::Pass);
            assert_eq!(list["params"]["_meta"][CAPABILITIES], json!({}));
            for method in ["sampling/createMessage", "roots/list"] {
                let Heard::Answer(answer) = filter.heard(json!({"id": "x", "method": method}))
                else {
                    panic!("{method}")
                };
                assert_eq!(
                    (&answer["id"], &answer["error"]["code"]),
                    (&json!("x"), &json!(-32601))
                );
            }
            let pong = json!({"jsonrpc": "2.0", "id": 3, "result": {}});
            assert_eq!(filter.heard(json!({"id": 3, "method": "ping"})), Heard::Answer(pong));
            assert_eq!(said(&mut filter, json!({"id": 3, "result": {"roots": []}})), Verdict::Drop);
        }
    }

    #[test]
    fn only_a_person_is_asked_what_a_server_wants_and_nobody_where_nobody_is_to_be() {
        let wants = json!({"id": "x", "method": "elicitation/create", "params": {"message": "?"}});
        let no_more = json!({"method": "notifications/cancelled", "params": {"requestId": "x"}});
        let done = json!({"method": "notifications/elicitation/complete", "params": {}});
        for whole in [false, true] {
            let mut filter = filter(whole);
            said(&mut filter, call("one"));
            let Heard::Elicits { number: 1, .. } = filter.heard(wants.clone()) else { panic!() };
            // What the thread says to it, by whatever name, is no answer, and takes nothing back.
            for id in [json!("x"), json!(1)] {
                let forged = json!({"id": id, "result": {"action": "accept"}});
                assert_eq!(said(&mut filter, forged), Verdict::Drop);
            }
            said(&mut filter, no_more.clone());
            assert_eq!(filter.elicited.vain(), []);
            assert_eq!(filter.heard(done.clone()), Heard::Drop);
            assert!(filter.elicited.answered(1, &json!({})).is_some());
            filter.heard(wants.clone());
            assert_eq!(filter.heard(no_more.clone()), Heard::Drop);
            assert_eq!(filter.elicited.vain().len(), 1);
            filter.heard(wants.clone());
            filter.heard(json!({"id": 1, "result": {}}));
            assert_eq!(filter.elicited.vain().len(), 1, "what it was asked for is over");
        }
        let mut alone = Filter::new("s".to_owned(), First(true, ToolLeave::Refused));
        let mut hello = json!({"id": 1, "method": "initialize", "params": {}});
        assert_eq!(alone.said(&mut hello), Verdict::Pass);
        assert_eq!(hello["params"]["capabilities"], json!({}));
        let Heard::Answer(answer) = alone.heard(wants) else { panic!() };
        assert_eq!(answer["result"], json!({"action": "decline"}));
    }

    #[test]
    fn a_refused_greeting_stays_an_error() {
        let mut filter = filter(false);
        said(&mut filter, json!({"id": 1, "method": "initialize", "params": {}}));
        let error = json!({"code": 1, "message": "no\u{7}"});
        let heard = passed(filter.heard(json!({"id": 1, "error": error})));
        assert_eq!(heard, json!({"jsonrpc": "2.0", "id": 1, "error": error}));
        assert_eq!(filter.greeting(true), Greeting::Refused("no".to_owned()));
    }

    #[test]
    fn a_message_of_two_kinds_is_of_one() {
        let mut filter = filter(false);
        said(&mut filter, json!({"id": 7, "method": "tools/list"}));
        let tools = json!({"tools": [{"name": "two"}]});
        let both = json!({"id": 7, "method": "notifications/message", "result": tools});
        assert!(matches!(filter.heard(both), Heard::Answer(_)));
        let told = json!({"id": null, "method": "notifications/message", "result": tools});
        assert_eq!(
            passed(filter.heard(told)),
            json!({"jsonrpc": "2.0", "method": "notifications/message"})
        );
        let both = json!({"id": 7, "result": {"tools": []}, "error": {"code": 1}, "tools": tools});
        assert_eq!(
            passed(filter.heard(both)),
            json!({"jsonrpc": "2.0", "id": 7, "result": {"tools": []}})
        );
    }
}
