//! Who may speak with the page. Its key and its token say that somebody saw the terminal; this says what
//! kind of process it is, so that an agent which got at either is no person all the same.

use std::{io, net::SocketAddr};

use supervise::{Caller, Holder};

use crate::caller;

/// Whether whoever connected from `peer` may, and why not.
pub(super) fn admits(peer: SocketAddr, own: SocketAddr) -> Result<(), String> {
    match supervise::loopback_caller(peer, own, &[caller::THREAD_VARIABLE]) {
        Ok(Some(caller)) => judge(&caller),
        Ok(None) => Err("whoever connected is gone again".to_owned()),
        // Where no kernel tells, the key has to do.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        Err(error) => Err(format!("who connected could not be found out: {error}")),
    }
}

fn judge(caller: &Caller) -> Result<(), String> {
    if !caller.is_ours {
        return Err(format!("this page is another user's (yours has the number {})", caller.user));
    }
    // One that nobody may look into, as what carries a connection from another machine often is, has
    // the key or has not.
    caller.holders.iter().try_for_each(|holder| match of_an_agent(holder) {
        Some(whose) => {
            let Holder { name, pid, .. } = holder;
            Err(format!("`{name}` (process {pid}) is {whose}, and this page is for a person"))
        }
        None => Ok(()),
    })
}

/// Whose process it is, if it is an agent's.
fn of_an_agent(holder: &Holder) -> Option<&'static str> {
    let codex = caller::is_codex(&holder.name)
        || holder.above.iter().any(|name| caller::is_codex(name))
        || !holder.variables.is_empty();
    match (holder.tree, codex) {
        (Some(_), _) => Some("a run's"),
        (None, true) => Some("a Codex session's, which started it"),
        (None, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut Caller), expected: &str) {
        let holder = Holder {
            pid: 7,
            name: "firefox".to_owned(),
            above: vec!["gnome-shell".to_owned(), "systemd".to_owned()],
            tree: None,
            variables: Vec::new(),
        };
        let mut caller = Caller { user: 1000, is_ours: true, holders: vec![holder] };
        change(&mut caller);
        assert_eq!(judge(&caller).err().unwrap_or_default(), expected);
    }

    #[test]
    fn a_browser_of_the_users_may_come_in() {
        check(|_| {}, "");
        check(|caller| caller.holders.clear(), "");
    }

    #[test]
    fn nobody_elses_and_no_agents_may() {
        check(
            |caller| caller.is_ours = false,
            "this page is another user's (yours has the number 1000)",
        );
        let of_session = "`firefox` (process 7) is a Codex session's, which started it, and this page \
                          is for a person";
        check(|caller| caller.holders[0].above.insert(0, "codex".to_owned()), of_session);
        check(|caller| caller.holders[0].variables.push("CODEX_THREAD_ID".to_owned()), of_session);
        check(
            |caller| caller.holders[0].tree = Some(4),
            "`firefox` (process 7) is a run's, and this page is for a person",
        );
    }
}
