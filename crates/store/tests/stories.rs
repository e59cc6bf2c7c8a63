//! The store over real files and a real database, in folders of its own.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use model::{
    Actor, Asks, Attempt, By, Door, Event, Exit, Fallback, Matter, Plan, Question, QuestionId,
    Recorded, Refusal, Report, Request, Resolution, Run, RunId, RunSpec, RunStatus, Runner, Scope,
    Seq, StageIndex, Subject, Timestamp, Urgency, Way,
};
use store::{
    Admission, Durability, Filter, Found, FoundQuestion, Home, HomeError, Journal, Mode,
    QuestionFilter, RunPaths, StoreError, Telling, Tidings, Tie, Views, manifest_of,
};
use tempfile::TempDir;

struct Scratch {
    folder: TempDir,
}

impl Scratch {
    fn new() -> Self {
        let scratch = Self { folder: TempDir::new().unwrap() };
        fs::create_dir_all(scratch.repo("repo").join(".runs")).unwrap();
        scratch
    }

    fn state(&self) -> std::path::PathBuf {
        self.folder.path().join("state")
    }

    fn repo(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn home(&self, name: &str, random: u128) -> (Home, Tie) {
        Home::open(&self.state(), &self.repo(name), random).unwrap()
    }

    fn journal(&self) -> Journal {
        let (home, _) = self.home("repo", 1);
        Journal::open(&home.journal(), Mode::Write).unwrap()
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

fn spec(number: u32) -> RunSpec {
    let plan: Plan = serde_json::from_value(serde_json::json!({
        "pipeline": "p", "title": "P", "source": {"from": "built_in"}, "max_parallel": 1,
        "stages": [{
            "id": "a", "title": "A", "source": {"from": "built_in"},
            "body": {"command": {"command": {"shell": "true"}, "retries": 0}},
        }],
    }))
    .unwrap();
    serde_json::from_value(serde_json::json!({
        "run_id": RunId::new(at(i64::from(number)), number), "task_id": "demo", "origin": "start",
        "plan": plan, "grace_ms": 10, "supervision": "auto",
        "repo": {"root": "/r", "worktree": "/r", "branch": null, "commit": null, "dirty": null},
        "config": {"effective": {}, "origins": {}, "hash": ""},
    }))
    .unwrap()
}

/// Moves a run as its runner would: decide, write down, apply.
fn ask(journal: &mut Journal, run: &mut Run, spec: &RunSpec, request: &Request) -> Vec<Recorded> {
    let mut after = run.clone();
    let mut fresh = Vec::new();
    for event in run.decide(request).unwrap() {
        let seq = after.head().next();
        let recorded = Recorded { seq, at: at(5), actor: Actor::User, event };
        after.apply(&recorded);
        fresh.push(recorded);
    }
    let head = run.head();
    journal.append(&spec.run_id, head, &fresh, &after, &[], Durability::Fact).unwrap();
    *run = after;
    fresh
}

fn start() -> Request {
    Request::Run { runner: runner() }
}

fn runner() -> Runner {
    Runner { pid: 1, boot_id: "b".into(), hostname: "h".into() }
}

fn created(journal: &mut Journal, spec: &RunSpec) -> Run {
    let event = Event::queued(&spec.plan);
    let first = Recorded { seq: Seq(1), at: at(0), actor: Actor::User, event };
    let run = Run::replay(Arc::new(spec.plan.clone()), [&first]);
    journal.create(spec, &[first], &run, None, None).unwrap();
    run
}

#[test]
fn a_run_read_back_is_the_run_that_was_written() {
    let scratch = Scratch::new();
    let mut journal = scratch.journal();
    let spec = spec(1);
    let mut run = created(&mut journal, &spec);
    ask(&mut journal, &mut run, &spec, &start());
    ask(&mut journal, &mut run, &spec, &Request::Pause { freeze: false });

    let journal = Journal::open(journal.path(), Mode::Read).unwrap();
    let (read, events) = journal.load(&spec.run_id).unwrap();
    assert_eq!(read, spec);
    assert_eq!(Run::replay(Arc::new(read.plan), &events), run);
    assert_eq!(journal.row(&spec.run_id).unwrap().status, run.status());
}

#[test]
fn a_writer_who_missed_an_event_is_refused_and_writes_nothing() {
    let scratch = Scratch::new();
    let mut journal = scratch.journal();
    let spec = spec(1);
    let mut run = created(&mut journal, &spec);
    let late = run.clone();
    ask(&mut journal, &mut run, &spec, &start());
    let error =
        journal.append(&spec.run_id, late.head(), &[], &late, &[], Durability::Fact).unwrap_err();
    assert!(matches!(error, StoreError::Stale { head, .. } if head == run.head()), "{error}");
}

/// Where hundreds write, those who try for SQLite's lock again and again leave each other no time.
#[test]
fn who_writes_stands_in_line_and_who_looks_does_not() {
    let scratch = Scratch::new();
    let journal = scratch.journal();
    let path = journal.path().to_owned();
    let line = fs::File::create(format!("{}-turn", path.display())).unwrap();
    line.lock().unwrap();
    let (wrote, written) = std::sync::mpsc::channel();
    let writer = std::thread::spawn(move || {
        let mut journal = journal;
        created(&mut journal, &spec(1));
        wrote.send(()).unwrap();
    });
    // Somebody else waits for whoever writes.
    let waits = || {
        let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
        let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm"));
        tasks.filter_map(|task| name(task).ok()).any(|name| name == "turn\n")
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while !waits() {
        assert!(written.try_recv().is_err(), "it did not wait for its turn");
        assert!(Instant::now() < deadline, "nobody stands in line");
        std::thread::yield_now();
    }
    let looks = Journal::open(&path, Mode::Read).unwrap();
    assert!(looks.row(&spec(1).run_id).is_err(), "it is not there before its turn");
    line.unlock().unwrap();
    written.recv().unwrap();
    writer.join().unwrap();
    assert!(looks.row(&spec(1).run_id).is_ok());
}

#[test]
fn a_request_is_answered_once_and_the_answer_stays() {
    let scratch = Scratch::new();
    let mut journal = scratch.journal();
    let spec = spec(1);
    let run = created(&mut journal, &spec);
    let id =
        journal.ask(&spec.run_id, at(1), Actor::User, &Request::Pause { freeze: false }).unwrap();
    let asked = journal.asked(&spec.run_id).unwrap();
    assert_eq!(asked.len(), 1);
    assert_eq!(journal.answer(id).unwrap(), None);
    for outcome in [Err(Refusal::NotStarted), Ok(())] {
        let answers = [(id, outcome)];
        journal.append(&spec.run_id, run.head(), &[], &run, &answers, Durability::Fact).unwrap();
    }
    assert_eq!(journal.answer(id).unwrap(), Some(Err(Refusal::NotStarted)));
    assert!(journal.asked(&spec.run_id).unwrap().is_empty());
    assert!(!journal.withdraw(id).unwrap());
}

#[test]
fn a_run_is_found_by_its_id_its_tail_and_their_beginnings() {
    let scratch = Scratch::new();
    let mut journal = scratch.journal();
    let (one, two) = (spec(0xaaaa_0001), spec(0xaaaa_0002));
    created(&mut journal, &one);
    created(&mut journal, &two);
    let find = |word: &str| journal.find(word).unwrap();
    assert_eq!(find(one.run_id.as_str()), Found::One(one.run_id.clone()));
    assert_eq!(find("aaaa0002"), Found::One(two.run_id.clone()));
    assert!(matches!(find("aaaa"), Found::Many(runs) if runs.len() == 2));
    assert!(matches!(find("20"), Found::Many(_)));
    for none in ["", "%", "zzz", "aaaa00021"] {
        assert_eq!(find(none), Found::None, "{none}");
    }
}

#[test]
fn a_list_is_filtered_sorted_and_bounded() {
    let scratch = Scratch::new();
    let mut journal = scratch.journal();
    for number in 1..=3 {
        created(&mut journal, &spec(number));
    }
    let tails = |filter: Filter| -> Vec<String> {
        let rows = journal.list(&filter).unwrap();
        rows.iter().map(|row| row.run_id.tail().to_owned()).collect()
    };
    assert_eq!(tails(Filter { limit: Some(2), ..Filter::default() }), ["00000003", "00000002"]);
    let other = Filter { task: Some("other".parse().unwrap()), ..Filter::default() };
    assert!(tails(other).is_empty());
    let ended = Filter { statuses: vec![model::RunStatus::Failed], ..Filter::default() };
    assert!(tails(ended).is_empty());
}

#[test]
fn a_forgotten_run_takes_its_events_with_it() {
    let scratch = Scratch::new();
    let mut journal = scratch.journal();
    let spec = spec(1);
    created(&mut journal, &spec);
    journal.forget(std::slice::from_ref(&spec.run_id)).unwrap();
    assert!(matches!(journal.load(&spec.run_id), Err(StoreError::NoSuchRun(_))));
    journal.compact().unwrap();
}

#[test]
fn a_refusal_is_read_as_it_was_written_whatever_it_says() {
    let scratch = Scratch::new();
    let mut journal = scratch.journal();
    let spec = spec(1);
    let run = created(&mut journal, &spec);
    let question = QuestionId::new(7);
    let misfit = model::Misfit::NotAnOption { options: vec!["yes".to_owned()] };
    for refusal in [
        Refusal::AlreadyPaused,
        Refusal::NotOpen(question.clone()),
        Refusal::WaitsForAnswer(question),
        Refusal::TooManyQuestions(1000),
        Refusal::Unfit(misfit),
    ] {
        let id = journal
            .ask(&spec.run_id, at(1), Actor::User, &Request::Pause { freeze: false })
            .unwrap();
        let answers = [(id, Err(refusal.clone()))];
        let fact = Durability::Fact;
        journal.append(&spec.run_id, run.head(), &[], &run, &answers, fact).unwrap();
        assert_eq!(journal.answer(id).unwrap(), Some(Err(refusal)));
    }
}

#[test]
fn the_log_that_a_first_look_reads_stays_short() {
    let scratch = Scratch::new();
    for number in 0..80 {
        // A connection for each run, as each has a process.
        let (mut journal, spec) = (scratch.journal(), spec(number));
        let mut run = created(&mut journal, &spec);
        ask(&mut journal, &mut run, &spec, &start());
        ask(&mut journal, &mut run, &spec, &Request::Pause { freeze: false });
    }
    let log = scratch.journal().path().with_extension("db-wal");
    let length = fs::metadata(log).unwrap().len();
    assert!(0 < length && length < 1 << 20, "{length}");
}

#[test]
fn a_database_of_a_newer_version_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.journal().path().to_owned();
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let error = Journal::open(&path, Mode::Write).unwrap_err().to_string();
    assert!(error.contains("version 99"), "{error}");
}

#[test]
fn a_repository_keeps_its_journal_also_without_its_records() {
    let scratch = Scratch::new();
    let (home, tie) = scratch.home("repo", 1);
    assert_eq!(tie, Tie::New);
    fs::remove_dir_all(scratch.repo("repo").join(".runs")).unwrap();
    assert_eq!(scratch.home("repo", 2), (home.clone(), Tie::Known));
    assert_eq!(Home::find(&scratch.state(), &scratch.repo("repo")).unwrap(), home);
}

#[test]
fn a_moved_repository_takes_its_journal_along() {
    let scratch = Scratch::new();
    let (home, _) = scratch.home("repo", 1);
    fs::rename(scratch.repo("repo"), scratch.repo("new")).unwrap();
    let (moved, tie) = scratch.home("new", 2);
    assert_eq!((moved.journal(), tie), (home.journal(), Tie::Moved(scratch.repo("repo"))));
    // Somebody else may move in at the old place.
    fs::create_dir_all(scratch.repo("repo")).unwrap();
    assert_eq!(scratch.home("repo", 3).1, Tie::New);
    assert_eq!(scratch.home("new", 4).0.journal(), home.journal());
}

#[test]
fn a_copied_repository_gets_a_journal_of_its_own() {
    let scratch = Scratch::new();
    let (home, _) = scratch.home("repo", 1);
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .args([scratch.repo("repo"), scratch.repo("copy")])
        .status();
    assert!(copied.unwrap().success());
    let unknown = Home::find(&scratch.state(), &scratch.repo("copy"));
    assert!(matches!(unknown, Err(HomeError::Unknown(_))), "{unknown:?}");
    let (copy, tie) = scratch.home("copy", 2);
    assert_eq!(tie, Tie::Copied(scratch.repo("repo")));
    assert_ne!(copy.journal(), home.journal());
    // And now the original moves away: each keeps its own.
    fs::rename(scratch.repo("repo"), scratch.repo("new")).unwrap();
    assert_eq!(scratch.home("new", 3).0.journal(), home.journal());
    assert_eq!(scratch.home("copy", 4).0, copy);
    assert_eq!(Home::all(&scratch.state()).unwrap().len(), 2);
}

struct Seen {
    scratch: Scratch,
    journal: Journal,
    views: Views,
    spec: RunSpec,
    run: Run,
}

impl Seen {
    fn new() -> Self {
        let scratch = Scratch::new();
        let mut journal = scratch.journal();
        let spec = spec(1);
        let run = created(&mut journal, &spec);
        let (home, _) = scratch.home("repo", 1);
        let paths = RunPaths::new(&scratch.repo("repo"), &spec.task_id, &spec.run_id);
        let views = Views::new(paths, &home, &spec.run_id).unwrap();
        Self { scratch, journal, views, spec, run }
    }

    fn ask(&mut self, request: &Request) {
        let fresh = ask(&mut self.journal, &mut self.run, &self.spec, request);
        self.views.write_events(&self.spec, &self.journal, &fresh).unwrap();
    }

    fn events_file(&self) -> std::path::PathBuf {
        self.views.paths().absolute("events.jsonl")
    }

    /// The file is whole: one JSON object a line, numbered from 1 without holes.
    fn check(&self) {
        let text = fs::read_to_string(self.events_file()).unwrap();
        assert!(text.ends_with('\n'), "{text}");
        let seqs: Vec<u64> = text
            .lines()
            .map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                line["seq"].as_u64().unwrap()
            })
            .collect();
        let expected: Vec<u64> = (1..=self.run.head().0).collect();
        assert_eq!(seqs, expected);
    }
}

#[test]
fn the_event_file_has_every_event_once() {
    let mut seen = Seen::new();
    seen.ask(&start());
    seen.ask(&Request::Pause { freeze: false });
    seen.check();
    let first = fs::read_to_string(seen.events_file()).unwrap();
    let first: serde_json::Value = serde_json::from_str(first.lines().next().unwrap()).unwrap();
    assert_eq!(first["event"], "run_queued");
    assert_eq!(first["payload"]["pipeline_id"], "p");
    assert_eq!(first["actor"], "user");
}

#[test]
fn a_torn_tail_is_cut_and_what_is_missing_is_added() {
    let mut seen = Seen::new();
    seen.ask(&start());
    let whole = fs::read(seen.events_file()).unwrap();
    for cut in 0..whole.len() {
        fs::write(seen.events_file(), &whole[..cut]).unwrap();
        seen.views.write_events(&seen.spec, &seen.journal, &[]).unwrap();
        assert_eq!(fs::read(seen.events_file()).unwrap(), whole, "cut at {cut}");
    }
}

#[test]
fn a_lost_or_spoilt_event_file_is_written_again() {
    let mut seen = Seen::new();
    seen.ask(&start());
    fs::remove_dir_all(seen.scratch.repo("repo").join(".runs")).unwrap();
    seen.ask(&Request::Pause { freeze: false });
    seen.check();
    fs::write(seen.events_file(), "not ours\n").unwrap();
    seen.ask(&Request::Thaw);
    seen.check();
    assert!(seen.scratch.repo("repo").join(".runs/.gitignore").exists());
}

#[test]
fn an_event_file_that_says_what_the_journal_does_not_is_written_again() {
    let mut seen = Seen::new();
    seen.ask(&start());
    let whole = fs::read_to_string(seen.events_file()).unwrap();
    let head = seen.run.head().0;
    let other = whole.replace("run_started", "run_paused");
    // The file outlived a loss of power and the journal's last event did not.
    let ahead = format!("{whole}{{\"seq\": {}}}\n", head + 1);
    for text in [other, ahead] {
        fs::write(seen.events_file(), text).unwrap();
        seen.views.write_events(&seen.spec, &seen.journal, &[]).unwrap();
        assert_eq!(fs::read_to_string(seen.events_file()).unwrap(), whole);
    }
}

#[test]
fn a_second_writer_goes_on_where_the_first_stopped() {
    let mut seen = Seen::new();
    seen.ask(&start());
    let (home, _) = seen.scratch.home("repo", 1);
    let paths = seen.views.paths().clone();
    let mut other = Views::new(paths, &home, &seen.spec.run_id).unwrap();
    let fresh =
        ask(&mut seen.journal, &mut seen.run, &seen.spec, &Request::Pause { freeze: false });
    other.write_events(&seen.spec, &seen.journal, &fresh).unwrap();
    seen.ask(&Request::Thaw);
    seen.check();
}

#[test]
fn the_manifest_is_replaced_whole_and_can_be_read_back() {
    let mut seen = Seen::new();
    seen.ask(&start());
    let manifest = manifest_of(&seen.spec, &seen.run, seen.views.paths(), Vec::new());
    seen.views.write_manifest(&manifest).unwrap();
    let text = fs::read_to_string(seen.views.paths().manifest()).unwrap();
    assert_eq!(serde_json::from_str::<store::Manifest>(&text).unwrap(), manifest);
    let folder = seen.views.paths().absolute("");
    let names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
}

#[test]
fn records_that_were_deleted_come_back_unseen_by_git_and_tied_to_their_journal() {
    let mut seen = Seen::new();
    seen.ask(&start());
    let runs = seen.scratch.repo("repo").join(".runs");
    fs::remove_dir_all(&runs).unwrap();
    // A log that is put back makes the run's folder before we do.
    fs::create_dir_all(seen.views.paths().absolute("stages")).unwrap();
    seen.ask(&Request::Pause { freeze: false });
    seen.check();
    assert_eq!(fs::read_to_string(runs.join(".gitignore")).unwrap(), "*\n");

    fs::rename(seen.scratch.repo("repo"), seen.scratch.repo("moved")).unwrap();
    assert_eq!(seen.scratch.home("moved", 2).1, Tie::Moved(seen.scratch.repo("repo")));
}

#[test]
fn a_failure_within_a_pipeline_that_may_fail_is_not_counted_against_the_run() {
    let mut spec = spec(1);
    spec.plan = serde_json::from_value(serde_json::json!({
        "pipeline": "p", "title": "P", "source": {"from": "built_in"}, "max_parallel": 1,
        "stages": [{
            "id": "book", "title": "Book", "source": {"from": "built_in"}, "allow_failure": true,
            "body": {"pipeline": "book"},
        }, {
            "id": "book/print", "title": "Print", "source": {"from": "built_in"}, "within": 0,
            "body": {"command": {"command": {"shell": "false"}, "retries": 0}},
        }],
    }))
    .unwrap();
    let (stage, attempt) = (StageIndex(1), Attempt::FIRST);
    let mut run = Run::new(Arc::new(spec.plan.clone()));
    let happen = |run: &mut Run, events: Vec<Event>| {
        for event in events {
            let seq = run.head().next();
            run.apply(&Recorded { seq, at: at(5), actor: Actor::Runner, event });
        }
    };
    let queued =
        Event::RunQueued { pipeline_id: "p".into(), pipeline_title: "P".into(), stages: 2 };
    happen(&mut run, vec![queued]);
    let events = run.decide(&start()).unwrap();
    happen(&mut run, events);
    for report in [
        Report::Launching { stage, attempt },
        Report::Exited { stage, attempt, exit: Exit::Code(1), last_line: None, output: None },
    ] {
        let events = run.note(&report);
        happen(&mut run, events);
    }

    let paths = RunPaths::new(Path::new("/r"), &spec.task_id, &spec.run_id);
    let manifest = manifest_of(&spec, &run, &paths, Vec::new());
    assert_eq!(manifest.status, RunStatus::Succeeded);
    assert_eq!(manifest.summary.unwrap(), "0 of 1 stages succeeded, 1 failed as they may");
}

#[test]
fn a_manifest_of_an_older_program_can_be_shown() {
    let older = r#"{"version":1,"task_id":"t1","run_id":"2026-11-23T07-17-38-459Z-75813469",
        "parent_run_id":null,"pipeline_id":"trio","status":"succeeded","resume_token":"x",
        "commands":[{"index":1,"id":"one","title":"One","command":"true","kind":"command",
        "status":"succeeded","exit_code":0,"error_file":null,"sub_run_id":null}]}"#;
    let manifest: store::Manifest = serde_json::from_str(older).unwrap();
    assert_eq!(manifest.commands[0].id, "one");
}

