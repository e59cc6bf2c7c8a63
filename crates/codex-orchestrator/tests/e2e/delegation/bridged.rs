//! What is between a run and an MCP server of the user's, whatever either of them does.

mod ground;

use serde_json::{Value, json};

use ground::{Bridged, call};

#[test]
fn a_call_of_a_tool_that_is_not_granted_is_refused_counted_and_told() {
    let mut bridged = Bridged::new("");
    for _ in 0..50 {
        let refused = bridged.ask(&call("two"));
        assert_eq!(refused["error"]["code"], -32602, "{refused:#}");
        let words = refused["error"]["message"].as_str().expect("words");
        assert!(words.contains("`two` of `fake`") && words.contains("caps.tools.mcp"), "{words}");
    }
    assert!(bridged.ask(&call("one"))["result"].is_object());
    assert_eq!(bridged.called(), ["one"]);
    let (scratch, run) = bridged.end();
    let events = scratch.events(&run);
    let denied: Vec<&Value> = events
        .iter()
        .filter(|event| event["event"] == "cap_denied")
        .map(|event| &event["payload"])
        .collect();
    let counts = denied.iter().map(|told| told["count"].as_u64().expect("a number"));
    assert_eq!(counts.sum::<u64>(), 50, "{denied:#?}");
    assert!(denied.len() < 10, "not one by one: {denied:#?}");
    assert!(denied.iter().all(|told| told["what"] == "fake/two" && told["why"] == "not_granted"));
    assert_eq!(scratch.manifest(&run)["caps"]["denied"], json!({ "it": 50 }));
    let status = scratch.run(&["status", &run]).stdout;
    assert!(status.contains("denied   50 times, it"), "{status}");
    let logs = scratch.run(&["logs", &run]).stderr;
    assert!(logs.contains("`it` was denied something, 50 times"), "{logs}");
}
