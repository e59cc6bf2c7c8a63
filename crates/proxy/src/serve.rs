//! A listener with a thread for each connection, as many as there may be.

use std::{
    io,
    net::{IpAddr, TcpListener, TcpStream, ToSocketAddrs as _},
    os::fd::AsFd as _,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags};

use crate::{
    client,
    judge::Rules,
    news::{Event, News},
    wire::{Stop, Stopper, Woken, stopping},
};

/// How much there may be of anything.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at one time; one more is turned away.
    pub connections: usize,
    /// How long a connection may say nothing.
    pub idle: Duration,
    /// How long a client may take to say what it wants.
    pub head: Duration,
    /// How long a server may take to be found and to answer.
    pub dial: Duration,
    /// How long a client waits while somebody is asked; afterwards it has to try again.
    pub asked: Duration,
    /// Bytes in all, both ways together.
    pub bytes: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            idle: Duration::from_secs(300),
            head: Duration::from_secs(20),
            dial: Duration::from_secs(20),
            asked: Duration::from_secs(5),
            bytes: None,
        }
    }
}

/// What went through so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes that were sent out.
    pub sent: u64,
    /// Bytes that came back.
    pub received: u64,
}

/// Finds the addresses of a name.
pub type Resolve = Box<dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync>;

/// What all connections of one listener have in common.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) limits: Limits,
    pub(crate) sent: AtomicU64,
    pub(crate) received: AtomicU64,
    open: Mutex<usize>,
    fewer: Condvar,
}

impl Common {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            open: Mutex::new(0),
            fewer: Condvar::new(),
        }
    }

    pub(crate) fn traffic(&self) -> Traffic {
        Traffic {
            sent: self.sent.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
        }
    }

    /// A place among the connections, if there is one left.
    fn enter(self: &Arc<Self>) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if *open >= self.limits.connections {
            return None;
        }
        *open += 1;
        Some(Place(self.clone()))
    }

    /// Waits until every connection has let go, but not longer than that: who looks up a name cannot be
    /// woken, and has nothing that anybody would miss.
    fn wait(&self, most: Duration) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.fewer.wait_timeout_while(open, most, |open| *open > 0));
    }
}

/// One of the places for connections.
struct Place(Arc<Common>);

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.open.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.fewer.notify_all();
    }
}

/// Enough for the name look-up of the C library; everything large is elsewhere.
const STACK: usize = 256 * 1024;

/// How long those who are stopped are waited for.
const FAREWELL: Duration = Duration::from_secs(2);

/// A listener that is served until this is dropped.
#[derive(Debug)]
pub(crate) struct Service {
    stopper: Option<Stopper>,
    thread: Option<JoinHandle<()>>,
    pub(crate) common: Arc<Common>,
}

impl Service {
    /// Begins to serve. `each` has a connection until it returns; `turned_away` has one for which
    /// there is no place, and must not wait; `idle` is called now and then, and says when next.
    pub(crate) fn start(
        name: &str,
        listener: TcpListener,
        common: Arc<Common>,
        each: impl Fn(TcpStream, &Stop) + Send + Sync + 'static,
        turned_away: impl Fn(&TcpStream) + Send + 'static,
        idle: impl Fn(bool) -> Option<Instant> + Send + 'static,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let (stopper, stop) = stopping()?;
        let each = Arc::new(each);
        let (shared, name) = (common.clone(), name.to_owned());
        let listening = thread::Builder::new().name(name.clone()).stack_size(STACK);
        let thread = listening.spawn(move || {
            loop {
                let mut fds = vec![PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN)];
                match stop.wait(&mut fds, idle(false)) {
                    Ok(Woken::Ready) => {}
                    Ok(Woken::Late) => continue,
                    Ok(Woken::Stopped) | Err(_) => break,
                }
                let Ok((stream, _)) = listener.accept() else {
                    // Without a descriptor left it would spin: who is there is waited for.
                    shared.wait_for_fewer();
                    continue;
                };
                if stream.set_nonblocking(true).is_err() {
                    continue;
                }
                let _ = stream.set_nodelay(true);
                let Some(place) = shared.enter() else {
                    turned_away(&stream);
                    continue;
                };
                let (each, stop) = (each.clone(), stop.clone());
                let one = thread::Builder::new().name(name.clone()).stack_size(STACK);
                // Where there is no thread to be had, the connection ends here.
                let _ = one.spawn(move || {
                    each(stream, &stop);
                    drop(place);
                });
            }
            drop(listener);
            shared.wait(FAREWELL);
            idle(true);
        })?;
        Ok(Self { stopper: Some(stopper), thread: Some(thread), common })
    }
}

impl Common {
    fn wait_for_fewer(&self) {
        const MOMENT: Duration = Duration::from_millis(50);
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.fewer.wait_timeout(open, MOMENT));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stopper = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A proxy. It serves until it is dropped, which cuts what goes through it.
#[derive(Debug)]
pub struct Proxy {
    service: Service,
    rules: Rules,
}

/// What each connection to a proxy is served with.
pub(crate) struct Desk {
    pub(crate) rules: Rules,
    pub(crate) resolve: Resolve,
    pub(crate) news: News,
    pub(crate) common: Arc<Common>,
}

impl Proxy {
    /// Serves a listener by these rules. `sink` is told what becomes of connections; it is called by
    /// their threads and must not block for long.
    pub fn start(
        listener: TcpListener,
        rules: Rules,
        limits: Limits,
        sink: impl Fn(Event) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let system = |name: &str| {
            // With the dot it is this name, and not one that begins with it and ends as this machine's do.
            let found = (format!("{name}."), 0).to_socket_addrs()?;
            Ok(found.map(|address| address.ip()).collect())
        };
        Self::start_with(listener, rules, limits, sink, Box::new(system))
    }

    /// The same where names are found in another way than the system's.
    pub fn start_with(
        listener: TcpListener,
        rules: Rules,
        limits: Limits,
        sink: impl Fn(Event) + Send + Sync + 'static,
        resolve: Resolve,
    ) -> io::Result<Self> {
        let common = Arc::new(Common::new(limits));
        let news = News::new(Box::new(sink));
        let desk = Desk { rules: rules.clone(), resolve, news, common: common.clone() };
        let desk = Arc::new(desk);
        let idle = desk.clone();
        let service = Service::start(
            "proxy",
            listener,
            common,
            move |stream, stop| client::serve(&stream, &desk, stop),
            client::turn_away,
            move |all| idle.news.tell(all),
        )?;
        Ok(Self { service, rules })
    }

    /// The rules, to be replaced.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What went through so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.service.common.traffic()
    }
}