#[test]
fn events_are_numbered_as_the_journal_numbers_them() {
    let seen = Seen::new();
    let events = seen.journal.events_after(&seen.spec.run_id, Seq(0)).unwrap();
    assert!(matches!(events[0].event, Event::RunQueued { .. }));
    assert!(seen.journal.events_after(&seen.spec.run_id, Seq(1)).unwrap().is_empty());
}

/// A question of that number, as an agent asks it.
fn question(number: u64, until: Option<i64>) -> Box<Question> {
    Box::new(Question {
        question_id: QuestionId::new(number),
        prompt: "Which one?".to_owned(),
        matter: Matter::Question {
            options: Vec::new(),
            default: None,
            fallback: Fallback::Resume,
            auto_pause: false,
            shape: None,
            held: None,
        },
        urgency: Urgency::Normal,
        stage_id: None,
        thread_id: None,
        expires_at: until.map(at),
    })
}

fn answer(number: u64) -> Request {
    let by = By::Person { door: Door::Cli };
    let resolution = Resolution::Answered { answer: "that".to_owned(), by };
    Request::Resolve { question_id: QuestionId::new(number), resolution }
}

fn child_of(parent: &RunSpec, number: u32, key: Option<&str>) -> RunSpec {
    let parent_run_id = Some(parent.run_id.clone());
    RunSpec { parent_run_id, key: key.map(ToOwned::to_owned), ..spec(number) }
}

