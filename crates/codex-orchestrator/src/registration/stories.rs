//! Text in, text out: what becomes of a config when the server is entered, and taken back.

use super::{
    enter::{NoChange, chosen, set_up},
    memory::Memory,
    undo::take_back,
    written::Written,
};

const PROGRAM: &str = "/bin/codex-orchestrator";

/// The entry as it is written where there was none.
const BLOCK: &str = r#"# codex-orch setup: off until a session asks for it with mcp_servers.delegation.enabled=true
[mcp_servers.delegation]
command = "/bin/codex-orchestrator"
args = ["delegate-server"]
enabled = false
required = true
env_vars = ["CODEX_HOME", "CODEX_ORCHESTRATOR_HOME", "MCP_RUNNER_TASK_ID", "CODEX_MCP_CONFIG_OVERRIDES", "CODEX_CONFIG_OVERRIDES"]
startup_timeout_sec = 30
tool_timeout_sec = 300
supports_parallel_tool_calls = true
default_tools_approval_mode = "auto"
"#;

/// What follows `command` and `args`, as lines and as they stand within braces.
const REST: &str = r#"enabled = false
required = true
env_vars = ["CODEX_HOME", "CODEX_ORCHESTRATOR_HOME", "MCP_RUNNER_TASK_ID", "CODEX_MCP_CONFIG_OVERRIDES", "CODEX_CONFIG_OVERRIDES"]
startup_timeout_sec = 30
tool_timeout_sec = 300
supports_parallel_tool_calls = true
default_tools_approval_mode = "auto"
"#;

fn read(text: &str) -> Written {
    Written::read("config.toml", text.to_owned()).unwrap_or_else(|fault| panic!("{fault}: {text}"))
}

fn enter(text: &str, known: Option<&Memory>) -> Result<(String, Memory, Vec<String>), String> {
    let written = read(text);
    let done = chosen(&written, None)
        .and_then(|name| set_up(&written, &name, PROGRAM, Memory::default(), known));
    match done {
        Ok(change) => Ok((change.text, change.memory, change.notes)),
        Err(NoChange::Fault(fault) | NoChange::Taken(fault)) => {
            Err(format!("{fault}; {}", fault.hint.as_deref().unwrap_or("-")))
        }
        Err(NoChange::Several(names)) => Err(names.join(", ")),
    }
}

#[track_caller]
fn back(text: &str, memory: Option<&Memory>) -> String {
    let name = memory.map_or("delegation", |memory| &memory.name);
    match take_back(&read(text), name, memory) {
        Ok(change) => change.map_or_else(|| text.to_owned(), |change| change.text),
        Err(fault) => panic!("{fault:?}: {text}"),
    }
}

/// Entering gives that text, again changes nothing, and taking it back gives the first text.
#[track_caller]
fn check(before: &str, after: &str) -> Vec<String> {
    let (text, memory, notes) = enter(before, None).unwrap();
    assert_eq!(text, after);
    let (again, more, _) = enter(&text, Some(&memory)).unwrap();
    assert_eq!(again, text, "twice");
    assert_eq!(more, memory, "and nothing is forgotten");
    assert_eq!(back(&text, Some(&memory)), before, "taken back");
    notes
}

#[test]
fn an_empty_config_gets_the_entry() {
    check("", BLOCK);
    check("# mine\n", &format!("# mine\n\n{BLOCK}"));
    check("a = 1 # mine\n\n\n", &format!("a = 1 # mine\n\n\n{BLOCK}"));
    check("\u{feff}", &format!("\u{feff}{BLOCK}"));
}

#[test]
fn a_last_line_that_nothing_ends_is_ended_and_is_so_no_more_when_it_is_taken_back() {
    check("a = 1", &format!("a = 1\n\n{BLOCK}"));
}

#[test]
fn lines_end_as_they_do_in_the_file() {
    let crlf = |text: &str| text.replace('\n', "\r\n");
    check("a = 1\r\n", &crlf(&format!("a = 1\n\n{BLOCK}")));
    let plain = "[mcp_servers.delegation]\ncommand = \"/bin/codex-orchestrator\"\nargs = [\"delegate-server\"]\n";
    check(&crlf(plain), &crlf(&format!("{plain}{REST}")));
}

