//! The program under the name `codex-orchestrator`.

fn main() {}