#[test]
fn a_question_is_found_by_its_name_and_by_who_should_answer_it() {
    let scratch = Scratch::new();
    let mut journal = scratch.journal();
    let parent = spec(1);
    created(&mut journal, &parent);
    let child = child_of(&parent, 2, None);
    let mut run = created(&mut journal, &child);
    ask(&mut journal, &mut run, &child, &start());
    for (number, until) in [(0x77, None), (0x78, Some(50))] {
        let question = question(number, until);
        ask(&mut journal, &mut run, &child, &Request::Ask { question });
    }
    ask(&mut journal, &mut run, &child, &answer(0x77));

    let names = |filter: &QuestionFilter| {
        let rows = journal.questions(filter).unwrap();
        rows.iter().map(|row| row.question.question_id.to_string()).collect::<Vec<_>>()
    };
    let all = QuestionFilter { parent: Some(parent.run_id.clone()), ..Default::default() };
    assert_eq!(names(&all), ["q0000000077", "q0000000078"]);
    assert_eq!(names(&QuestionFilter { open: true, ..all.clone() }), ["q0000000078"]);
    assert_eq!(names(&QuestionFilter { expired: Some(at(49)), ..all.clone() }), [""; 0]);
    assert_eq!(names(&QuestionFilter { expired: Some(at(50)), ..all }), ["q0000000078"]);
    assert_eq!(journal.next_expiry(at(0)).unwrap(), Some(at(50)));
    let FoundQuestion::One(row) = journal.find_question("q0000000077").unwrap() else { panic!() };
    assert_eq!(row.parent_run_id, Some(parent.run_id));
    assert_eq!(row.resolved.unwrap().0.as_str(), "answered");
    assert!(
        matches!(journal.find_question("q00").unwrap(), FoundQuestion::Many(ids) if ids.len() == 2)
    );
    assert_eq!(journal.find_question("q1").unwrap(), FoundQuestion::None);
}

