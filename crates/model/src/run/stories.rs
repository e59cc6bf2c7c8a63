//! How runs move, told as stories: stages, what happens, and what is seen of it.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use super::Run;
use crate::{
    Actor, Asks, Attempt, Axis, By, CodexStage, CommandLine, CommandStage, Door, Effect, Event,
    Exit, Failure, Fallback, Held, Matter, Part, Plan, PlannedBody, PlannedStage, Question,
    QuestionId, Reached, Recorded, Refusal, Report, Request, Resolution, Runner, Scope, Shape,
    Source, StageIndex, Subject, ThreadReport, Timestamp, TurnEnd, TurnFault, WhenReached,
};

/// `("test", "needs=build retries=1")`; `group` makes it a sub-pipeline, `within=` puts it in one.
fn plan(stages: &[(&str, &str)], max_parallel: usize) -> Plan {
    let place = |name: &str| {
        let at = stages.iter().position(|(id, _)| *id == name).expect("a stage of the story");
        StageIndex(u32::try_from(at).unwrap())
    };
    let planned = stages.iter().map(|(id, words)| {
        let word = |key: &str| words.split(' ').find_map(|word| word.strip_prefix(key));
        let needs = word("needs=").map(|names| names.split(',').map(place).collect());
        let command = CommandStage {
            command: CommandLine::Shell("true".to_owned()),
            cwd: None,
            env: Default::default(),
            timeout: word("timeout=").map(|secs| Duration::from_secs(secs.parse().unwrap())),
            retries: word("retries=").map_or(0, |count| count.parse().unwrap()),
        };
        PlannedStage {
            id: id.parse().unwrap(),
            title: (*id).to_owned(),
            within: word("within=").map(place),
            needs: needs.unwrap_or_default(),
            allow_failure: words.contains("may_fail"),
            summary_hint: None,
            body: match words.contains("group") {
                true => PlannedBody::Pipeline((*id).to_owned()),
                false if words.contains("codex") => PlannedBody::Codex(Box::new(CodexStage {
                    prompt: "Mend it.".to_owned(),
                    prompt_file: None,
                    as_is: false,
                    model: None,
                    effort: None,
                    sandbox: Default::default(),
                    output_schema: None,
                    verify: words.contains("verify").then(|| CommandLine::Shell("true".to_owned())),
                    max_attempts: word("attempts=").map(|count| count.parse().unwrap()),
                    limits: Default::default(),
                    cwd: None,
                    env: Default::default(),
                    timeout: command.timeout,
                    idle: Some(Duration::from_secs(600)),
                })),
                false => PlannedBody::Command(command),
            },
            caps: vec![],
            source: Source::BuiltIn,
        }
    });
    Plan {
        pipeline: "story".to_owned(),
        title: "Story".to_owned(),
        source: Source::BuiltIn,
        max_parallel,
        caps: vec![],
        stages: planned.collect(),
        left_out: Vec::new(),
    }
}

const PERSON: By = By::Person { door: Door::Cli };

/// `1` is the first question there could be.
fn id(word: &str) -> QuestionId {
    QuestionId::new(word.parse().unwrap())
}

/// `1 holds until=900 else=fail options=a,b`
fn question(words: &[&str]) -> Question {
    let word = |key: &str| words.iter().find_map(|word| word.strip_prefix(key));
    let until = word("until=").map(|at| Timestamp::from_millis(at.parse().unwrap()));
    let options = word("options=").map(|words| words.split(',').map(ToOwned::to_owned).collect());
    let fallback = word("else=").map(|word| serde_json::from_str(&format!("\"{word}\"")).unwrap());
    Question {
        question_id: id(words[0]),
        prompt: "Shall I?".to_owned(),
        matter: match words.contains(&"confirm") {
            _ if words.contains(&"grant") => Matter::Approval {
                asks: Asks::Grant { server: "s".to_owned(), tool: "t".to_owned() },
                scopes: vec![Scope::Stage, Scope::Run],
                standing: None,
            },
            _ if words.contains(&"host") => Matter::Approval {
                asks: Asks::Network { host: "a.example".parse().unwrap() },
                scopes: vec![Scope::Stage, Scope::Run],
                standing: None,
            },
            _ if words.contains(&"approve") => Matter::Approval {
                asks: Asks::Tool {
                    server: "s".to_owned(),
                    tool: "t".to_owned(),
                    arguments: serde_json::json!({}),
                },
                scopes: match words.contains(&"standing") {
                    true => vec![Scope::Once, Scope::Repo],
                    false => vec![Scope::Once],
                },
                standing: words
                    .contains(&"standing")
                    .then(|| Subject::Tool { server: "s".to_owned(), tool: "t".to_owned() }),
            },
            true => Matter::Confirmation {
                action: serde_json::json!({ "cancel": "x" }),
                digest: "d".to_owned(),
            },
            false => Matter::Question {
                options: options.unwrap_or_default(),
                default: None,
                fallback: fallback.unwrap_or(Fallback::Pause),
                auto_pause: words.contains(&"holds"),
                shape: words.contains(&"number").then_some(Shape::Number {
                    whole: true,
                    least: None,
                    most: Some(9.into()),
                }),
                held: match word("for=") {
                    Some("thread") => Some(Held::Thread),
                    Some(name) => Some(Held::Server { name: name.to_owned() }),
                    None => None,
                },
            },
        },
        urgency: Default::default(),
        stage_id: word("of=").map(|stage| stage.parse().unwrap()),
        thread_id: None,
        expires_at: until,
    }
}

