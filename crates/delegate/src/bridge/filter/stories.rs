//! What passes, and what does not, told of each kind of message.

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

    fn limit(&self) -> Option<Duration> {
        self.may_elicit().then_some(Duration::from_secs(10))
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
        let mut hello =
            json!({"id": 1, "method": "initialize", "params": {"capabilities": {"sampling": {}}}});
        assert_eq!(filter.said(&mut hello), Verdict::Pass);
        let person = json!({"elicitation": {"form": {}, "url": {}}});
        assert_eq!(hello["params"]["capabilities"], person);
        let mut list = json!({"id": 2, "method": "tools/list", "params": {"_meta": {CAPABILITIES: {"roots": {}}}}});
        assert_eq!(filter.said(&mut list), Verdict::Pass);
        assert_eq!(list["params"]["_meta"][CAPABILITIES], json!({}));
        for method in ["sampling/createMessage", "roots/list"] {
            let Heard::Answer(answer) = filter.heard(json!({"id": "x", "method": method})) else {
                panic!("{method}")
            };
            assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!("x"), &json!(-32601)));
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
fn what_takes_too_long_is_given_up_unless_a_person_is_asked_meanwhile() {
    let mut filter = filter(false);
    said(&mut filter, call("one"));
    let minute = Duration::from_secs(60);
    assert!(filter.overdue(minute).is_empty(), "it has just begun");
    let wants = json!({"id": "x", "method": "elicitation/create", "params": {"message": "?"}});
    let Heard::Elicits { number, .. } = filter.heard(wants) else { panic!() };
    assert!(filter.overdue(minute).is_empty());
    filter.elicited.answered(number, &json!({}));
    let late = filter.overdue(minute);
    assert_eq!((late.len(), &late[0].0["params"]["requestId"]), (1, &json!(1)));
    assert_eq!((&late[0].1["id"], &late[0].1["error"]["code"]), (&json!(1), &json!(LATE)));
    assert!(filter.overdue(minute).is_empty());
    assert_eq!(filter.heard(json!({"id": 1, "result": {}})), Heard::Drop, "too late");
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