/// A wish of the stage to reach that host.
fn wish(number: u64, host: &str) -> Request {
    let asks = Asks::Network { host: host.parse().unwrap() };
    let standing = Subject::of(&asks, Path::new("/home/you/project"), true);
    let scopes = vec![Scope::Stage, Scope::Repo];
    let mut question = question(number, None);
    question.stage_id = Some("a".parse().unwrap());
    question.matter = Matter::Approval { asks, scopes, standing };
    Request::Ask { question }
}

fn approve(number: u64, scope: Scope) -> Request {
    let by = By::Person { door: Door::Cli };
    let resolution = Resolution::Approved { by, scope };
    Request::Resolve { question_id: QuestionId::new(number), resolution }
}

fn reaching(host: &str) -> Subject {
    Subject::Network { host: host.parse().unwrap() }
}

#[test]
fn what_is_allowed_for_the_repository_stands_until_it_is_taken_back() {
    let scratch = Scratch::new();
    let mut journal = scratch.journal();
    let spec = spec(1);
    let mut run = created(&mut journal, &spec);
    ask(&mut journal, &mut run, &spec, &start());
    let wishes = [(1, "a.example"), (2, "a.example"), (3, "b.example"), (4, "c.example")];
    for request in wishes.map(|(number, host)| wish(number, host)) {
        ask(&mut journal, &mut run, &spec, &request);
    }
    ask(&mut journal, &mut run, &spec, &approve(1, Scope::Repo));
    ask(&mut journal, &mut run, &spec, &approve(2, Scope::Repo));
    ask(&mut journal, &mut run, &spec, &approve(3, Scope::Stage));
    let names = |journal: &Journal| {
        let standing = journal.standing().unwrap();
        standing.iter().map(|one| one.question_id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&journal), ["q0000000001", "q0000000002"]);
    let stands = journal.stands(&reaching("a.example")).unwrap().unwrap();
    assert_eq!((stands.at, stands.run_id), (at(5), spec.run_id.clone()));
    assert_eq!(journal.stands(&reaching("b.example")).unwrap(), None, "that was for a stage");
    assert_eq!(journal.stands(&reaching("c.example")).unwrap(), None, "nobody has said so");

    // It is the person's, and not the run's that had asked.
    journal.forget(std::slice::from_ref(&spec.run_id)).unwrap();
    assert!(journal.stands(&reaching("a.example")).unwrap().is_some());

    let by = By::Person { door: Door::Cli };
    assert!(!journal.revoke(&QuestionId::new(3), &by, at(9)).unwrap());
    assert!(journal.revoke(&QuestionId::new(1), &by, at(9)).unwrap());
    assert_eq!(journal.stands(&reaching("a.example")).unwrap(), None, "by whatever name it stood");
    assert_eq!(names(&journal), [""; 0]);
    assert!(!journal.revoke(&QuestionId::new(1), &by, at(9)).unwrap());
}