struct Story {
    run: Run,
    seen: String,
    journal: Vec<Recorded>,
}

impl Story {
    fn tell(stages: &[(&str, &str)], max_parallel: usize, script: &str) -> Self {
        let run = Run::new(Arc::new(plan(stages, max_parallel)));
        let mut story = Self { run, seen: String::new(), journal: Vec::new() };
        for line in script.split(';').map(str::trim).filter(|line| !line.is_empty()) {
            story.step(line);
        }
        story.replays();
        story
    }

    /// Every story holds that its journal, read back, gives the same run.
    fn replays(&self) {
        let written: Vec<String> = self
            .journal
            .iter()
            .map(|recorded| serde_json::to_string(&recorded.event).unwrap())
            .collect();
        let read = self.journal.iter().zip(&written).map(|(recorded, text)| Recorded {
            event: serde_json::from_str(text).unwrap(),
            ..recorded.clone()
        });
        let read: Vec<Recorded> = read.collect();
        let again = Run::replay(Arc::new(self.run.plan().clone()), &read);
        assert_eq!(again, self.run);
    }

    fn step(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let stage = words.get(1).and_then(|name| self.run.plan().find(&name.parse().ok()?));
        let tried = |story: &Self, stage: StageIndex| Attempt(story.run.stage(stage).attempts());
        match (words[0], stage) {
            ("run", _) => self.ask(Request::Run {
                runner: Runner { pid: 1, boot_id: "b".to_owned(), hostname: "h".to_owned() },
            }),
            ("pause", _) => self.ask(Request::Pause { freeze: words.contains(&"freeze") }),
            ("thaw", _) => self.ask(Request::Thaw),
            ("cancel", _) => self.ask(Request::Cancel { reason: None }),
            ("ask", _) => self.ask(Request::Ask { question: Box::new(question(&words[1..])) }),
            ("answer", _) => self.ask(Request::Resolve {
                question_id: id(words[1]),
                resolution: Resolution::Answered { answer: words[2].to_owned(), by: PERSON },
            }),
            ("dismiss", _) => self.ask(Request::Resolve {
                question_id: id(words[1]),
                resolution: Resolution::Dismissed { by: PERSON, reason: None },
            }),
            ("clock", _) => {
                let now = Timestamp::from_millis(words[1].parse().unwrap());
                self.hear(Report::Time { now });
            }
            ("open", _) => {
                let open: Vec<&str> = self
                    .run
                    .open_questions()
                    .map(|(_, asked)| asked.question_id.as_str())
                    .collect();
                writeln!(self.seen, "open: {}", open.join(" ")).unwrap();
            }
            ("launch", Some(stage)) => {
                let attempt = tried(self, stage).next();
                self.hear(Report::Launching { stage, attempt });
                let tree = serde_json::json!({ "try": attempt.0 });
                self.hear(Report::Launched { stage, attempt, tree });
            }
            ("exit", Some(stage)) => {
                let exit = match words[2] {
                    "lost" => Exit::Lost,
                    code => Exit::Code(code.parse().unwrap()),
                };
                self.hear(Report::Exited {
                    stage,
                    attempt: tried(self, stage),
                    exit,
                    last_line: None,
                    output: words.get(3).map(|&output| output.to_owned()),
                });
            }
            ("turn", Some(stage)) => {
                self.thread(stage, ThreadReport::TurnBegan { turn_id: "t".to_owned() });
            }
            ("says", Some(stage)) => {
                self.thread(stage, ThreadReport::Said { text: words[2..].join(" ") });
            }
            ("heard", Some(stage)) => self.thread(stage, ThreadReport::Heard { count: 1 }),
            ("over", Some(stage)) => {
                let until = words.iter().find_map(|word| word.strip_prefix("until="));
                let until = until.map(|at| Timestamp::from_millis(at.parse().unwrap()));
                let failed = |class| TurnEnd::Failed { class, message: "no".to_owned() };
                let end = match words.get(2) {
                    Some(&"limited") => failed(TurnFault::UsageLimit),
                    Some(&"broken") => failed(TurnFault::Server),
                    Some(&"interrupted") => TurnEnd::Interrupted,
                    _ => TurnEnd::Completed,
                };
                self.thread(stage, ThreadReport::TurnOver { end, until, goes_on: true });
            }
            ("commit", Some(stage)) => {
                let report = match words.get(2) {
                    Some(&"fails") => ThreadReport::NotCommitted { error: "no".to_owned() },
                    _ => ThreadReport::Committed { commit: "c".to_owned() },
                };
                self.thread(stage, report);
            }
            ("silent", Some(stage)) => {
                self.hear(Report::Silent { stage, attempt: tried(self, stage) });
            }
            ("spent", _) => {
                let reached = Reached { axis: Axis::Tokens, limit: 100, used: 120 };
                let then = match words.get(1) {
                    Some(&"fail") => WhenReached::Fail,
                    _ => WhenReached::Pause,
                };
                let above = words.iter().find_map(|word| word.strip_prefix("of="));
                let of = above.map(|_| "2026-01-01T00-00-00-000Z-00000001".parse().unwrap());
                self.hear(Report::Spent { reached, of, then });
            }
            ("tell", _) => self.ask(Request::Message { text: words[1].to_owned() }),
            ("approve", _) => self.ask(Request::Resolve {
                question_id: id(words[1]),
                resolution: Resolution::Approved {
                    by: match words.contains(&"agent") {
                        true => By::Session { thread_id: None, run_id: None, door: Door::Mcp },
                        false => PERSON,
                    },
                    scope: match words.get(2) {
                        Some(&"run") => Scope::Run,
                        Some(&"stage") => Scope::Stage,
                        Some(&"repo") => Scope::Repo,
                        _ => Scope::Once,
                    },
                },
            }),
            ("reach", _) => {
                let of = |stage| {
                    let hosts = self.run.widened_for(stage).map(ToString::to_string);
                    format!("{} {:?}", self.name(stage), hosts.collect::<Vec<_>>())
                };
                let stages = (0..).map(StageIndex).take(self.run.stages().len());
                let reached: Vec<String> = stages.map(of).collect();
                let refused: Vec<_> = self.run.refused().iter().map(ToString::to_string).collect();
                let reached = reached.join(", ");
                writeln!(self.seen, "reach: {reached}; refused {refused:?}").unwrap();
            }
            ("waits", _) => {
                let waiting = self.run.waiting();
                let word = waiting.map_or("nothing", |waiting| waiting.for_.as_str());
                let detail = self.run.detail().unwrap_or_default();
                writeln!(self.seen, "waits for {word}: {detail}").unwrap();
            }
            ("late", Some(stage)) => {
                let exit = Exit::Code(0);
                let attempt = Attempt(99);
                let (last_line, output) = (None, None);
                self.hear(Report::Exited { stage, attempt, exit, last_line, output });
            }
            ("overrun", Some(stage)) => {
                self.hear(Report::Overran { stage, attempt: tried(self, stage) });
            }
            ("froze", _) => self.hear(Report::Froze),
            ("unfreezable", _) => self.hear(Report::FreezeFailed { reason: "x".to_owned() }),
            ("die", _) => self.hear(Report::RunnerLost { reason: "killed".to_owned() }),
            ("due", _) => self.show_due(),
            ("show", _) => self.show(),
            _ => panic!("`{line}` is no line of a story"),
        }
    }