#[test]
fn other_servers_stay_however_they_are_written() {
    for others in [
        "[mcp_servers.other]\ncommand = 'x'\n",
        "[mcp_servers]\nother = { command = 'x' }\n",
        "[mcp_servers]\nother.command = 'x'\n[mcp_servers.other.env]\nA='b'\n",
        "mcp_servers.other.command = 'x'\n",
        "[[array]]\na = 1\n",
    ] {
        check(others, &format!("{others}\n{BLOCK}"));
    }
}

#[test]
fn servers_within_braces_get_one_more() {
    let lines: Vec<&str> = BLOCK.lines().skip(2).collect();
    let braces = format!("delegation = {{ {} }}", lines.join(", "));
    check(
        "mcp_servers = { other = { command = 'x' } } # mine\n[a]\n",
        &format!("mcp_servers = {{ other = {{ command = 'x' }}, {braces} }} # mine\n[a]\n"),
    );
    check("mcp_servers = {}\n", &format!("mcp_servers = {{ {braces} }}\n"));
}

#[test]
fn a_plain_registration_is_mended_and_keeps_what_is_its_users() {
    let before = r#"model = "gpt" # mine

[mcp_servers.delegation] # by hand
  command = "codex-orchestrator" # the program
  args = [
    "delegation-server", # alias
    "--mode", "status_only",
    "--repo", "/home/you/project",
  ]
  enabled = true   # always
  tool_timeout_sec = 600.5
  env_vars = [
    "GH_TOKEN", # for gh
    { name = "CODEX_HOME", source = "local" }, # ours
  ]
  # the end

[mcp_servers.delegation.env]
A = "b"

[tui]
"#;
    let after = r#"model = "gpt" # mine

[mcp_servers.delegation] # by hand
  command = "/bin/codex-orchestrator" # the program
  args = ["delegate-server", "--mode", "status_only"]
  enabled = false   # always
  tool_timeout_sec = 600.5
  env_vars = [
    "GH_TOKEN", # for gh
    { name = "CODEX_HOME", source = "local" }, "CODEX_ORCHESTRATOR_HOME", "MCP_RUNNER_TASK_ID", "CODEX_MCP_CONFIG_OVERRIDES", "CODEX_CONFIG_OVERRIDES", # ours
  ]
  required = true
  startup_timeout_sec = 30
  supports_parallel_tool_calls = true
  default_tools_approval_mode = "auto"
  # the end

[mcp_servers.delegation.env]
A = "b"

[tui]
"#;
    let notes = check(before, after);
    assert!(notes.iter().any(|note| note.contains("--repo /home/you/project")), "{notes:?}");
}