#[test]
fn a_journal_of_the_version_before_is_taken_over_with_what_is_in_it() {
    let scratch = Scratch::new();
    let path = scratch.repo("older.db");
    let older = rusqlite::Connection::open(&path).unwrap();
    older.execute_batch(include_str!("journals/2.sql")).unwrap();
    drop(older);
    let looked = Journal::open(&path, Mode::Read).unwrap();
    assert_eq!(looked.standing().unwrap(), [], "nothing is there to be read");
    drop(looked);
    let mut journal = Journal::open(&path, Mode::Write).unwrap();
    let run: RunId = "2026-11-30T15-18-27-696Z-2cb0e93c".parse().unwrap();
    let (before, events) = journal.load(&run).unwrap();
    let status = Run::replay(Arc::new(before.plan), &events).status();
    assert_eq!((events.len(), status), (6, RunStatus::Succeeded));
    let spec = spec(1);
    let mut run = created(&mut journal, &spec);
    ask(&mut journal, &mut run, &spec, &start());
    ask(&mut journal, &mut run, &spec, &wish(1, "a.example"));
    ask(&mut journal, &mut run, &spec, &approve(1, Scope::Repo));
    assert!(journal.stands(&reaching("a.example")).unwrap().is_some());
}

#[test]
fn news_come_in_one_order_and_only_to_those_they_are_for() {
    let scratch = Scratch::new();
    let mut journal = scratch.journal();
    let parent = spec(1);
    let mut above = created(&mut journal, &parent);
    ask(&mut journal, &mut above, &parent, &start());
    let child = child_of(&parent, 2, None);
    let mut run = created(&mut journal, &child);
    ask(&mut journal, &mut run, &child, &start());
    ask(&mut journal, &mut run, &child, &Request::Ask { question: question(1, None) });
    ask(&mut journal, &mut above, &parent, &Request::Ask { question: question(2, None) });
    ask(&mut journal, &mut above, &parent, &answer(2));
    ask(&mut journal, &mut run, &child, &answer(1));
    ask(&mut journal, &mut run, &child, &Request::Cancel { reason: None });

    let told = |of: &Tidings, after| {
        let news = journal.news(of, after, 9).unwrap();
        let words = news.iter().map(|news| (news.id, word(&news.kind)));
        words.collect::<Vec<_>>()
    };
    fn word(kind: &store::NewsKind) -> String {
        serde_json::to_value(kind).unwrap().as_str().unwrap().to_owned()
    }
    let pairs = |expected: &[(i64, &str)]| {
        expected.iter().map(|(id, word)| (*id, (*word).to_owned())).collect::<Vec<_>>()
    };
    // The parent hears what its child asks and comes to, and what becomes of its own question.
    let around = Tidings { around: Some(parent.run_id.clone()), ..Default::default() };
    assert_eq!(told(&around, 0), pairs(&[(1, "question"), (3, "answered"), (5, "ended")]));
    assert_eq!(told(&around, 3), pairs(&[(5, "ended")]));
    // Whoever asked hears of the answer.
    let question = Tidings { questions: vec![QuestionId::new(1)], ..Default::default() };
    assert_eq!(told(&question, 0), pairs(&[(4, "answered")]));
    let child = Tidings { runs: vec![child.run_id], ..Default::default() };
    assert_eq!(told(&child, 1), pairs(&[(4, "answered"), (5, "ended")]));
    assert_eq!(told(&Tidings::default(), 0), []);
}