    fn ask(&mut self, request: Request) {
        match self.run.decide(&request) {
            Ok(events) => self.happen(events),
            Err(refusal) => writeln!(self.seen, "refused: {refusal:?}").unwrap(),
        }
    }

    fn thread(&mut self, stage: StageIndex, report: ThreadReport) {
        let attempt = Attempt(self.run.stage(stage).attempts());
        self.hear(Report::Thread { stage, attempt, report });
    }

    fn hear(&mut self, report: Report) {
        let events = self.run.note(&report);
        self.happen(events);
    }

    fn happen(&mut self, events: Vec<Event>) {
        for event in events {
            let seq = self.run.head().next();
            let at = Timestamp::from_millis(i64::try_from(seq.0).unwrap());
            let recorded = Recorded { seq, at, actor: Actor::Runner, event };
            self.run.apply(&recorded);
            self.journal.push(recorded);
        }
    }

    fn name(&self, stage: StageIndex) -> &str {
        self.run.plan().stages[stage.get()].id.as_str()
    }

    fn show_due(&mut self) {
        let due = self.run.due();
        // Processes that run and should run are nothing to speak of.
        let words = due.iter().filter_map(|effect| match effect {
            Effect::Launch(stage, attempt, Part::Verify) => {
                Some(format!("verify {} ({})", self.name(*stage), attempt.0))
            }
            Effect::Launch(stage, attempt, _) if *attempt == Attempt::FIRST => {
                Some(format!("launch {}", self.name(*stage)))
            }
            Effect::Launch(stage, attempt, _) => {
                Some(format!("launch {} again ({})", self.name(*stage), attempt.0))
            }
            Effect::Freeze(stage) => Some(format!("freeze {}", self.name(*stage))),
            Effect::Stop(stage) => Some(format!("stop {}", self.name(*stage))),
            Effect::Thaw(_) => None,
        });
        let words: Vec<String> = words.collect();
        let words = if words.is_empty() { "-".to_owned() } else { words.join(", ") };
        writeln!(self.seen, "due: {words}").unwrap();
    }

    fn show(&mut self) {
        let stages = self.run.stages().iter().enumerate().map(|(at, state)| {
            format!("{} {}", self.run.plan().stages[at].id, state.status().as_str())
        });
        let stages: Vec<String> = stages.collect();
        writeln!(self.seen, "{}: {}", self.run.status(), stages.join(", ")).unwrap();
    }
}

fn check_parallel(stages: &[(&str, &str)], max_parallel: usize, script: &str, expected: &str) {
    assert_eq!(Story::tell(stages, max_parallel, script).seen, expected, "{script}");
}

fn check(stages: &[(&str, &str)], script: &str, expected: &str) {
    check_parallel(stages, 4, script, expected);
}

const BUILD_TEST: &[(&str, &str)] = &[("build", ""), ("test", "needs=build")];

#[test]
fn stages_run_one_after_the_other_and_the_run_succeeds() {
    check(
        BUILD_TEST,
        "due; run; due; launch build; due; exit build 0; due; launch test; exit test 0; due; show",
        "due: -\ndue: launch build\ndue: -\ndue: launch test\ndue: -\n\
         succeeded: build succeeded, test succeeded\n",
    );
}

