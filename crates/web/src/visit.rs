//! One connection, from its first moment to its last.

use std::{pin::pin, sync::Arc};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    task::spawn_blocking,
    time::{sleep, timeout},
};

use crate::{
    desk::{Code, Fault},
    limits::LONGEST_HEAD,
    page::House,
    routes,
};

/// Hears whoever has connected, if they may be heard. Until that is known the connection has a place
/// among those that are undecided, and nothing of it is read.
pub(crate) async fn receive(house: Arc<House>, stream: TcpStream, undecided: OwnedSemaphorePermit) {
    let fault = match admits(&house, &stream).await {
        Ok(()) => match house.connections.clone().try_acquire_owned() {
            Ok(place) => {
                drop(undecided);
                converse(&house, stream, routes::inside(house.clone())).await;
                return drop(place);
            }
            Err(_) => Fault::new(Code::Busy, "too many are connected at one time")
                .next("close other tabs with this page, or try again"),
        },
        Err(why) => Fault::new(Code::Refused, &why),
    };
    // Where there is no place even for that, they are not told.
    let Ok(_place) = house.turned_away.clone().try_acquire_owned() else { return };
    drop(undecided);
    converse(&house, stream, routes::outside(fault)).await;
}

async fn admits(house: &House, stream: &TcpStream) -> Result<(), String> {
    let unknown = || Err("it could not be found out who you are".to_owned());
    let (Ok(peer), Ok(own)) = (stream.peer_addr(), stream.local_addr()) else { return unknown() };
    let desk = house.desk.clone();
    let admitted = spawn_blocking(move || desk.admits(peer, own)).await;
    admitted.unwrap_or_else(|_| unknown())
}

async fn converse(house: &House, stream: TcpStream, routes: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(house.limits.head)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    let mut connection = pin!(connection);
    // How a connection ends is its client's business: there is nobody to be told.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = house.ended() => {}
        () = sleep(house.limits.age) => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                _ = timeout(house.limits.last_answer, connection.as_mut()) => return,
                () = house.ended() => {}
            }
        }
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(house.limits.parting, connection).await;
}