#[test]
fn one_key_and_one_session_are_one_run() {
    let scratch = Scratch::new();
    let mut journal = scratch.journal();
    let parent = spec(1);
    let first =
        Recorded { seq: Seq(1), at: at(0), actor: Actor::User, event: Event::queued(&parent.plan) };
    let run = Run::replay(Arc::new(parent.plan.clone()), [&first]);
    journal.create(&parent, std::slice::from_ref(&first), &run, None, Some("thread")).unwrap();
    let twin = spec(2);
    let again = journal.create(&twin, std::slice::from_ref(&first), &run, None, Some("thread"));
    assert!(matches!(again, Err(StoreError::SessionTaken { run }) if run == parent.run_id));
    assert_eq!(journal.by_session("thread").unwrap(), Some(parent.run_id.clone()));

    let child = child_of(&parent, 3, Some("build"));
    created(&mut journal, &child);
    assert_eq!(journal.count(RunStatus::Queued).unwrap(), 1, "without the session's");
    let twin = child_of(&parent, 4, Some("build"));
    let again = journal.create(&twin, &[first], &run, None, None);
    assert!(matches!(again, Err(StoreError::KeyTaken { run }) if run == child.run_id));
    assert_eq!(journal.by_key("build").unwrap(), Some(child.run_id));
    assert_eq!(journal.by_key("test").unwrap(), None);
}