#[test]
fn a_paused_run_launches_nothing_until_it_thaws() {
    check(
        BUILD_TEST,
        "run; launch build; pause; due; froze; show; exit build 0; due; thaw; due",
        "due: freeze build\npaused: build running, test pending\ndue: -\ndue: launch test\n",
    );
}

#[test]
fn a_run_with_nothing_running_is_paused_at_once() {
    check(BUILD_TEST, "run; pause; show; due", "paused: build pending, test pending\ndue: -\n");
}

#[test]
fn a_run_whose_last_stage_ends_while_it_is_being_paused_ends() {
    check(&[("a", "")], "run; launch a; pause; exit a 0; show", "succeeded: a succeeded\n");
}

#[test]
fn a_run_that_cannot_be_frozen_goes_on() {
    check(
        BUILD_TEST,
        "run; launch build; pause; unfreezable; due; show",
        "due: -\nin_progress: build running, test pending\n",
    );
}

#[test]
fn what_needs_a_failed_stage_is_skipped_and_the_rest_is_run() {
    check(
        &[("build", ""), ("lint", "needs=build"), ("docs", "")],
        "run; due; launch build; launch docs; exit build 1; due; exit docs 0; show",
        "due: launch build, launch docs\ndue: -\nfailed: build failed, lint skipped, docs succeeded\n",
    );
}

#[test]
fn a_stage_that_may_fail_fails_nothing_else() {
    check(
        &[("lint", "may_fail"), ("test", "needs=lint")],
        "run; launch lint; exit lint 1; due; launch test; exit test 0; show",
        "due: launch test\nsucceeded: lint failed, test succeeded\n",
    );
}

#[test]
fn no_more_stages_run_at_once_than_the_plan_allows() {
    check_parallel(
        &[("a", ""), ("b", ""), ("c", "")],
        2,
        "run; due; launch a; due; launch b; due; exit a 0; due",
        "due: launch a, launch b\ndue: launch b\ndue: -\ndue: launch c\n",
    );
}

#[test]
fn a_failing_stage_is_tried_as_often_as_it_says() {
    check(
        &[("net", "retries=1")],
        "run; launch net; exit net 1; due; launch net; exit net 7; due; show",
        "due: launch net again (2)\ndue: -\nfailed: net failed\n",
    );
}

#[test]
fn a_stage_whose_supervisor_was_killed_is_not_tried_again_by_itself() {
    check(&[("net", "retries=3")], "run; launch net; exit net lost; show", "failed: net failed\n");
}

#[test]
fn a_stage_over_its_time_is_stopped_and_has_failed() {
    check(
        &[("slow", "timeout=5")],
        "run; launch slow; overrun slow; due; overrun slow; exit slow 143; show",
        "due: stop slow\nfailed: slow failed\n",
    );
}

#[test]
fn a_cancelled_run_stops_what_runs_and_starts_nothing() {
    check(
        BUILD_TEST,
        "run; launch build; cancel; due; show; exit build 143; show; cancel",
        "due: stop build\nin_progress: build running, test pending\n\
         cancelled: build cancelled, test cancelled\nrefused: Ended\n",
    );
}

#[test]
fn a_frozen_run_can_be_cancelled() {
    check(
        &[("a", "")],
        "run; launch a; pause; froze; cancel; due; exit a 143; show",
        "due: stop a\ncancelled: a cancelled\n",
    );
}

#[test]
fn a_run_that_nobody_took_up_is_cancelled_at_once() {
    check(BUILD_TEST, "cancel; show", "cancelled: build cancelled, test cancelled\n");
}

#[test]
fn a_stage_that_ended_well_before_the_cancel_reached_it_ended_well() {
    check(&[("a", "")], "run; launch a; cancel; exit a 0; show", "cancelled: a succeeded\n");
}

#[test]
fn an_interrupted_run_goes_on_with_the_stage_it_was_at() {
    check(
        BUILD_TEST,
        "run; launch build; exit build 0; launch test; die; show; due; run; due; \
         launch test; exit test 0; show",
        "interrupted: build succeeded, test pending\ndue: -\ndue: launch test again (2)\n\
         succeeded: build succeeded, test succeeded\n",
    );
}

#[test]
fn a_run_that_was_paused_when_its_runner_died_goes_on_when_resumed() {
    check(
        &[("a", "")],
        "run; launch a; pause; froze; die; show; thaw; run; due",
        "interrupted: a pending\nrefused: Interrupted\ndue: launch a again (2)\n",
    );
}

#[test]
fn a_run_that_was_being_cancelled_when_its_runner_died_is_cancelled() {
    check(&[("a", "")], "run; launch a; cancel; die; show", "cancelled: a cancelled\n");
}

#[test]
fn a_failed_run_restarts_at_its_first_unfinished_stage_with_all_its_tries() {
    check(
        &[("a", ""), ("b", "needs=a retries=1"), ("c", "needs=b")],
        "run; launch a; exit a 0; launch b; exit b 1; launch b; exit b 1; show; run; due; \
         launch b; exit b 1; due; launch b; exit b 0; due",
        "failed: a succeeded, b failed, c skipped\ndue: launch b again (3)\n\
         due: launch b again (4)\ndue: launch c\n",
    );
}

