//! The program under the name `codex-orchestrator`.

fn main() -> std::process::ExitCode {
    codex_orchestrator::main()
}