#[test]
fn no_more_runs_of_a_parent_are_at_work_than_may_be_and_each_gets_its_turn() {
    let scratch = Scratch::new();
    let mut journal = scratch.journal();
    let parent = spec(1);
    created(&mut journal, &parent);
    let admission =
        Admission { parent: parent.run_id.clone(), children: 4, at_once: 1, household: None };
    let mut begin = |number: u32, begun: bool| {
        let child = child_of(&parent, number, None);
        let mut run = Run::new(Arc::new(child.plan.clone()));
        let mut events = vec![Event::queued(&child.plan)];
        if begun {
            events.extend(run.decide(&start()).unwrap());
        }
        let mut fresh = Vec::new();
        for event in events {
            let seq = run.head().next();
            fresh.push(Recorded { seq, at: at(0), actor: Actor::Runner, event });
            run.apply(&fresh[fresh.len() - 1]);
        }
        let made = journal.create(&child, &fresh, &run, Some(&admission), None);
        (child, run, made)
    };
    let (first, mut at_work, made) = begin(2, true);
    made.unwrap();
    assert!(matches!(begin(3, true).2, Err(StoreError::TooManyAtOnce { limit: 1, .. })));
    let (second, waiting, made) = begin(4, false);
    made.unwrap();
    let (third, later, made) = begin(5, false);
    made.unwrap();
    begin(6, false).2.unwrap();
    assert!(matches!(begin(7, false).2, Err(StoreError::TooMany { limit: 4, .. })));
    assert_eq!(journal.place_in_queue(&third.run_id).unwrap(), 2);

    let take = |journal: &mut Journal, spec: &RunSpec, run: &Run| {
        let mut after = run.clone();
        let event = run.decide(&start()).unwrap().remove(0);
        let recorded = Recorded { seq: run.head().next(), at: at(9), actor: Actor::Runner, event };
        after.apply(&recorded);
        let fact = Durability::Fact;
        let head = run.head();
        let run = &spec.run_id;
        journal.append_admitted(run, head, &[recorded], &after, &[], fact, Some(&admission))
    };
    assert!(take(&mut journal, &second, &waiting).is_err());
    ask(&mut journal, &mut at_work, &first, &Request::Cancel { reason: None });
    // The one that has waited longer goes first.
    assert!(take(&mut journal, &third, &later).is_err());
    take(&mut journal, &second, &waiting).unwrap();
    assert_eq!(journal.place_in_queue(&third.run_id).unwrap(), 1);
}

