//! A listener that stands for one address of this machine.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Instant,
};

use model::caps::Endpoint;

use crate::{
    dial::dial_one,
    relay::{Toll, relay},
    serve::{Common, Limits, Service, Traffic},
};

/// A forwarder. It serves until it is dropped, which cuts what goes through it.
#[derive(Debug)]
pub struct Forward {
    service: Service,
}

impl Forward {
    /// Connects whoever comes to a listener with that address, and with nothing else.
    pub fn start(listener: TcpListener, to: Endpoint, limits: Limits) -> io::Result<Self> {
        let common = Arc::new(Common::new(limits));
        let shared = common.clone();
        let address: SocketAddr = to.address();
        let service = Service::start(
            "forward",
            listener,
            common,
            move |client, stop| {
                let until = Instant::now() + shared.limits.dial;
                // Whoever is refused there sees the same here: a connection that ends.
                let Ok(server) = dial_one(address, until, stop) else { return };
                let toll = Toll {
                    sent: &shared.sent,
                    received: &shared.received,
                    most: shared.limits.bytes,
                    idle: shared.limits.idle,
                };
                let _ = relay(&client, &server, None, &toll, stop);
            },
            |_| {},
            |_| None,
        )?;
        Ok(Self { service })
    }

    /// What went through so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.service.common.traffic()
    }
}