#[test]
fn a_failure_that_was_allowed_is_not_run_again() {
    check(
        &[
            ("lint", "may_fail"),
            ("extra", "group may_fail"),
            ("extra/x", "within=extra"),
            ("extra/y", "within=extra needs=extra/x"),
            ("test", "needs=lint,extra"),
        ],
        "run; launch lint; exit lint 1; launch extra/x; exit extra/x 1; launch test; \
         exit test 1; show; run; due",
        "failed: lint failed, extra failed, extra/x failed, extra/y skipped, test failed\n\
         due: launch test again (2)\n",
    );
}

#[test]
fn a_succeeded_run_has_nothing_to_resume_and_a_live_one_is_not_run_twice() {
    check(
        &[("a", "")],
        "run; run; launch a; exit a 0; run",
        "refused: AlreadyRunning\nrefused: Succeeded\n",
    );
}

#[test]
fn a_report_about_another_try_changes_nothing() {
    check(&[("a", "")], "run; launch a; late a; show", "in_progress: a running\n");
}

const GROUPED: &[(&str, &str)] = &[
    ("setup", ""),
    ("checks", "group needs=setup"),
    ("checks/lint", "within=checks"),
    ("checks/test", "within=checks needs=checks/lint"),
    ("pack", "needs=checks"),
];

#[test]
fn the_stages_of_a_sub_pipeline_run_within_it() {
    check(
        GROUPED,
        "run; due; launch setup; exit setup 0; show; due; launch checks/lint; exit checks/lint 0; \
         due; launch checks/test; exit checks/test 0; due; launch pack; exit pack 0; show",
        "due: launch setup\n\
         in_progress: setup succeeded, checks running, checks/lint pending, checks/test pending, pack pending\n\
         due: launch checks/lint\ndue: launch checks/test\ndue: launch pack\n\
         succeeded: setup succeeded, checks succeeded, checks/lint succeeded, checks/test succeeded, pack succeeded\n",
    );
}

#[test]
fn a_failed_sub_pipeline_fails_what_needs_it() {
    check(
        GROUPED,
        "run; launch setup; exit setup 0; launch checks/lint; exit checks/lint 1; show; run; due",
        "failed: setup succeeded, checks failed, checks/lint failed, checks/test skipped, pack skipped\n\
         due: launch checks/lint again (2)\n",
    );
}

#[test]
fn a_skipped_sub_pipeline_skips_its_stages() {
    check(
        GROUPED,
        "run; launch setup; exit setup 1; show",
        "failed: setup failed, checks skipped, checks/lint skipped, checks/test skipped, pack skipped\n",
    );
}

#[test]
fn a_sub_pipeline_that_may_fail_fails_nothing_else() {
    check(
        &[("extra", "group may_fail"), ("extra/x", "within=extra"), ("pack", "needs=extra")],
        "run; launch extra/x; exit extra/x 1; due; launch pack; exit pack 0; show",
        "due: launch pack\nsucceeded: extra failed, extra/x failed, pack succeeded\n",
    );
}

#[test]
fn a_refusal_says_what_the_run_is_doing() {
    assert_eq!(Refusal::NotPaused.to_string(), "the run is not paused");
}

#[test]
fn a_question_that_holds_lets_what_runs_run_and_starts_nothing_before_its_answer() {
    check(
        BUILD_TEST,
        "run; launch build; ask 1 holds; show; exit build 0; due; show; thaw; answer 1 yes; due; \
         show",
        "in_progress: build running, test pending\ndue: -\n\
         paused: build succeeded, test pending\n\
         refused: WaitsForAnswer(QuestionId(\"q0000000001\"))\ndue: launch test\n\
         in_progress: build succeeded, test pending\n",
    );
}

#[test]
fn a_question_that_does_not_hold_is_asked_beside_the_work() {
    check(
        BUILD_TEST,
        "run; launch build; ask 1; exit build 0; due; open; dismiss 1; open",
        "due: launch test\nopen: q0000000001\nopen: \n",
    );
}

#[test]
fn a_question_is_answered_once_and_by_one_of_its_options() {
    check(
        &[("a", "")],
        "run; launch a; ask 1 options=yes,no; answer 1 perhaps; answer 1 yes; answer 1 no; \
         answer 2 yes",
        "refused: Unfit(NotAnOption { options: [\"yes\", \"no\"] })\n\
         refused: NotOpen(QuestionId(\"q0000000001\"))\n\
         refused: NotOpen(QuestionId(\"q0000000002\"))\n",
    );
}

#[test]
fn a_confirmation_is_not_answered_and_holds_nothing() {
    check(
        BUILD_TEST,
        "run; launch build; ask 1 confirm; answer 1 yes; exit build 0; due; clock 99; open",
        "refused: Unfit(WantsApproval)\ndue: launch test\nopen: q0000000001\n",
    );
}

#[test]
fn a_question_out_of_time_pauses_its_run_or_lets_it_go_on_or_fails_it() {
    check(
        BUILD_TEST,
        "run; launch build; exit build 0; ask 1 holds until=900 else=pause; clock 899; open; \
         clock 900; open; show; thaw; due",
        "open: q0000000001\nopen: \npaused: build succeeded, test pending\ndue: launch test\n",
    );
    check(
        BUILD_TEST,
        "run; launch build; exit build 0; ask 1 holds until=900 else=resume; due; clock 900; due",
        "due: -\ndue: launch test\n",
    );
    check(
        BUILD_TEST,
        "run; launch build; ask 1 until=900 else=fail; clock 900; due; show; pause; \
         exit build 143; show; run; due",
        "due: stop build\nin_progress: build running, test pending\nrefused: Failing\n\
         failed: build cancelled, test cancelled\ndue: launch build again (2)\n",
    );
}

