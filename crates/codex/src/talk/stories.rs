//! Talks as stories: what is heard, and what is said and told of it.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::{Value, json};

use super::{
    AccountTokens, Answer, Approvals, AskId, ErrorClass, Opening, Outcome, Said, Sandbox, Talk,
    Wants, transcript,
};

/// Lines of a real app-server, one for each thing that it can say.
pub(super) const SEEN: &str = include_str!("seen.jsonl");

pub(super) fn talk() -> Talk {
    Talk::new(opening())
}

fn opening() -> Opening {
    Opening {
        thread: None,
        cwd: "/work tree".into(),
        input: "do it".to_owned(),
        model: None,
        effort: None,
        sandbox: Sandbox::WorkspaceWrite { network: false, writable_roots: Vec::new() },
        approvals: Approvals::OnRequest,
        developer_instructions: None,
        config: serde_json::Map::new(),
        output_schema: None,
        tokens: None,
    }
}

/// A talk in whose turn something happens.
fn in_turn() -> Talk {
    let mut talk = talk();
    begun(&mut talk);
    talk
}

fn begun(talk: &mut Talk) {
    talk.begin();
    for line in [
        r#"{"id":1,"result":{"userAgent":"x"}}"#,
        r#"{"id":2,"result":{"thread":{"id":"t1"},"model":"m"}}"#,
        r#"{"id":3,"result":{"turn":{"id":"u1"}}}"#,
        r#"{"method":"turn/started","params":{"threadId":"t1","turn":{"id":"u1"}}}"#,
    ] {
        talk.hear(line.as_bytes());
    }
}

/// What is said, by method and id, and what is told, in a few words each.
fn heard(talk: &mut Talk, line: &str) -> String {
    let heard = talk.hear(line.as_bytes());
    let mut text = String::new();
    for line in &heard.say {
        let _ = writeln!(text, "say {}", short(line));
    }
    for told in &heard.told {
        let _ = match transcript(told) {
            Some(line) => write!(text, "{line}"),
            None => writeln!(text, "{told:?}"),
        };
    }
    text
}

fn short(line: &str) -> String {
    let message: Value = serde_json::from_str(line).expect("JSON");
    match (message["method"].as_str(), message.get("result"), message.get("error")) {
        (Some(method), _, _) => method.to_owned(),
        (_, Some(result), _) => result.to_string(),
        (_, _, error) => error.map(Value::to_string).unwrap_or_default(),
    }
}

