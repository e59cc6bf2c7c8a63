//! Hosts that are not listed and may be asked for.

use std::{io, thread, time::Duration};

use proxy::{Asking, Limits, Policy};

use crate::{
    place::{DEADLINE, Place, echo, policy},
    tunnels::open,
};

/// A place where everything may be asked for, and where that is waited for so long.
fn asking(asked: Duration) -> Place {
    let policy = Policy { asking: Some(Asking::default()), ..policy("") };
    let limits = Limits { asked, ..Limits::default() };
    Place::with(policy, limits, |_| Err(io::ErrorKind::NotFound.into()))
}

/// Asks for a tunnel while somebody makes up their mind; what is answered.
fn asked_while(place: &Place, to: &str, becomes: Policy) -> String {
    thread::scope(|scope| {
        let mut stream = place.connect();
        let answer = scope.spawn(move || open(&mut stream, to));
        place.wait_for(&format!("{to} may it?"));
        place.proxy.rules().replace(becomes);
        answer.join().unwrap()
    })
}

#[test]
fn who_is_let_through_meanwhile_goes_on_where_they_waited() {
    let to = format!("a.example:{}", echo());
    let place = asking(DEADLINE);
    assert_eq!(asked_while(&place, &to, policy(&to)), "HTTP/1.1 200 Connected");
    place.wait_for(&format!("{to} allowed"));
    assert_eq!(place.told().len(), 2, "nothing was denied: {:?}", place.told());
    assert_eq!(open(&mut place.connect(), &to), "HTTP/1.1 200 Connected");
}

#[test]
fn who_is_refused_meanwhile_is_told_at_once() {
    let place = asking(DEADLINE);
    let to = "a.example:443";
    let refused = [to.parse().unwrap()].into_iter().collect();
    let becomes = Policy { asking: Some(Asking { refused, ..Asking::default() }), ..policy("") };
    assert_eq!(asked_while(&place, to, becomes), "HTTP/1.1 403 Not in caps.network.allow");
    place.wait_for("a.example:443 refused");
}

#[test]
fn who_is_answered_too_late_is_told_to_try_again() {
    let place = asking(Duration::from_millis(1));
    let to = "a.example:443";
    let answer = open(&mut place.connect(), to);
    assert_eq!(answer, "HTTP/1.1 403 A person is asked, try again later");
    place.wait_for("a.example:443 asked");
    assert_eq!(place.told()[0], "a.example:443 may it?");
}

#[test]
fn who_waits_does_not_keep_a_proxy_from_its_end() {
    let place = asking(Duration::from_secs(3600));
    let mut stream = place.connect();
    let waits = thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let _ = stream.write_all(b"CONNECT a.example:443 HTTP/1.1\r\n\r\n");
        let _ = stream.read_to_end(&mut vec![]);
    });
    place.wait_for("a.example:443 may it?");
    drop(place);
    waits.join().unwrap();
}