#[test]
fn every_way_to_write_a_server_is_mended_in_its_own_way() {
    let command = r#"command = "/bin/codex-orchestrator""#;
    let args = r#"args = ["delegate-server"]"#;
    let old = "command = 'codex-orch'";
    let rest: Vec<&str> = REST.lines().collect();
    let all = rest.join(", ");
    let each =
        |path: &str| -> String { rest.iter().map(|line| format!("{path}{line}\n")).collect() };
    check(
        &format!(
            "mcp_servers.delegation.{old}\nmcp_servers.delegation.{args}\nmcp_servers.delegation.env.A = 'b'\n[a]\n"
        ),
        &format!(
            "mcp_servers.delegation.{command}\nmcp_servers.delegation.{args}\nmcp_servers.delegation.env.A = 'b'\n{}[a]\n",
            each("mcp_servers.delegation.")
        ),
    );
    check(
        &format!("[mcp_servers]\n delegation . {old}\n delegation . {args}\n[a]\n"),
        &format!(
            "[mcp_servers]\n delegation . {command}\n delegation . {args}\n{}[a]\n",
            each(" delegation . ")
        ),
    );
    check(
        &format!("[mcp_servers]\ndelegation = {{ {old}, {args} }} # mine\nother.command = 'x'\n"),
        &format!(
            "[mcp_servers]\ndelegation = {{ {command}, {args}, {all} }} # mine\nother.command = 'x'\n"
        ),
    );
    let dotted =
        rest.iter().map(|line| format!("delegation.{line}")).collect::<Vec<_>>().join(", ");
    check(
        &format!(
            "mcp_servers = {{ delegation.{old}, delegation.{args}, o = {{ command = 'x' }} }}\n"
        ),
        &format!(
            "mcp_servers = {{ delegation.{command}, delegation.{args}, {dotted}, o = {{ command = 'x' }} }}\n"
        ),
    );
    // Its last line is not ended, and another part of it stands first.
    check(
        &format!("[mcp_servers.delegation.env]\nA = 'b'\n[mcp_servers.delegation]\n{old}\n{args}"),
        &format!(
            "[mcp_servers.delegation.env]\nA = 'b'\n[mcp_servers.delegation]\n{command}\n{args}\n{}",
            REST.trim_end()
        ),
    );
}

#[test]
fn an_entry_under_another_name_keeps_it() {
    let before =
        "[mcp_servers.orch]\ncommand = \"/bin/codex-orchestrator\"\nargs = [\"delegate-server\"]\n";
    check(before, &format!("{before}{REST}"));
    let two = format!("{before}{}", before.replace("orch]", "two]"));
    assert_eq!(enter(&two, None).unwrap_err(), "orch, two");
    let usual = format!("{before}{}", before.replace("orch]", "delegation]"));
    let notes = check(&usual, &format!("{usual}{REST}"));
    assert!(notes[0].contains("`codex mcp remove orch`"), "{notes:?}");
}

#[test]
fn a_persons_own_approval_mode_stands_and_is_spoken_of() {
    let text = BLOCK.replace("\"auto\"", "\"prompt\"");
    let (after, _, notes) = enter(&text, None).unwrap();
    assert_eq!(after, text);
    assert!(notes.iter().any(|note| note.contains("\"prompt\"")), "{notes:?}");
}

#[test]
fn a_limit_in_the_older_unit_is_not_said_twice() {
    let text = BLOCK.replace("startup_timeout_sec = 30", "startup_timeout_ms = 9000");
    assert_eq!(enter(&text, None).unwrap().0, text);
}

#[test]
fn what_cannot_be_changed_is_refused_with_its_place() {
    for (text, says) in [
        ("a = \n", "config.toml:1:5: this is not TOML: "),
        ("a = 1\nmcp_servers = 3\n", "config.toml:2:15: `mcp_servers` is not a table; "),
        ("[[mcp_servers]]\na = 1\n", "config.toml:1:1: `mcp_servers` is not a table; "),
        (
            "[mcp_servers]\ndelegation = 3\n",
            "config.toml:2:1: `mcp_servers.delegation` is not a table; ",
        ),
        (
            "[mcp_servers.delegation]\nurl = 'x'\n",
            "config.toml:1:14: `delegation` is another server, and stays as it is; ",
        ),
        (
            "[mcp_servers.delegation]\ncommand = 'npx'\nargs = ['delegate-server']\n",
            "config.toml:1:14: `delegation` is another server",
        ),
        (
            "[mcp_servers.delegation.env]\nA = 'b'\n",
            "config.toml:1:14: `delegation` is another server",
        ),
        (
            "[mcp_servers.delegation]\ncommand = 'codex-orch'\nargs = ['delegate-server']\n[mcp_servers.delegation.required]\n",
            "config.toml:4:1: `required` is a table; ",
        ),
    ] {
        let said = match Written::read("config.toml", text.to_owned()) {
            Ok(_) => enter(text, None).unwrap_err(),
            Err(fault) => fault.to_string(),
        };
        assert!(said.starts_with(says), "{text}: {said}");
    }
}