fn say(lines: &[String]) -> Vec<Value> {
    lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_turn_is_asked_for_as_soon_as_there_is_a_thread() {
    let mut talk = talk();
    let first = say(&talk.begin());
    assert_eq!(first[0]["method"], "initialize");
    assert_eq!(first[0]["params"]["capabilities"]["experimentalApi"], true);
    assert_eq!(heard(&mut talk, r#"{"id":1,"result":{}}"#), "say initialized\nsay thread/start\n");
    let opened = r#"{"id":2,"result":{"thread":{"id":"t1"},"model":"m"}}"#;
    assert_eq!(heard(&mut talk, opened), "say turn/start\n[thread t1, m]\n");
    assert_eq!(heard(&mut talk, r#"{"id":3,"result":{"turn":{"id":"u1"}}}"#), "");
    assert_eq!(talk.turn_id(), None, "it cannot be interrupted yet");
    let started = r#"{"method":"turn/started","params":{"threadId":"t1","turn":{"id":"u1"}}}"#;
    assert_eq!(heard(&mut talk, started), "[turn u1]\n");
    assert_eq!((talk.thread_id(), talk.turn_id()), (Some("t1"), Some("u1")));
}

#[test]
fn only_turns_say_what_commands_can_reach() {
    let mut talk = talk();
    talk.begin();
    let thread = say(&talk.hear(br#"{"id":1,"result":{}}"#).say)[1]["params"].clone();
    assert_eq!((&thread["sandbox"], &thread["sandboxPolicy"]), (&Value::Null, &Value::Null));
    let opened = br#"{"id":2,"result":{"thread":{"id":"t1"},"model":"m"}}"#;
    let turn = say(&talk.hear(opened).say)[0]["params"].clone();
    assert_eq!(turn["sandboxPolicy"]["type"], "workspaceWrite");
    assert_eq!(turn["cwd"], "/work tree");
}

#[test]
fn a_thread_is_resumed_without_its_history() {
    let mut talk = Talk::new(Opening { thread: Some("t0".to_owned()), ..opening() });
    talk.begin();
    let said = say(&talk.hear(br#"{"id":1,"result":{}}"#).say);
    assert_eq!(said[1]["method"], "thread/resume");
    assert_eq!(said[1]["params"]["threadId"], "t0");
    assert_eq!(said[1]["params"]["excludeTurns"], true);
}

#[test]
fn an_account_is_handed_in_before_the_thread() {
    let tokens =
        AccountTokens { access_token: "secret".to_owned(), account_id: "a".to_owned(), plan: None };
    assert!(!format!("{tokens:?}").contains("secret"));
    let mut talk = Talk::new(Opening { tokens: Some(tokens), ..opening() });
    talk.begin();
    let said = say(&talk.hear(br#"{"id":1,"result":{}}"#).say);
    assert_eq!(said[1]["method"], "account/login/start");
    assert_eq!(said[1]["params"]["accessToken"], "secret");
    let opened = heard(&mut talk, r#"{"id":2,"result":{"type":"chatgptAuthTokens"}}"#);
    assert_eq!(opened, "say thread/start\n");
}

#[test]
fn newer_tokens_are_handed_out_or_refused() {
    let wants = r#"{"method":"account/chatgptAuthTokens/refresh","id":"x","params":{"reason":"unauthorized"}}"#;
    let tokens = AccountTokens {
        access_token: "newer".to_owned(),
        account_id: "a".to_owned(),
        plan: Some("pro".to_owned()),
    };
    let mut talk = in_turn();
    let told = talk.hear(wants.as_bytes()).told;
    let [Said::WantsTokens { id }] = &told[..] else { panic!("{told:?}") };
    let said = say(&talk.tokens(id, tokens.clone()));
    assert_eq!(said[0]["id"], "x");
    assert_eq!(said[0]["result"]["accessToken"], "newer");
    assert!(talk.tokens(id, tokens).is_empty(), "it was answered");

    let mut talk = in_turn();
    talk.hear(wants.as_bytes());
    let said = say(&talk.answer(&AskId(1), Answer::Deny));
    assert_eq!(said[0]["error"]["code"], -32603);
}

#[test]
fn what_is_steered_before_the_turn_is_said_when_it_runs() {
    let mut talk = talk();
    assert!(talk.steer("early").is_empty());
    talk.begin();
    talk.hear(br#"{"id":1,"result":{}}"#);
    talk.hear(br#"{"id":2,"result":{"thread":{"id":"t1"},"model":"m"}}"#);
    let started = r#"{"method":"turn/started","params":{"threadId":"t1","turn":{"id":"u1"}}}"#;
    let said = say(&talk.hear(started.as_bytes()).say);
    assert_eq!(said[0]["method"], "turn/steer");
    assert_eq!(said[0]["params"]["expectedTurnId"], "u1");
    let late = say(&talk.steer("late"));
    assert_eq!(late[0]["params"]["input"][0]["text"], "late");
    assert_eq!(heard(&mut talk, r#"{"id":4,"result":{"turnId":"u1"}}"#), "» early\n");
    let refused = r#"{"id":5,"error":{"code":-32600,"message":"no active turn to steer"}}"#;
    let text = "» late\n[it was not taken: no active turn to steer]\n";
    assert_eq!(heard(&mut talk, refused), text);
}

#[test]
fn an_interrupt_waits_until_the_turn_can_be_interrupted() {
    let mut talk = talk();
    talk.begin();
    talk.hear(br#"{"id":1,"result":{}}"#);
    talk.hear(br#"{"id":2,"result":{"thread":{"id":"t1"},"model":"m"}}"#);
    talk.hear(br#"{"id":3,"result":{"turn":{"id":"u1"}}}"#);
    assert!(talk.interrupt().is_empty());
    let started = r#"{"method":"turn/started","params":{"threadId":"t1","turn":{"id":"u1"}}}"#;
    assert_eq!(heard(&mut talk, started), "say turn/interrupt\n[turn u1]\n");
    assert!(talk.interrupt().is_empty(), "once is enough");
    let over = r#"{"method":"turn/completed","params":{"threadId":"t1","turn":{"id":"u1","status":"interrupted"}}}"#;
    assert_eq!(heard(&mut talk, over), "[turn interrupted]\n");
}

#[test]
fn a_turn_that_is_interrupted_before_there_is_a_thread_never_begins() {
    let mut talk = talk();
    talk.begin();
    talk.hear(br#"{"id":1,"result":{}}"#);
    talk.interrupt();
    let opened = r#"{"id":2,"result":{"thread":{"id":"t1"},"model":"m"}}"#;
    assert_eq!(heard(&mut talk, opened), "[thread t1, m]\n[turn interrupted]\n");
    let again = say(&talk.turn("again", None));
    assert_eq!(again[0]["method"], "turn/start");
}

#[test]
fn turns_follow_one_another() {
    let mut talk = in_turn();
    assert!(talk.turn("next", Some(json!({ "type": "object" }))).is_empty());
    talk.hear(br#"{"method":"item/completed","params":{"threadId":"t1","item":{"type":"agentMessage","id":"i","text":"done"}}}"#);
    let over = r#"{"method":"turn/completed","params":{"threadId":"t1","turn":{"id":"u1","status":"completed"}}}"#;
    let over = talk.hear(over.as_bytes());
    let outcome = Outcome::Completed { last_message: Some("done".to_owned()) };
    assert_eq!(over.told, [Said::TurnOver { turn_id: Some("u1".to_owned()), outcome }]);
    let said = say(&over.say);
    assert_eq!(said[0]["params"]["input"][0]["text"], "next");
    assert_eq!(said[0]["params"]["outputSchema"]["type"], "object");
}

#[test]
fn what_was_used_before_the_turn_is_not_told_again() {
    let usage = |turn: &str| {
        format!(
            r#"{{"method":"thread/tokenUsage/updated","params":{{"threadId":"t1","turnId":"{turn}","tokenUsage":{{"total":{{"totalTokens":5}},"last":{{"inputTokens":3,"outputTokens":2}},"modelContextWindow":null}}}}}}"#
        )
    };
    let mut talk = in_turn();
    assert_eq!(heard(&mut talk, &usage("u0")), "");
    assert_eq!(heard(&mut talk, &usage("u1")), "[tokens: 3 in (0 cached), 2 out, in all 5]\n");
}

#[test]
fn what_other_threads_do_is_theirs_and_what_they_use_is_told() {
    let mut talk = in_turn();
    let message = r#"{"method":"item/completed","params":{"threadId":"t2","item":{"type":"agentMessage","id":"i","text":"x"}}}"#;
    assert_eq!(heard(&mut talk, message), "");
    let over = r#"{"method":"turn/completed","params":{"threadId":"t2","turn":{"id":"u1","status":"completed"}}}"#;
    assert_eq!(heard(&mut talk, over), "");
    let usage = r#"{"method":"thread/tokenUsage/updated","params":{"threadId":"t2","turnId":"u9","tokenUsage":{"total":{"totalTokens":5},"last":{"totalTokens":5}}}}"#;
    let told = talk.hear(usage.as_bytes()).told;
    assert!(matches!(&told[..], [Said::Usage { thread_id, .. }] if thread_id == "t2"), "{told:?}");
}

#[test]
fn an_answer_is_put_as_the_question_wants_it() {
    let command = r#"{"method":"item/commandExecution/requestApproval","id":7,"params":{"threadId":"t1","turnId":"u1","itemId":"c1","command":"touch x","cwd":"/w","reason":"need it","proposedExecpolicyAmendment":["touch"],"availableDecisions":["accept",{"acceptWithExecpolicyAmendment":{"execpolicy_amendment":["touch"]}},"cancel"]}}"#;
    check(command, Answer::Once, &[json!({ "decision": "accept" })]);
    check(command, Answer::Session, &[json!({ "decision": "acceptForSession" })]);
    let rule = json!({ "acceptWithExecpolicyAmendment": { "execpolicy_amendment": ["touch"] } });
    check(command, Answer::Rule, &[json!({ "decision": rule })]);
    check(command, Answer::Deny, &[json!({ "decision": "decline" })]);
    check(command, Answer::Cancel, &[json!({ "decision": "cancel" })]);
    check(command, Answer::Input { answers: BTreeMap::new() }, &[]);

    let patch = r#"{"method":"item/fileChange/requestApproval","id":7,"params":{"threadId":"t1","turnId":"u1","itemId":"p1"}}"#;
    check(patch, Answer::Session, &[json!({ "decision": "acceptForSession" })]);

    let interrupt = json!("turn/interrupt");
    let more = r#"{"method":"item/permissions/requestApproval","id":7,"params":{"threadId":"t1","turnId":"u1","permissions":{"network":{"enabled":true},"fileSystem":null}}}"#;
    let granted = json!({ "network": { "enabled": true } });
    check(more, Answer::Once, &[json!({ "permissions": granted, "scope": "turn" })]);
    let nothing = json!({ "permissions": {}, "scope": "turn" });
    check(more, Answer::Deny, std::slice::from_ref(&nothing));
    check(more, Answer::Cancel, &[nothing, interrupt.clone()]);

    let tool = r#"{"method":"mcpServer/elicitation/request","id":7,"params":{"threadId":"t1","turnId":"u1","serverName":"s","mode":"form","_meta":{"codex_approval_kind":"mcp_tool_call","persist":["session","always"],"tool_name":"wipe"},"message":"Allow?","requestedSchema":{"type":"object","properties":{}}}}"#;
    let yes = json!({ "action": "accept", "content": {}, "_meta": null });
    check(tool, Answer::Once, &[yes]);
    let always = json!({ "action": "accept", "content": {}, "_meta": { "persist": "session" } });
    check(tool, Answer::Session, &[always]);
    let cancel = json!({ "action": "cancel", "content": null, "_meta": null });
    check(tool, Answer::Cancel, &[cancel, interrupt]);

    let form = r#"{"method":"mcpServer/elicitation/request","id":7,"params":{"threadId":"t1","turnId":null,"serverName":"s","mode":"form","_meta":null,"message":"How many?","requestedSchema":{"type":"object","properties":{"n":{"type":"integer"},"ok":{"type":"boolean"},"who":{"type":"string"}}}}}"#;
    let answers = [("n", "3"), ("ok", "yes"), ("who", "me")];
    let answers = answers.map(|(k, v)| (k.to_owned(), vec![v.to_owned()])).into();
    let content = json!({ "n": 3, "ok": true, "who": "me" });
    let filled = json!({ "action": "accept", "content": content, "_meta": null });
    check(form, Answer::Input { answers }, &[filled]);

    let visit = r#"{"method":"mcpServer/elicitation/request","id":7,"params":{"threadId":"t1","turnId":"u1","serverName":"s","mode":"url","_meta":null,"message":"Log in","url":"https://a.example","elicitationId":"e"}}"#;
    let yes = json!({ "action": "accept", "content": null, "_meta": null });
    check(visit, Answer::Once, &[yes]);

    let input = r#"{"method":"item/tool/requestUserInput","id":7,"params":{"threadId":"t1","turnId":"u1","itemId":"i","questions":[{"id":"q1","header":"h","question":"Which?","options":[{"label":"red","description":"r"}]}],"isBlocking":false}}"#;
    let answers = BTreeMap::from([("q1".to_owned(), vec!["red".to_owned()])]);
    let said = json!({ "answers": { "q1": { "answers": ["red"] } } });
    check(input, Answer::Input { answers }, &[said]);
    check(input, Answer::Decline, &[json!({ "answers": {} })]);
    check(input, Answer::Once, &[]);
}

/// What is said to that request for that answer: results, and the methods of what follows.
#[track_caller]
fn check(request: &str, answer: Answer, expected: &[Value]) {
    let mut talk = in_turn();
    let told = talk.hear(request.as_bytes()).told;
    let [Said::Asks { id, .. }] = &told[..] else { panic!("{told:?}") };
    let said = say(&talk.answer(id, answer.clone()));
    let shown: Vec<Value> = said
        .into_iter()
        .map(|line| line.get("result").or(line.get("method")).cloned().unwrap_or_default())
        .collect();
    assert_eq!(shown, expected);
    if !expected.is_empty() {
        assert!(talk.answer(id, answer).is_empty(), "it was answered");
    }
}

#[test]
fn a_patch_is_asked_for_with_its_files() {
    let mut talk = in_turn();
    talk.hear(br#"{"method":"item/started","params":{"threadId":"t1","item":{"type":"fileChange","id":"p1","changes":[{"path":"/x/a","kind":{"type":"add"},"diff":""}],"status":"inProgress"}}}"#);
    let asks = r#"{"method":"item/fileChange/requestApproval","id":7,"params":{"threadId":"t1","turnId":"u1","itemId":"p1","reason":null,"grantRoot":null}}"#;
    let told = talk.hear(asks.as_bytes()).told;
    let [Said::Asks { wants: Wants::Patch { paths, .. }, .. }] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(paths, &["/x/a"]);
}

#[test]
fn what_is_asked_is_withdrawn_with_its_turn_or_by_codex() {
    let ask = r#"{"method":"item/fileChange/requestApproval","id":7,"params":{"threadId":"t1","turnId":"u1","itemId":"p1"}}"#;
    let withdrawn = Said::AskWithdrawn { id: AskId(1) };
    let mut talk = in_turn();
    talk.hear(ask.as_bytes());
    let over = r#"{"method":"turn/completed","params":{"threadId":"t1","turn":{"id":"u1","status":"interrupted"}}}"#;
    assert_eq!(talk.hear(over.as_bytes()).told[0], withdrawn);

    let mut talk = in_turn();
    talk.hear(ask.as_bytes());
    let resolved =
        r#"{"method":"serverRequest/resolved","params":{"threadId":"t1","requestId":7}}"#;
    assert_eq!(talk.hear(resolved.as_bytes()).told, [withdrawn]);

    let mut talk = in_turn();
    talk.hear(ask.as_bytes());
    talk.answer(&AskId(1), Answer::Once);
    assert_eq!(talk.hear(resolved.as_bytes()).told, [], "it was answered by us");
}

#[test]
fn what_cannot_be_told_is_refused_at_once() {
    let mut talk = in_turn();
    for method in ["currentTime/read", "attestation/generate", "item/tool/call", "new/thing"] {
        let ask = format!(r#"{{"method":"{method}","id":9,"params":{{}}}}"#);
        let said = say(&talk.hear(ask.as_bytes()).say);
        assert_eq!(said[0]["id"], 9);
        assert_eq!(said[0]["error"]["code"], -32601);
    }
    let bad = r#"{"method":"item/tool/requestUserInput","id":9,"params":{"questions":7}}"#;
    let said = say(&talk.hear(bad.as_bytes()).say);
    assert_eq!(said[0]["error"]["code"], -32602);
}

#[test]
fn a_limit_says_when_it_ends() {
    let mut talk = in_turn();
    talk.hear(br#"{"method":"account/rateLimits/updated","params":{"rateLimits":{"limitId":"codex","primary":{"usedPercent":100,"windowDurationMins":300,"resetsAt":1795650000},"secondary":{"usedPercent":40,"windowDurationMins":10080,"resetsAt":1796000000},"rateLimitReachedType":null}}}"#);
    let over = r#"{"method":"turn/completed","params":{"threadId":"t1","turn":{"id":"u1","status":"failed","error":{"message":"limit","codexErrorInfo":"usageLimitExceeded"}}}}"#;
    let outcome = Outcome::Failed {
        message: "limit".to_owned(),
        class: ErrorClass::UsageLimit,
        resets_at: Some(1_795_650_000),
    };
    let told = talk.hear(over.as_bytes()).told;
    assert_eq!(told, [Said::TurnOver { turn_id: Some("u1".to_owned()), outcome }]);
}

#[test]
fn a_failure_without_a_name_is_what_was_tried_again_for() {
    let mut talk = in_turn();
    talk.hear(br#"{"method":"error","params":{"threadId":"t1","turnId":"u1","willRetry":true,"error":{"message":"Reconnecting... 5/5","codexErrorInfo":{"responseStreamDisconnected":{"httpStatusCode":null}}}}}"#);
    let over = r#"{"method":"turn/completed","params":{"threadId":"t1","turn":{"id":"u1","status":"failed","error":{"message":"stream disconnected","codexErrorInfo":"other"}}}}"#;
    let told = talk.hear(over.as_bytes()).told;
    let [Said::TurnOver { outcome: Outcome::Failed { class, .. }, .. }] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(*class, ErrorClass::Network);
}

#[test]
fn a_turn_that_waits_for_tokens_in_vain_has_no_login() {
    let mut talk = in_turn();
    talk.hear(br#"{"method":"account/chatgptAuthTokens/refresh","id":0,"params":{"reason":"unauthorized"}}"#);
    let over = r#"{"method":"turn/completed","params":{"threadId":"t1","turn":{"id":"u1","status":"failed","error":{"message":"auth refresh request timed out after 10s","codexErrorInfo":"other"}}}}"#;
    let told = talk.hear(over.as_bytes()).told;
    let [Said::AskWithdrawn { .. }, Said::TurnOver { outcome: Outcome::Failed { class, .. }, .. }] =
        &told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!(*class, ErrorClass::Unauthorized);
}

#[test]
fn a_refused_request_ends_the_talk_with_a_next_step() {
    let mut talk = Talk::new(Opening { thread: Some("t0".to_owned()), ..opening() });
    talk.begin();
    talk.hear(br#"{"id":1,"result":{}}"#);
    let refused =
        r#"{"id":2,"error":{"code":-32600,"message":"no rollout found for thread id t0"}}"#;
    let told = "! Codex refused `thread/resume`: no rollout found for thread id t0; begin a new thread if it is gone\n";
    assert_eq!(heard(&mut talk, refused), told);
    assert_eq!(heard(&mut talk, r#"{"id":3,"result":{}}"#), "", "it is over");
}

#[test]
fn a_late_refusal_to_interrupt_is_nothing() {
    let mut talk = in_turn();
    talk.interrupt();
    talk.hear(br#"{"method":"turn/completed","params":{"threadId":"t1","turn":{"id":"u1","status":"completed"}}}"#);
    let refused = r#"{"id":4,"error":{"code":-32600,"message":"no active turn to interrupt"}}"#;
    assert_eq!(heard(&mut talk, refused), "");
}

#[test]
fn a_log_reads_like_a_session() {
    let mut talk = talk();
    let mut log: String = talk.begin().iter().map(|_| "").collect();
    for line in SEEN.lines() {
        let heard = talk.hear(line.as_bytes());
        log.extend(heard.told.iter().filter_map(transcript));
    }
    assert_eq!(log, include_str!("seen.log"));
}