#[test]
fn what_a_person_wants_to_be_told_waits_in_order_until_each_way_has_told_it() {
    let scratch = Scratch::new();
    let mut journal = scratch.journal();
    // Nobody is to be told of this one.
    let silent = spec(1);
    let mut run = created(&mut journal, &silent);
    ask(&mut journal, &mut run, &silent, &start());
    ask(&mut journal, &mut run, &silent, &Request::Ask { question: question(1, None) });
    assert_eq!(journal.untold().unwrap(), None);
    assert!(!journal.is_anything_untold().unwrap());

    let notify = serde_json::json!({"on": ["question", "ended"], "retries": 3, "timeout_ms": 9});
    let mut spec = spec(2);
    spec.notify = Some(serde_json::from_value(notify).unwrap());
    let mut run = created(&mut journal, &spec);
    ask(&mut journal, &mut run, &spec, &start());
    ask(&mut journal, &mut run, &spec, &Request::Ask { question: question(2, None) });
    // That it is answered is news, and nothing to disturb anybody for.
    ask(&mut journal, &mut run, &spec, &answer(2));
    ask(&mut journal, &mut run, &spec, &Request::Cancel { reason: None });
    assert_eq!(journal.untold().unwrap().unwrap().count, 2);
    assert_eq!(journal.untold().unwrap().unwrap().since, at(5));

    let next = |journal: &Journal, way| {
        let row = journal.next_notice(way).unwrap()?;
        assert_eq!(row.run_id, spec.run_id);
        let (_, events) = journal.load(&row.run_id).unwrap();
        let event = events.iter().find(|recorded| recorded.seq == row.seq).unwrap();
        assert_eq!(model::Notice::of(&event.event), Some(row.notice));
        Some((row.id, row.notice.as_str()))
    };
    let (question, _) = next(&journal, Way::Command).unwrap();
    let failure = || "no answer".to_owned();
    let stuck = Telling::Stuck { failure: failure() };
    journal.note_telling(question, Way::Command, &stuck, at(6)).unwrap();
    assert_eq!(next(&journal, Way::Command), Some((question, "question")));
    journal.note_telling(question, Way::Command, &Telling::Told, at(7)).unwrap();
    let (ended, kind) = next(&journal, Way::Command).unwrap();
    assert!(ended > question && kind == "ended");
    // The other way has a turn of its own, and comes to an end of its own.
    let given_up = Telling::GivenUp { failure: failure() };
    assert_eq!(next(&journal, Way::Webhook), Some((question, "question")));
    journal.note_telling(question, Way::Webhook, &given_up, at(8)).unwrap();
    assert_eq!(next(&journal, Way::Webhook), Some((ended, "ended")));
    journal.note_telling(ended, Way::Webhook, &given_up, at(9)).unwrap();
    assert_eq!(journal.untold().unwrap().unwrap().count, 1);
    journal.note_telling(ended, Way::Command, &Telling::NoWay, at(9)).unwrap();
    assert!(!journal.is_anything_untold().unwrap());

    let [command, webhook] = journal.ways().unwrap().try_into().unwrap();
    assert_eq!((command.told_at, command.failure, command.lost), (Some(at(7)), None, 0));
    assert_eq!((webhook.told_at, webhook.failed_at, webhook.lost), (None, Some(at(9)), 2));
    assert_eq!(webhook.failure, Some(failure()));

    // Whoever has a run forgotten does not want to hear of it any more.
    ask(&mut journal, &mut run, &spec, &Request::Run { runner: runner() });
    ask(&mut journal, &mut run, &spec, &Request::Cancel { reason: None });
    assert!(journal.is_anything_untold().unwrap());
    journal.forget(&[spec.run_id]).unwrap();
    assert!(!journal.is_anything_untold().unwrap());
}