#[test]
fn what_somebody_wrote_since_stays_when_the_rest_is_taken_back() {
    let before =
        "[mcp_servers.delegation]\ncommand = 'codex-orch'\nargs = ['delegate-server']\n\n[tui]\n";
    let (after, memory, _) = enter(before, None).unwrap();
    let edited = after
        .replace("tool_timeout_sec = 300", "tool_timeout_sec = 900\nenv = { A = 'b' }")
        .replace("[tui]", "[other]\n[tui]");
    assert_eq!(
        back(&edited, Some(&memory)),
        "[mcp_servers.delegation]\ncommand = 'codex-orch'\nargs = ['delegate-server']\ntool_timeout_sec = 900\nenv = { A = 'b' }\n\n[other]\n[tui]\n"
    );
}

#[test]
fn an_entry_that_was_edited_goes_with_all_that_is_below_its_name() {
    let (after, memory, _) = enter("a = 1\n\n[tui]\nx = 1\n", None).unwrap();
    let edited = format!(
        "{after}env = {{ A = 'b' }}\n\n[mcp_servers.delegation.tools.\"delegate.cancel\"]\napproval_mode = \"approve\" # mine\n\n# another\n[other]\ny = 1\n"
    );
    let expected = "a = 1\n\n[tui]\nx = 1\n\n# another\n[other]\ny = 1\n";
    assert_eq!(back(&edited, Some(&memory)), expected);
    // Also where nobody remembers it.
    assert_eq!(back(&edited, None), expected);
}

#[test]
fn an_entry_goes_however_it_is_written() {
    for (text, expected) in [
        (
            "[mcp_servers]\ndelegation = { command = 'codex-orch', args = ['delegate-server'] }\nb.command = 'x'\n",
            "[mcp_servers]\nb.command = 'x'\n",
        ),
        (
            "mcp_servers = { delegation = { command = 'codex-orch', args = ['delegate-server'] } }\n",
            "mcp_servers = {  }\n",
        ),
        (
            "mcp_servers = { delegation.command = 'codex-orch', delegation.args = ['delegate-server'], b.command = 'x' }\n",
            "mcp_servers = { b.command = 'x' }\n",
        ),
        (
            "mcp_servers = { b.command = 'x', delegation.command = 'codex-orch', delegation.args = ['delegate-server'] }\n",
            "mcp_servers = { b.command = 'x' }\n",
        ),
        (
            "mcp_servers.delegation.command = 'codex-orch'\nmcp_servers.delegation.args = ['delegate-server']\n[mcp_servers.delegation.env]\nA = 'b'\n[a]\n",
            "[a]\n",
        ),
        (
            "\u{feff}[mcp_servers.delegation]\ncommand = 'codex-orch'\nargs = ['delegate-server']\n",
            "\u{feff}",
        ),
        (
            "a = 1\n[mcp_servers.delegation]\ncommand = 'codex-orch'\nargs = ['delegate-server']",
            "a = 1",
        ),
    ] {
        assert_eq!(back(text, None), expected, "{text}");
    }
}

#[test]
fn a_program_that_moved_is_entered_anew_and_the_first_text_is_not_forgotten() {
    for before in [
        "a = 1",
        "[mcp_servers.delegation]\ncommand = 'codex-orch'\nargs = ['delegate-server', '--repo=/x']\n",
    ] {
        let (first, memory, _) = enter(before, None).unwrap();
        let moved = set_up(
            &read(&first),
            "delegation",
            "/opt/codex-orchestrator",
            Memory::default(),
            Some(&memory),
        );
        let moved = moved.unwrap();
        assert_eq!(moved.text, first.replace(PROGRAM, "/opt/codex-orchestrator"));
        assert_eq!(back(&moved.text, Some(&moved.memory)), before);
    }
}

#[test]
fn an_entry_that_codex_wrote_anew_is_what_was_before() {
    let (_, memory, _) = enter("a = 1\n", None).unwrap();
    let plain = "a = 1\n\n[mcp_servers.delegation]\ncommand = \"codex-orchestrator\"\nargs = [\"delegate-server\"]\n";
    let (again, memory, _) = enter(plain, Some(&memory)).unwrap();
    assert_eq!(back(&again, Some(&memory)), plain);
}