#[test]
fn a_run_that_was_failing_when_its_runner_died_has_failed() {
    check(
        BUILD_TEST,
        "run; launch build; ask 1 until=9 else=fail; clock 9; die; show",
        "failed: build cancelled, test cancelled\n",
    );
}

#[test]
fn questions_outlive_their_runner_and_end_with_their_run() {
    check(
        BUILD_TEST,
        "run; launch build; ask 1 holds; ask 2; die; open; ask 3; answer 1 yes; open; run; \
         launch build; exit build 1; show; open",
        "open: q0000000001 q0000000002\nrefused: Interrupted\nopen: q0000000002\n\
         failed: build failed, test skipped\nopen: \n",
    );
}

#[test]
fn a_session_is_over_from_the_start_and_may_ask_all_the_same() {
    let mut story = Story {
        run: Run::new(Arc::new(Plan::of_session("A session".to_owned()))),
        seen: String::new(),
        journal: Vec::new(),
    };
    for line in ["run", "show", "ask 1", "open", "answer 1 yes", "open", "cancel"] {
        story.step(line);
    }
    story.replays();
    assert_eq!(story.seen, "succeeded: \nopen: q0000000001\nopen: \nrefused: Ended\n");
}

const FIX: &[(&str, &str)] = &[("fix", "codex verify attempts=2")];
const FIX_IN_TIME: &[(&str, &str)] = &[("fix", "codex verify attempts=2 timeout=60")];
const ANSWER: &[(&str, &str)] = &[("answer", "codex")];

#[test]
fn a_thread_without_a_command_that_verifies_is_done_with_its_turn() {
    check(
        ANSWER,
        "run; due; launch answer; turn answer; says answer Done.; over answer; show; exit answer 0; show",
        "due: launch answer\nin_progress: answer running\nsucceeded: answer succeeded\n",
    );
}

#[test]
fn a_thread_is_done_when_its_work_is_verified_and_gets_what_failed_back_until_then() {
    let first =
        "run; launch fix; turn fix; over fix; exit fix 0; due; exit fix 1 broken; show; due";
    check(FIX, first, "due: -\nin_progress: fix pending\ndue: launch fix again (2)\n");
    let story = Story::tell(FIX, 1, first);
    let thread = story.run.thread(StageIndex(0)).unwrap();
    let (failure, output) = (Failure::Exited(Exit::Code(1)), "broken".to_owned());
    assert_eq!(thread.owed(true), crate::Owed::Turn(crate::Say::Failing { failure, output }));
    let second = "launch fix; turn fix; over fix; exit fix 0";
    check(
        FIX,
        &format!("{first}; {second}; exit fix 0; show"),
        &format!("{}succeeded: fix succeeded\n", story.seen),
    );
    check(
        FIX,
        &format!("{first}; {second}; exit fix 1; show; run; due"),
        &format!("{}failed: fix failed\ndue: launch fix again (3)\n", story.seen),
    );
}

#[test]
fn a_thread_is_owed_the_answers_since_it_last_heard_and_no_others() {
    let owed = |lines: &str| {
        let story = Story::tell(FIX, 1, lines);
        let thread = story.run.thread(StageIndex(0)).unwrap();
        let ids: Vec<String> = thread.answered.iter().map(|id| id.as_str().to_owned()).collect();
        ids.join(" ")
    };
    let first = "run; launch fix; says fix Well; turn fix; ask 1; answer 1 yes; ask 2; die";
    assert_eq!(owed(first), "q0000000001");
    let told = format!("{first}; answer 2 no; run");
    assert_eq!(owed(&told), "q0000000001 q0000000002");
    // A turn that does not begin tells it nothing.
    let in_vain = format!("{told}; launch fix; over fix broken; exit fix 1; run; launch fix");
    assert_eq!(owed(&in_vain), "q0000000001 q0000000002");
    let begun = format!("{in_vain}; turn fix");
    assert_eq!(owed(&begun), "");
    assert_eq!(owed(&format!("{begun}; ask 3; answer 3 yes; die")), "q0000000003");
    assert_eq!(owed(&format!("{begun}; ask 3; answer 3 yes; over fix")), "");
    assert_eq!(owed(&format!("{begun}; ask 3; over fix; exit fix 0; answer 3 yes")), "q0000000003");
}

#[test]
fn work_that_is_not_committed_is_told_until_it_is() {
    let uncommitted = |lines: &str| {
        let story = Story::tell(FIX, 1, lines);
        assert_eq!(story.run.uncommitted().is_some(), story.run.detail().is_some(), "{lines}");
        story.run.uncommitted().map(ToOwned::to_owned)
    };
    let turn = "launch fix; turn fix; over fix; commit fix fails; exit fix 0";
    let no = Some("no".to_owned());
    assert_eq!(uncommitted(&format!("run; {turn}; exit fix 0")), no);
    let again = "launch fix; turn fix; over fix; commit fix; exit fix 0; exit fix 0";
    assert_eq!(uncommitted(&format!("run; {turn}; exit fix 1; {again}")), None);
    let resumed = format!("run; {turn}; die; run; launch fix; exit fix 0");
    assert_eq!(uncommitted(&resumed), None);
}

