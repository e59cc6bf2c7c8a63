//! Who calls from inside is known, and who only says so is not.
#![expect(unsafe_code, reason = "an outsider who enters a namespace does it by hand")]

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};

use libtest_mimic::{Failed, Trial};
use supervise::{Cage, Net, Output, Profile, Stdin as Input, Tree, UnixSockets};

use crate::suite::{story, why_not};
use crate::world::{World, say};

const CALLER: &str = "__caller";
const OUTSIDER: &str = "__outsider";

/// Calls and stays on the line until the other end hangs up; from another network if it is told
/// whose.
pub(crate) fn become_outsider_if_asked() {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let (address, whose) = match arguments.as_slice() {
        [word, address] if word == OsStr::new(CALLER) => (address, None),
        [word, address, whose] if word == OsStr::new(OUTSIDER) => (address, Some(whose)),
        _ => return,
    };
    if let Some(whose) = whose {
        let whose = whose.to_string_lossy();
        let open = |kind: &str| std::fs::File::open(format!("/proc/{whose}/ns/{kind}"));
        let (user, network) = (open("user").expect("a process"), open("net").expect("a process"));
        for namespace in [user, network] {
            // SAFETY: no pointers; this process has one thread.
            assert_eq!(unsafe { libc::setns(namespace.as_raw_fd(), 0) }, 0, "it may enter");
        }
    }
    let address = address.to_string_lossy();
    if address.starts_with('/') {
        stay(UnixStream::connect(&*address).expect("somebody listens"));
    } else {
        stay(TcpStream::connect(&*address).expect("somebody listens"));
    }
    std::process::exit(0);
}

fn stay(mut line: impl Read) {
    let _ = line.read_to_end(&mut Vec::new());
}

pub(crate) fn trials() -> Vec<Trial> {
    [Profile::Strict, Profile::Wrap]
        .into_iter()
        .flat_map(|profile| {
            let named = |what: &str| format!("{what}_{profile:?}").to_lowercase();
            [
                story(&named("who_calls_from_inside_is_known"), move || inside(profile)),
                story(&named("who_enters_from_outside_is_known"), move || outside(profile)),
                story(&named("who_calls_on_the_open_network_is_known"), move || open(profile)),
                story(&named("who_calls_by_a_unix_socket_is_known"), move || unix(profile)),
            ]
        })
        .collect()
}

/// A tree that calls there, if there can be one.
fn caller(world: &World, cage: Cage, address: &str) -> Option<(Tree, Output)> {
    if let Some(why) = why_not(world, &cage) {
        say(&format!("skipped: {why}"));
        return None;
    }
    let program = std::env::current_exe().expect("this one").into_os_string();
    let argv = [program, CALLER.into(), address.into()];
    Some(world.launch(cage, &argv, Input::Null).expect("a tree"))
}

fn inside(profile: Profile) -> Result<(), Failed> {
    let world = World::new(profile);
    let address = Cage::CHANNEL.to_string();
    let Some((mut tree, output)) = caller(&world, world.cage(), &address) else { return Ok(()) };
    let channel = tree.take_caged().and_then(|caged| caged.channel).expect("a channel");
    let (line, _) = TcpListener::from(channel).accept()?;
    assert!(world.guard().caller_is_within(&line)?);
    drop(line);
    tree.watch(output, |_| {});
    Ok(())
}

fn outside(profile: Profile) -> Result<(), Failed> {
    let world = World::new(profile);
    let address = Cage::CHANNEL.to_string();
    let Some((mut tree, output)) = caller(&world, world.cage(), &address) else { return Ok(()) };
    let channel = tree.take_caged().and_then(|caged| caged.channel).expect("a channel");
    let channel = TcpListener::from(channel);
    let (mut line, _) = channel.accept()?;
    // Out here nobody listens there.
    assert!(TcpStream::connect(Cage::CHANNEL).is_err());
    // Of the same user and outside of every cage: who may do that may do anything, but is known.
    let leader = tree.record().leader.pid.to_string();
    let mut outsider = Command::new("/proc/self/exe")
        .args([OUTSIDER, &address, &leader])
        .stdin(Stdio::null())
        .spawn()?;
    let (other, _) = channel.accept()?;
    assert!(!world.guard().caller_is_within(&other)?);
    assert!(world.guard().caller_is_within(&line)?);
    drop(other);
    outsider.wait()?;
    line.write_all(b"bye")?;
    drop(line);
    tree.watch(output, |_| {});
    Ok(())
}

fn open(profile: Profile) -> Result<(), Failed> {
    let world = World::new(profile);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let cage = Cage { network: Net::Open, forward: Vec::new(), channel: false, ..world.cage() };
    let Some((mut tree, output)) = caller(&world, cage, &address.to_string()) else {
        return Ok(());
    };
    assert!(tree.take_caged().is_some_and(|caged| caged.channel.is_none()));
    let (line, _) = listener.accept()?;
    assert!(world.guard().caller_is_within(&line)?);
    let stranger = TcpStream::connect(address)?;
    let (other, _) = listener.accept()?;
    assert!(!world.guard().caller_is_within(&other)?);
    drop((line, stranger));
    tree.watch(output, |_| {});
    Ok(())
}

/// The kernel translates who called into the numbers of whoever asks.
fn unix(profile: Profile) -> Result<(), Failed> {
    let world = World::new(profile);
    let path = world.scene.base.join("outside/channel");
    let listener = UnixListener::bind(&path)?;
    let cage = Cage { unix_sockets: UnixSockets::Allow, ..world.cage() };
    let address = path.to_string_lossy();
    let Some((tree, output)) = caller(&world, cage, &address) else { return Ok(()) };
    let (line, _) = listener.accept()?;
    assert!(world.guard().peer_is_within(&line)?);
    let stranger = UnixStream::connect(&path)?;
    let (other, _) = listener.accept()?;
    assert!(!world.guard().peer_is_within(&other)?);
    drop((line, stranger));
    tree.watch(output, |_| {});
    Ok(())
}
