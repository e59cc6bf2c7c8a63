//! What is told of connections: each kind at once when it is new, and then not more often than is read.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use model::caps::Host;

use crate::judge::Denied;

/// What became of connections of one kind. What was asked for beyond host and port is nobody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Where to; none where that could not be told, or is one of too many.
    pub to: Option<(Host, u16)>,
    /// What was said to it.
    pub said: Said,
    /// How many there were since the last event of the kind.
    pub count: u64,
}

/// What was said to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Said {
    /// It was let through.
    Allowed,
    /// It waits, and somebody is to be asked whether it may be let through.
    Asked,
    /// It was not.
    Denied(Denied),
    /// It would have been, and could not be made.
    Failed,
}

type Kind = (Option<(Host, u16)>, Said);

/// Where events go. It must not block for long: connections wait for it.
pub(crate) type Sink = Box<dyn Fn(Event) + Send + Sync>;

/// How often one kind is told.
const PERIOD: Duration = Duration::from_secs(5);

/// Kinds that are kept apart. Whoever tries more hosts than that is told of in one sum.
const MOST_KINDS: usize = 512;

pub(crate) struct News {
    sink: Sink,
    kinds: Mutex<HashMap<Kind, Count>>,
}

struct Count {
    told: Instant,
    untold: u64,
}

impl News {
    pub(crate) fn new(sink: Sink) -> Self {
        Self { sink, kinds: Mutex::default() }
    }

    /// Counts one connection, and tells of it if its kind was not told of lately.
    pub(crate) fn count(&self, to: Option<(&Host, u16)>, said: Said) {
        let now = Instant::now();
        let mut kind = (to.map(|(host, port)| (host.clone(), port)), said);
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if kinds.len() >= MOST_KINDS && !kinds.contains_key(&kind) {
            kind.0 = None;
        }
        let tell = match kinds.get_mut(&kind) {
            Some(count) => {
                count.untold += 1;
                now.duration_since(count.told) >= PERIOD
            }
            None => {
                kinds.insert(kind.clone(), Count { told: now, untold: 1 });
                true
            }
        };
        let count = match kinds.get_mut(&kind).filter(|_| tell) {
            Some(count) => {
                count.told = now;
                std::mem::take(&mut count.untold)
            }
            None => return,
        };
        drop(kinds);
        (self.sink)(Event { to: kind.0, said: kind.1, count });
    }

    /// Tells what is overdue, or all of it at the end; when there is more to tell, if there is.
    pub(crate) fn tell(&self, all: bool) -> Option<Instant> {
        let now = Instant::now();
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = vec![];
        let mut next: Option<Instant> = None;
        kinds.retain(|kind, count| {
            let at = count.told + PERIOD;
            if count.untold == 0 {
                return at > now;
            }
            if all || at <= now {
                let count_now = std::mem::take(&mut count.untold);
                count.told = now;
                due.push(Event { to: kind.0.clone(), said: kind.1, count: count_now });
            } else {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
            true
        });
        drop(kinds);
        due.into_iter().for_each(|event| (self.sink)(event));
        next
    }
}

impl std::fmt::Debug for News {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("News").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn the_first_of_a_kind_is_told_at_once_and_the_others_together() {
        let (sender, events) = mpsc::channel();
        let news = News::new(Box::new(move |event| sender.send(event).unwrap()));
        let host = "a.example".parse().unwrap();
        for _ in 0..10 {
            news.count(Some((&host, 443)), Said::Denied(Denied::Unlisted));
        }
        news.count(Some((&host, 443)), Said::Allowed);
        let counts = || events.try_iter().map(|event| event.count).collect::<Vec<_>>();
        assert_eq!(counts(), [1, 1]);
        assert!(news.tell(false).is_some());
        assert_eq!(counts(), [0_u64; 0]);
        assert_eq!(news.tell(true), None);
        assert_eq!(counts(), [9]);
    }

    #[test]
    fn a_thousand_hosts_do_not_fill_the_memory() {
        let (sender, events) = mpsc::channel();
        let news = News::new(Box::new(move |event| sender.send(event).unwrap()));
        for number in 0..2000 {
            let host = format!("a{number}.example").parse().unwrap();
            news.count(Some((&host, 443)), Said::Denied(Denied::Unlisted));
        }
        news.tell(true);
        let events: Vec<Event> = events.try_iter().collect();
        assert_eq!(events.iter().map(|event| event.count).sum::<u64>(), 2000);
        assert!(events.len() <= MOST_KINDS + 2, "{}", events.len());
    }
}
