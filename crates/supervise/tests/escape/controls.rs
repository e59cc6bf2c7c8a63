//! What has to work inside: a cage in which nothing runs only looks tight.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use supervise::{Cage, Exit, Profile, Stdin};

use crate::suite::{story, why_not};
use crate::world::{World, echo_once, say};

/// Each is a shell's script that succeeds, and the programs without which it says nothing.
const CONTROLS: &[(&str, &[&str], &str)] = &[
    ("a file is written", &[], "echo mine > free/made && test \"$(cat free/made)\" = mine"),
    ("a file is replaced", &[], "echo a > free/a && mv free/a free/b && rm free/b"),
    ("a mode is changed", &[], "echo > free/m && chmod 700 free/m && test -x free/m"),
    ("links are made", &[], "echo > free/l && ln free/l free/l2 && ln -s l free/l3 && cat free/l3"),
    ("folders are made and removed", &[], "mkdir -p free/x/y && rmdir free/x/y free/x"),
    ("a program of one's own runs", &[], "printf '#!/bin/sh\\n' > free/p; chmod +x free/p; free/p"),
    ("temporary files", &[], "f=$(mktemp) && echo x > $f && rm $f && echo > /dev/shm/x"),
    ("pipes", &[], "mkfifo free/pipe && (echo x > free/pipe &) && read line < free/pipe"),
    ("devices that lead nowhere", &[], "head -c 4 /dev/urandom > /dev/null && : > /dev/full"),
    ("what is protected can be read", &[], "cat .git/config .runs/manifest.json > /dev/null"),
    ("what is outside can be read", &[], "test \"$(cat ../outside/treasure)\" = 'as it was'"),
    ("processes see each other", &[], "sleep 5 & kill -0 $! && kill $!; test -d /proc/$$"),
    ("git looks", &["git"], "git status --porcelain > free/status && git log --all"),
    (
        "git works on its own",
        &["git"],
        "cd free && rm -rf r && git init -q r && cd r && echo x > x && \
        git add x && git -c user.name=a -c user.email=a@b commit -qm x && git fsck",
    ),
    (
        "python counts",
        &["python3"],
        "python3 -c 'import json, ssl, subprocess as s; \
        assert s.run([\"true\"]).returncode == 0'",
    ),
    (
        "python has many processes",
        &["python3"],
        "python3 -c 'import multiprocessing as m\n\
        if __name__ == \"__main__\":\n with m.Pool(2) as p: assert p.map(abs, [-1, 2]) == [1, 2]'",
    ),
    (
        "python waits for many things",
        &["python3"],
        "python3 -c 'import asyncio\n\
        async def f():\n p = await asyncio.create_subprocess_exec(\"true\"); return await p.wait()\n\
        assert asyncio.run(f()) == 0'",
    ),
    (
        "a terminal of one's own",
        &["python3"],
        "python3 -c 'import pty, os; \
        assert pty.spawn([\"tty\"]) == 0' | grep -q /dev/pts",
    ),
    (
        "a server on its own loopback",
        &["python3"],
        "python3 -c 'import socket, threading as t\n\
        l = socket.create_server((\"127.0.0.1\", 0)); a = l.getsockname()\n\
        t.Thread(target=lambda: l.accept()[0].send(b\"x\")).start()\n\
        assert socket.create_connection(a).recv(1) == b\"x\"'",
    ),
    (
        "a server on a newer loopback",
        &["python3"],
        "python3 -c 'import socket\n\
        socket.create_server((\"::1\", 0), family=socket.AF_INET6)'",
    ),
    (
        "node waits",
        &["node"],
        "node -e 'const {execSync} = require(\"child_process\"); \
        execSync(\"true\"); setTimeout(() => process.exit(0), 1)'",
    ),
    (
        "node serves itself",
        &["node"],
        "node -e 'const h = require(\"http\"); \
        const s = h.createServer((q, r) => r.end(\"x\")).listen(0, \"127.0.0.1\", () => \
        h.get(s.address(), r => r.on(\"data\", d => process.exit(d == \"x\" ? 0 : 1))))'",
    ),
    (
        "a compiler compiles",
        &["cc"],
        "echo 'int main(void){return 0;}' > free/m.c && \
        cc free/m.c -o free/m.out && free/m.out",
    ),
    (
        "cargo builds without a network",
        &["cargo"],
        "cd free && rm -rf c && mkdir -p c/src && \
        cd c && printf '[package]\\nname = \"c\"\\nversion = \"0.1.0\"\\nedition = \"2021\"\\n\\n\
        [workspace]\\n' > Cargo.toml && echo 'fn main() {}' > src/main.rs && \
        CARGO_HOME=$PWD/home cargo build -q --offline && target/debug/c",
    ),
];

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for profile in [Profile::Strict, Profile::Wrap] {
        let named = |what: &str| format!("{what}_{profile:?}").to_lowercase();
        trials.push(story(&named("what_should_work_works"), move || check(profile)));
        trials.push(story(&named("what_is_forwarded_arrives"), move || forwards(profile)));
    }
    trials.push(story("a_sandbox_can_be_built_in_wrap", || {
        let world = World::new(Profile::Wrap);
        if let Some(why) = why_not(&world, &world.cage()) {
            say(&format!("skipped: {why}"));
            return Ok(());
        }
        let script = "unshare --user --map-root-user --mount --pid --fork --net \
            sh -c 'mount -t tmpfs none free && touch free/x'";
        succeeds(&world, world.cage(), "a sandbox", script)
    }));
    trials
}