#[test]
fn a_check_that_takes_too_long_goes_back_to_the_thread_like_one_that_fails() {
    let checked = "run; launch fix; turn fix; over fix; exit fix 0";
    let late = format!("{checked}; overrun fix; due; exit fix 15 hangs; show; due");
    let seen = "due: stop fix\nin_progress: fix pending\ndue: launch fix again (2)\n";
    check(FIX_IN_TIME, &late, seen);
    let story = Story::tell(FIX_IN_TIME, 1, &late);
    let (failure, output) = (Failure::TimedOut { limit_ms: 60_000 }, "hangs".to_owned());
    let owed = story.run.thread(StageIndex(0)).unwrap().owed(true);
    assert_eq!(owed, crate::Owed::Turn(crate::Say::Failing { failure, output }));
    let again = "launch fix; turn fix; over fix; exit fix 0; overrun fix; exit fix 15; show";
    check(FIX_IN_TIME, &format!("{late}; {again}"), &format!("{seen}failed: fix failed\n"));
    let well = format!("{checked}; overrun fix; exit fix 0; show");
    check(FIX_IN_TIME, &well, "succeeded: fix succeeded\n");
    let turn = "run; launch fix; turn fix; overrun fix; exit fix 15; show";
    check(FIX_IN_TIME, turn, "failed: fix failed\n");
}

#[test]
fn a_turn_that_had_ended_is_not_repeated_after_a_crash() {
    check(
        FIX,
        "run; launch fix; turn fix; over fix; die; run; due; launch fix; exit fix 0; show",
        "due: verify fix (2)\nsucceeded: fix succeeded\n",
    );
    check(
        ANSWER,
        "run; launch answer; turn answer; over answer; die; show; run; show",
        "interrupted: answer pending\nsucceeded: answer succeeded\n",
    );
    check(
        ANSWER,
        "run; launch answer; turn answer; die; run; due",
        "due: launch answer again (2)\n",
    );
}

#[test]
fn a_pause_waits_for_the_end_of_a_turn_unless_it_is_to_freeze() {
    check(
        FIX,
        "run; launch fix; turn fix; pause; due; waits; over fix; exit fix 0; show; thaw; due",
        "due: -\nwaits for nothing: pausing at the end of its turn\npaused: fix pending\n\
         due: verify fix (2)\n",
    );
    check(
        FIX,
        "run; launch fix; turn fix; pause; pause freeze; due; froze; show",
        "due: freeze fix\npaused: fix running\n",
    );
    check(
        &[("fix", "codex"), ("build", "")],
        "run; launch fix; launch build; turn fix; pause; due; over fix; exit fix 0; show",
        "due: freeze build\nin_progress: fix succeeded, build running\n",
    );
}

#[test]
fn a_spent_budget_interrupts_the_turn_and_resuming_grants_it_again() {
    check(
        ANSWER,
        "run; launch answer; turn answer; spent; due; spent; over answer interrupted; \
         exit answer 0; show; waits; thaw; due; show; spent fail; show",
        "due: stop answer\npaused: answer pending\n\
         waits for budget: 120 of 100 tokens are used; `resume` grants as much again\n\
         due: launch answer again (2)\nin_progress: answer pending\nfailed: answer cancelled\n",
    );
}

#[test]
fn what_is_granted_of_the_budget_of_a_run_above_is_none_of_its_own() {
    let story = Story::tell(
        ANSWER,
        1,
        "run; launch answer; turn answer; spent pause of=above; over answer interrupted; \
         exit answer 0; waits; thaw; launch answer; spent; exit answer 0; thaw",
    );
    assert_eq!(
        story.seen,
        "waits for budget: 120 of 100 tokens are used, which run 00000001 and all below it share; \
         `resume` grants it as much again for this one\n"
    );
    let above = "2026-01-01T00-00-00-000Z-00000001".parse().unwrap();
    assert_eq!((story.run.grants(), story.run.grants_of(&above)), (2, 1));
}

#[test]
fn a_thread_that_is_done_with_the_last_of_its_budget_is_done() {
    check(
        ANSWER,
        "run; launch answer; turn answer; spent; over answer; exit answer 0; show",
        "succeeded: answer succeeded\n",
    );
}

#[test]
fn a_usage_limit_pauses_the_run_until_it_is_lifted() {
    check(
        ANSWER,
        "run; launch answer; turn answer; over answer limited until=900; exit answer 0; show; \
         waits; clock 899; due; clock 900; due",
        "paused: answer pending\nwaits for usage_limit: the account's usage limit is reached, until \
         1970-01-01T00:00:00.900Z\ndue: -\ndue: launch answer again (2)\n",
    );
    check(
        ANSWER,
        "run; launch answer; turn answer; over answer broken; exit answer 0; show",
        "failed: answer failed\n",
    );
}

#[test]
fn a_thread_that_is_silent_for_too_long_is_stopped() {
    check(
        ANSWER,
        "run; launch answer; turn answer; silent answer; due; over answer interrupted; exit answer 0; show",
        "due: stop answer\nfailed: answer failed\n",
    );
}

