//! The delegation server and the inbox: whoever speaks to them, whatever dies meanwhile, and whoever
//! would like to have a say and has none.

mod approvals;
mod authority;
mod bridged;
mod caches;
mod clients;
mod confined;
mod consent;
mod crowds;
mod family;
mod faults;
mod forms;
mod granted;
mod inside;
mod limits;
mod mcp;
mod names;
mod page;
mod questions;
mod rounds;
mod secrets;
mod silence;
mod spawns;
mod tools;
mod typed;
mod wishes;

use crate::scratch::Scratch;

/// Pipelines that most of these stories run. What waits, waits for a file named `go`; what talks
/// is a delegation server in a stage, whose words come and go through two pipes; what does
/// something is a script named `deed`, beside such a server.
const PIPELINES: &str = r#"
[pipelines.quick]
stages = [{ id = "only", command = "echo done" }]
[pipelines.slow]
stages = [{ id = "begin", command = "touch begun" }, { id = "hold", command = "until [ -e go ]; do sleep 0.01; done" }]
[pipelines.fails]
stages = [{ id = "bad", command = "echo last words; exit 3" }]
[pipelines.talks]
stages = [
  { id = "talk", command = "'PROGRAM' delegate-server < ask.$CODEX_ORCHESTRATOR_GOAL > told.$CODEX_ORCHESTRATOR_GOAL" },
  { id = "after", command = "touch after.$CODEX_ORCHESTRATOR_GOAL" },
]
[pipelines.timed]
stages = [
  { id = "talk", timeout = "4s", command = "'PROGRAM' delegate-server < ask.$CODEX_ORCHESTRATOR_GOAL > told.$CODEX_ORCHESTRATOR_GOAL" },
  { id = "after", command = "touch after.$CODEX_ORCHESTRATOR_GOAL" },
]
[pipelines.does]
stages = [{ id = "deed", command = "sh deed > said 2>&1 & 'PROGRAM' delegate-server < ask.$CODEX_ORCHESTRATOR_GOAL > told.$CODEX_ORCHESTRATOR_GOAL; wait" }]
"#;

/// A repository with those pipelines, committed, and with more lines of config before them.
fn scratch(settings: &str) -> Scratch {
    let program = crate::scratch::program();
    let pipelines = PIPELINES.replace("PROGRAM", &program.display().to_string());
    let scratch = Scratch::delegating(&format!("{settings}\n{pipelines}"));
    scratch.git();
    scratch
}
