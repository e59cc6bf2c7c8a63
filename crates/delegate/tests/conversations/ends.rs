//! A server ends with its client, whatever it is doing.

use std::{
    fs::File,
    io::Write,
    os::{fd::AsFd, unix::net::UnixStream},
    process::{Command, Stdio},
    sync::mpsc,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::{
    demo::{DEADLINE, Demo},
    talk::{Talk, call, initialize, ping, read_answers},
};

/// Serves on a thread; what comes is told when it is over.
fn serve(
    demo: Demo,
    input: impl AsFd + Send + 'static,
    output: impl AsFd + Send + 'static,
) -> mpsc::Receiver<()> {
    let (over, told) = mpsc::channel();
    std::thread::spawn(move || {
        delegate::serve(demo, input, output).unwrap();
        over.send(()).unwrap();
    });
    told
}

#[test]
fn a_client_that_says_no_more_ends_all_waits_and_hears_their_answers() {
    for mut talk in [Talk::on_pipes(), Talk::on_a_socket()] {
        talk.shake_hands();
        for id in 0..5 {
            talk.send(&call(id, "wait", json!({})));
        }
        talk.demo.until(|facts| facts.open == 5);
        let demo = talk.demo.clone();
        assert_eq!(talk.end().len(), 5);
        demo.until(|facts| facts.open == 0 && facts.stopped == 5);
    }
}

#[test]
fn what_was_asked_before_the_end_is_answered() {
    let mut talk = Talk::on_pipes();
    let (hello, echo, bye) = (initialize("2025-06-18"), call(1, "echo", json!({})), ping(2));
    talk.say(format!("{hello}\n{echo}\n{bye}\n"));
    assert_eq!(talk.end().len(), 3);
}

#[test]
fn a_call_that_does_not_stop_holds_nobody_up() {
    let mut talk = Talk::initialized();
    talk.send(&call(1, "deaf", json!({})));
    talk.demo.until(|facts| facts.open == 1);
    let demo = talk.demo.clone();
    assert_eq!(talk.end(), []);
    // It has ended, and the call is still there.
    demo.until(|facts| facts.open == 1);
    demo.change(|facts| facts.released = true);
    demo.until(|facts| facts.open == 0);
}

#[test]
fn a_server_whose_answers_nobody_can_read_ends() {
    let demo = Demo::default();
    let (input, mut say) = std::io::pipe().unwrap();
    let (read, output) = std::io::pipe().unwrap();
    let over = serve(demo.clone(), input, output);
    say.write_all(
        format!("{}\n{}\n", initialize("2025-06-18"), call(1, "wait", json!({}))).as_bytes(),
    )
    .unwrap();
    demo.until(|facts| facts.open == 1);
    drop(read);
    over.recv_timeout(DEADLINE).expect("it ends without another word");
    demo.until(|facts| facts.open == 0);
}

#[test]
fn on_a_socket_it_ends_with_the_next_answer() {
    let (input, mut say) = std::io::pipe().unwrap();
    let (ours, output) = UnixStream::pair().unwrap();
    let over = serve(Demo::default(), input, output);
    drop(ours);
    say.write_all(format!("{}\n", ping(1)).as_bytes()).unwrap();
    over.recv_timeout(DEADLINE).expect("it ends");
}

#[test]
fn a_client_that_reads_nothing_and_leaves_is_no_trouble() {
    let (input, mut say) = std::io::pipe().unwrap();
    let (read, output) = std::io::pipe().unwrap();
    let over = serve(Demo::default(), input, output);
    // More answers than a pipe holds.
    say.write_all("x\n".repeat(20_000).as_bytes()).unwrap();
    drop(say);
    over.recv_timeout(DEADLINE).expect("it ends");
    drop(read);
}

#[test]
fn a_client_that_reads_nothing_for_ever_is_given_up() {
    let (input, mut say) = std::io::pipe().unwrap();
    let (read, output) = std::io::pipe().unwrap();
    let over = serve(Demo::default(), input, output);
    let refused = json!({"id": "x".repeat(1 << 20), "method": "ping"}).to_string();
    while writeln!(say, "{refused}").is_ok() {}
    over.recv_timeout(DEADLINE).expect("it ends");
    drop(read);
}

#[test]
fn a_socket_is_given_back_as_it_was_found() {
    let mut talk = Talk::on_a_socket();
    talk.shake_hands();
    assert_eq!(talk.end(), []);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let shared = theirs.try_clone().unwrap();
    let over = serve(Demo::default(), theirs.try_clone().unwrap(), theirs);
    drop(ours);
    over.recv_timeout(DEADLINE).expect("it ends");
    let flags = rustix::fs::fcntl_getfl(&shared).unwrap();
    assert!(!flags.contains(rustix::fs::OFlags::NONBLOCK));
}

#[test]
fn files_serve_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("said");
    std::fs::write(&path, format!("{}\n{}\n", initialize("2025-06-18"), ping(1))).unwrap();
    let answers = folder.path().join("answers");
    let over = serve(Demo::default(), File::open(path).unwrap(), File::create(&answers).unwrap());
    over.recv_timeout(DEADLINE).expect("it ends");
    assert_eq!(std::fs::read_to_string(answers).unwrap().lines().count(), 2);
    let nothing = || File::options().read(true).write(true).open("/dev/null").unwrap();
    serve(Demo::default(), nothing(), nothing()).recv_timeout(DEADLINE).expect("it ends");
}

/// The server of the test below. What a test says goes to its standard output, so this one's
/// answers go to its standard error.
#[test]
#[ignore = "is started by another test"]
fn a_process() {
    delegate::serve(Demo::default(), std::io::stdin(), std::io::stderr()).unwrap();
}

#[test]
fn a_signal_to_end_ends_it_while_calls_wait() {
    let mut server = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ends::a_process", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let answers = read_answers(Box::new(server.stderr.take().unwrap()));
    let mut input = server.stdin.take().unwrap();
    let hello = initialize("2025-06-18");
    input
        .write_all(format!("{hello}\n{}\n{}\n", call(1, "wait", json!({})), ping(2)).as_bytes())
        .unwrap();
    for expected in ["\"hello\" ok", "2 ok"] {
        assert_eq!(answers.recv_timeout(DEADLINE).unwrap().brief(), expected);
    }
    kill_process(Pid::from_child(&server), Signal::TERM).unwrap();
    // What the call says when it is stopped may come or not; then nothing more does.
    while let Ok(answer) = answers.recv_timeout(DEADLINE) {
        assert_eq!(answer.brief(), "1 ok");
    }
    // It was not killed: it ended by itself.
    assert!(server.wait().unwrap().success());
    drop(input);
}