#[test]
fn what_codex_writes_anew_is_still_known() {
    let before = "[mcp_servers.delegation]\ncommand = 'codex-orch'\nargs = ['delegate-server']\n";
    let (after, memory, _) = enter(before, None).unwrap();
    // `codex mcp add` of any server rewrites all of them: in its order, and seconds as fractions.
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let mut rewritten = lines(&after.replace("= 30\n", "= 30.0\n").replace("= 300\n", "= 300.0\n"));
    rewritten[3..].reverse();
    let rewritten = format!("{}\n", rewritten.join("\n"));
    assert_eq!(enter(&rewritten, Some(&memory)).unwrap().0, rewritten);
    assert_eq!(back(&rewritten, Some(&memory)), before);
    let (after, memory, _) = enter("a = 1\n", None).unwrap();
    let rewritten =
        after.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    assert_eq!(back(&rewritten, Some(&memory)), "a = 1");
}

/// Pieces of configs, in any order: most of what comes of them is broken, and the rest is odd.
const PIECES: [&str; 24] = [
    "[mcp_servers]\n",
    "[mcp_servers.delegation]\n",
    "[mcp_servers.delegation.env]\n",
    "[mcp_servers.other]\n",
    "[tui] # x",
    "mcp_servers = { ",
    "mcp_servers.delegation.",
    "delegation.",
    "delegation = { ",
    "command = 'codex-orch'",
    "args = [ \"delegate-server\", \"--repo\", 'x' ]",
    "args = [\n  'delegate-server', # x\n]",
    "enabled = true",
    "env_vars = []",
    "env_vars = ['A', { name = 'B' }, ]",
    "startup_timeout_sec = 1_000.5",
    "tools.'delegate.list'.approval_mode = 'prompt'",
    "text = \"\"\"\n[mcp_servers.delegation]\n\"\"\"",
    " }",
    ", ",
    "\n",
    "\r\n",
    "\n\n  ",
    "# codex-orch setup: \u{e9}\n",
];

#[test]
fn whatever_is_accepted_comes_back_to_the_byte() {
    // Always the same, so that a failure can be looked at.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap_or(0)
    };
    let (mut entered, mut mended) = (0, 0);
    for _ in 0..CASES {
        let mut before = BEGINNINGS[next(BEGINNINGS.len())].to_owned();
        for _ in 0..next(8) {
            before.push_str(PIECES[next(PIECES.len())]);
            if next(3) > 0 {
                before.push('\n');
            }
        }
        if Written::read("x", before.clone()).is_err() {
            continue;
        }
        let Ok((text, memory, _)) = enter(&before, None) else { continue };
        let (again, more, _) =
            enter(&text, Some(&memory)).unwrap_or_else(|e| panic!("{e}: {text:?}"));
        assert_eq!((again, more), (text.clone(), memory.clone()), "{before:?}");
        assert_eq!(back(&text, Some(&memory)), before, "{before:?}");
        match memory.block {
            Some(_) => entered += 1,
            None => mended += 1,
        }
    }
    assert!(entered > 500 && mended > 500, "{entered} {mended}");
}

/// Most of them are broken.
const CASES: usize = 8_000;

/// What they begin with: nothing, or an entry in one of its forms.
const BEGINNINGS: [&str; 6] = [
    "",
    "\u{feff}# x\r\n[a]\r\n",
    "[mcp_servers.delegation]\r\nargs = ['delegate-server']\r\ncommand = 'codex-orch'\r\n",
    "mcp_servers.delegation.command = \"codex-orch\"\nmcp_servers.delegation.args = ['delegate-server']\n",
    "mcp_servers = { b = {}, delegation = { command = 'codex-orch', args = ['delegate-server']",
    "[mcp_servers]\n  delegation.args = ['delegate-server']\n  delegation.command = 'codex-orch' # x\n",
];