fn check(profile: Profile) -> Result<(), Failed> {
    let world = World::new(profile);
    if let Some(why) = why_not(&world, &world.cage()) {
        say(&format!("skipped: {why}"));
        return Ok(());
    }
    for (what, programs, script) in CONTROLS {
        match programs.iter().find(|program| !is_there(program)) {
            Some(program) => say(&format!("skipped: {what}: there is no {program}")),
            None => succeeds(&world, world.cage(), what, script)?,
        }
    }
    Ok(())
}

/// Whether a program runs for this user outside.
fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(std::process::Stdio::null());
    command.stderr(std::process::Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

pub(crate) fn succeeds(world: &World, cage: Cage, what: &str, script: &str) -> Result<(), Failed> {
    let argv = ["sh", "-c", script].map(Into::into);
    let (outcome, _) = world.run(cage, &argv);
    match outcome.exit {
        Exit::Code(0) => Ok(()),
        exit => Err(format!("{what}: {exit:?}: {}", outcome.said).into()),
    }
}

/// The proxy, the channel and a forwarded endpoint are reached, each by its own listener.
fn forwards(profile: Profile) -> Result<(), Failed> {
    let world = World::new(profile);
    if let Some(why) = why_not(&world, &world.cage()) {
        say(&format!("skipped: {why}"));
        return Ok(());
    }
    let forwarded = world.scene.forwarded;
    let addresses = [Cage::PROXY, Cage::CHANNEL, forwarded];
    let script = addresses.map(|address| {
        // A shell that speaks to sockets by itself.
        format!(
            "exec 3<>/dev/tcp/{}/{} && echo {} >&3",
            address.ip(),
            address.port(),
            address.port()
        )
    });
    let argv = ["bash", "-c", &script.join("; ")].map(Into::into);
    let (mut tree, output) = world.launch(world.cage(), &argv, Stdin::Null)?;
    let caged = tree.take_caged().expect("a cage");
    let mut ends = vec![caged.proxy.expect("a proxy"), caged.channel.expect("a channel")];
    for (address, end) in caged.forwards {
        assert_eq!(address, forwarded);
        ends.push(end);
    }
    assert_eq!(ends.len(), 3);
    let heard = ends.into_iter().map(echo_once).collect::<Vec<_>>();
    tree.watch(output, |_| {});
    for (address, heard) in addresses.iter().zip(heard) {
        let heard = heard.join().expect("somebody called");
        assert_eq!(String::from_utf8_lossy(&heard), format!("{}\n", address.port()));
    }
    // What is behind the endpoint is the runner's to say: here it is a listener outside.
    let mut outside = std::net::TcpStream::connect(forwarded).expect("it listens");
    outside.write_all(b"x").expect("it is there");
    let listener: &TcpListener = world.forwarded();
    let (mut end, _) = listener.accept().expect("a caller");
    end.read_exact(&mut [0]).expect("a byte");
    Ok(())
}