#[test]
fn an_approval_is_withdrawn_with_its_thread() {
    check(
        ANSWER,
        "run; launch answer; turn answer; ask 1 approve of=answer; waits; answer 1 yes; \
         approve 1 run; approve 1; open; ask 2 approve of=answer; die; open; show",
        "waits for approval: \nrefused: Unfit(WantsApproval)\nrefused: Unfit(NotSoFar)\nopen: \n\
         open: \ninterrupted: answer pending\n",
    );
}

#[test]
fn only_a_person_allows_something_for_the_repository_and_only_what_can_be() {
    check(
        ANSWER,
        "run; launch answer; turn answer; ask 1 approve standing of=answer; \
         approve 1 repo agent; open; approve 1 repo; open; \
         ask 2 approve of=answer; approve 2 repo; approve 2 once agent; open; \
         ask 3 confirm; approve 3 repo; approve 3; open",
        "refused: Unfit(ForPeople)\nopen: q0000000001\nopen: \n\
         refused: Unfit(NotSoFar)\nopen: \nrefused: Unfit(NotSoFar)\nopen: \n",
    );
}

#[test]
fn a_question_that_a_turn_stands_still_for_is_withdrawn_with_it() {
    check(
        FIX,
        "run; launch fix; turn fix; ask 1 for=thread of=fix; waits; answer 1 yes; waits; \
         ask 2 for=thread of=fix; ask 3 of=fix; over fix; exit fix 0; open",
        "waits for answer: \nwaits for nothing: \nopen: q0000000003\n",
    );
    check(
        ANSWER,
        "run; launch answer; turn answer; ask 1 for=docs of=answer; die; open; answer 1 yes",
        "open: \nrefused: NotOpen(QuestionId(\"q0000000001\"))\n",
    );
}

#[test]
fn what_a_server_asks_that_a_command_called_is_withdrawn_with_the_command() {
    check(
        BUILD_TEST,
        "run; launch build; ask 1 for=docs of=build; ask 2 for=docs of=test; open; \
         exit build 0; open",
        "open: q0000000001\nopen: \n",
    );
}

#[test]
fn what_a_server_wanted_to_know_is_not_told_to_the_thread() {
    let story = "run; launch answer; turn answer; ask 1 for=docs of=answer; \
                 ask 2 for=thread of=answer; answer 1 yes; answer 2 yes; die";
    let story = Story::tell(ANSWER, 1, story);
    let answered = &story.run.thread(StageIndex(0)).unwrap().answered;
    assert_eq!(answered, &[id("2")], "what it asked itself, and was cut off from hearing");
}

#[test]
fn an_answer_has_the_shape_that_is_asked_for() {
    check(
        BUILD_TEST,
        "run; ask 1 number; answer 1 many; answer 1 10; open; answer 1 9; open",
        "refused: Unfit(OtherShape { wanted: \"a whole number, at most 9\" })\n\
         refused: Unfit(OtherShape { wanted: \"a whole number, at most 9\" })\n\
         open: q0000000001\nopen: \n",
    );
}

#[test]
fn a_host_is_allowed_for_a_stage_or_for_the_run_and_nothing_waits_for_it() {
    check(
        BUILD_TEST,
        "run; launch build; ask 1 host of=build; waits; due; approve 1; approve 1 stage; reach; \
         ask 2 host of=build; approve 2 run; reach; die; run; reach",
        "waits for nothing: \ndue: -\nrefused: Unfit(NotSoFar)\n\
         reach: build [\"a.example\"], test []; refused []\n\
         reach: build [\"a.example\", \"a.example\"], test [\"a.example\"]; refused []\n\
         reach: build [\"a.example\", \"a.example\"], test [\"a.example\"]; refused []\n",
    );
}

#[test]
fn a_tool_is_granted_as_a_host_is_allowed() {
    check(
        BUILD_TEST,
        "run; launch build; ask 1 grant of=build; waits; approve 1; approve 1 stage; reach; die; \
         run; launch build; reach; ask 2 grant of=build; dismiss 2; reach",
        "waits for nothing: \nrefused: Unfit(NotSoFar)\n\
         reach: build [\"s/t\"], test []; refused []\n\
         reach: build [\"s/t\"], test []; refused []\n\
         reach: build [\"s/t\"], test []; refused [\"s/t\"]\n",
    );
}

#[test]
fn what_nobody_has_allowed_is_refused_and_closes_with_its_stage() {
    check(
        BUILD_TEST,
        "run; launch build; ask 1 host of=build; dismiss 1; reach; ask 2 host of=build until=900; \
         clock 900; open; reach",
        "reach: build [], test []; refused [\"a.example\"]\nopen: \n\
         reach: build [], test []; refused [\"a.example\"]\n",
    );
    check(
        BUILD_TEST,
        "run; launch build; ask 1 host of=build; die; open; run; launch build; open; exit build 0; \
         open; reach",
        "open: q0000000001\nopen: q0000000001\nopen: \nreach: build [], test []; refused []\n",
    );
}

#[test]
fn what_is_said_to_a_thread_waits_until_it_was_heard() {
    check(
        ANSWER,
        "run; launch answer; turn answer; tell more; over answer; exit answer 0; due; \
         launch answer; turn answer; heard answer; over answer; exit answer 0; show; tell more",
        "due: launch answer again (2)\nsucceeded: answer succeeded\nrefused: Ended\n",
    );
    check(BUILD_TEST, "run; tell more", "refused: NoThread\n");
}
