//! The page: opened, served, ended.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use tokio::{
    runtime::Builder,
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{Desk, limits::Limits, secrets::Secrets, visit};

/// A page that is open on this machine, and on no other.
pub struct Page {
    listener: TcpListener,
    handle: PageHandle,
}

/// Gives out links to a page and ends it, from any thread.
#[derive(Clone)]
pub struct PageHandle {
    address: SocketAddr,
    house: Arc<House>,
}

/// What all connections have in common.
pub(crate) struct House {
    pub(crate) desk: Arc<dyn Desk>,
    pub(crate) secrets: Secrets,
    pub(crate) limits: Limits,
    pub(crate) connections: Arc<Semaphore>,
    pub(crate) undecided: Arc<Semaphore>,
    pub(crate) turned_away: Arc<Semaphore>,
    pub(crate) calls: Arc<Semaphore>,
    has_ended: watch::Sender<bool>,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Somebody else has the port.
    #[error("port {0} is in use; name another one, or none to have any that is free")]
    InUse(u16),
    /// The system does not let us have it.
    #[error("port {0} could not be opened; name another one, or none to have any that is free")]
    NotOpened(u16, #[source] io::Error),
}

impl Page {
    /// Opens a page on a port of this machine, or on any that is free if `port` is 0. Who connects is
    /// heard once it is served.
    pub fn open(port: u16, desk: Arc<dyn Desk>) -> Result<Page, OpenError> {
        Page::open_within(Limits::default(), port, desk)
    }

    pub(crate) fn open_within(
        limits: Limits,
        port: u16,
        desk: Arc<dyn Desk>,
    ) -> Result<Page, OpenError> {
        let open = || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
            listener.set_nonblocking(true)?;
            io::Result::Ok((listener.local_addr()?, listener))
        };
        let (address, listener) = open().map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => OpenError::InUse(port),
            _ => OpenError::NotOpened(port, error),
        })?;
        let house = House {
            desk,
            secrets: Secrets::default(),
            connections: Arc::new(Semaphore::new(limits.connections)),
            undecided: Arc::new(Semaphore::new(limits.undecided)),
            turned_away: Arc::new(Semaphore::new(limits.turned_away)),
            calls: Arc::new(Semaphore::new(limits.calls)),
            limits,
            has_ended: watch::Sender::new(false),
        };
        Ok(Page { listener, handle: PageHandle { address, house: Arc::new(house) } })
    }

    /// What gives out its links and ends it.
    pub fn handle(&self) -> PageHandle {
        self.handle.clone()
    }

    /// Serves it until it is ended, and returns a moment after that. A call that does not heed its
    /// leave is left to itself then.
    pub fn serve(self) -> io::Result<()> {
        let house = self.handle.house;
        // One thread for each call there may be, and some more, so that calls that wait keep nobody
        // from being admitted.
        let threads = house.limits.calls + 4;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(threads)
            .thread_name("page")
            .build()?;
        let parting = house.limits.parting;
        let outcome = runtime.block_on(house.receive(self.listener));
        runtime.shutdown_timeout(parting);
        outcome
    }
}

impl PageHandle {
    /// Where the page is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A link that lets one browser in, once. The link before it no longer does.
    pub fn new_link(&self) -> io::Result<String> {
        Ok(format!("http://{}/#k={}", self.address, self.house.secrets.new_key()?))
    }

    /// Has the page end. Calls that wait are told.
    pub fn end(&self) {
        self.house.has_ended.send_replace(true);
    }
}

impl House {
    /// Waits for the end.
    pub(crate) async fn ended(&self) {
        // It fails when nobody can send any more, which is not so while we are here to wait.
        let _ = self.has_ended.subscribe().wait_for(|has_ended| *has_ended).await;
    }

    async fn receive(self: Arc<House>, listener: TcpListener) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let mut visits = JoinSet::new();
        loop {
            tokio::select! {
                () = self.ended() => break,
                Some(_) = visits.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => if let Ok(place) = self.undecided.clone().try_acquire_owned() {
                        visits.spawn(visit::receive(self.clone(), stream, place));
                    },
                    // Descriptors may be short for a moment; whoever connects waits for it meanwhile.
                    Err(_) => sleep(Duration::from_millis(20)).await,
                },
            }
        }
        drop(listener);
        // Each of them parts by itself. One that is still being judged does not, and is dropped.
        let all = async { while visits.join_next().await.is_some() {} };
        let _ = timeout(self.limits.parting * 2, all).await;
        Ok(())
    }
}
