//! The listener: who may connect, how long they may take, and how it stops.
//!
//! HTTP/1.1 only: there is no protocol to detect, so a silent client is timed from its first moment.

mod reader;
#[cfg(test)]
mod tests;

use std::{
    convert::Infallible,
    future::Future,
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, header},
    response::Response,
};
use axum_server::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, PollSemaphore, WaitForCancellationFutureOwned};
use tower::Service;

use self::reader::Impatient;
use super::Config;
use crate::error::{Error, Result};

/// Bytes of head that are taken for sure; hyper reads up to twice as many. Its own limit, for all connections, is 100 MiB.
const LARGEST_HEAD: usize = 32 << 10;

/// A bound address that nothing is answered on yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    config: Config,
}

/// Takes the address: loopback only, as long as callers are not told apart. Port 0 takes any that is free.
pub fn bind(address: SocketAddr, config: &Config) -> Result<Server> {
    config.check()?;
    // INVARIANT: nothing_but_loopback_is_listened_on
    if !address.ip().is_loopback() {
        return Err(Error::invalid(
            "this server tells no callers apart and listens on loopback only, such as 127.0.0.1",
        ));
    }
    let bound = TcpListener::bind(address).and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, listener) = bound.map_err(|e| {
        let port = address.port();
        let sentence = match e.kind() {
            ErrorKind::AddrInUse => format!("port {port} is taken by another process; choose a free one with --port"),
            ErrorKind::PermissionDenied => {
                format!("port {port} needs rights this process lacks; choose one above 1023 with --port")
            }
            _ => format!("{address} cannot be listened on; choose another with --port"),
        };
        Error::invalid(sentence).because(e)
    })?;
    Ok(Server { listener, address, config: config.clone() })
}

impl Server {
    /// Where it listens, with the port taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is ready, then accepts nothing more and lets requests in flight finish within the drain time.
    pub async fn serve(self, router: Router, shutdown: impl Future<Output = ()>) -> Result<()> {
        let broken = |e: std::io::Error| Error::fault("the listener failed").because(e);
        let handle = Handle::new();
        let server = axum_server::from_tcp(self.listener).map_err(broken)?.http1_only().handle(handle.clone());
        let mut server = server.acceptor(Impatient(self.config.write_timeout()));
        // `half_close` stays off: the end of what a client sends is how its leaving is seen, and a call nobody waits for ends.
        let mut protocol = server.http_builder().http1();
        protocol.header_read_timeout(self.config.header_timeout()).max_buf_size(LARGEST_HEAD);
        let closing = CancellationToken::new();
        let serving = server.serve(Door::new(router, self.config.max_connections, closing.clone()));
        tokio::pin!(serving);
        tokio::select! {
            ended = &mut serving => return ended.map_err(broken),
            () = shutdown => {
                handle.graceful_shutdown(Some(self.config.drain()));
                closing.cancel();
            }
        }
        serving.await.map_err(broken)
    }
}

/// Lets in so many connections at once. Further ones stay in the kernel's queue, not in our memory.
struct Door {
    router: Router,
    places: PollSemaphore,
    place: Option<OwnedSemaphorePermit>,
    /// Somebody stands at the door and there is no place.
    waiting: Arc<AtomicBool>,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Door {
    fn new(router: Router, places: usize, closing: CancellationToken) -> Door {
        Door {
            router,
            places: PollSemaphore::new(Arc::new(Semaphore::new(places))),
            place: None,
            waiting: Arc::default(),
            closing: Box::pin(closing.cancelled_owned()),
        }
    }
}

impl Service<SocketAddr> for Door {
    type Response = Connection;
    type Error = Infallible;
    type Future = std::future::Ready<std::result::Result<Connection, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
        // INVARIANT: a_full_house_does_not_keep_the_process
        // Who comes in now is shown out again. To wait for a place would keep the listener open and the drain from starting.
        if self.place.is_none() {
            let place = self.places.poll_acquire(cx);
            self.waiting.store(place.is_pending(), Ordering::Relaxed);
            match place {
                Poll::Ready(place) => self.place = place,
                Poll::Pending => ready!(self.closing.as_mut().poll(cx)),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: SocketAddr) -> Self::Future {
        let (router, waiting) = (self.router.clone(), self.waiting.clone());
        std::future::ready(Ok(Connection { router, waiting, _place: self.place.take().map(Arc::new) }))
    }
}

/// The routes for one connection, and its place, which is free again when the connection ends.
#[derive(Clone)]
struct Connection {
    router: Router,
    waiting: Arc<AtomicBool>,
    _place: Option<Arc<OwnedSemaphorePermit>>,
}

impl<B> Service<axum::http::Request<B>> for Connection
where
    B: axum::body::HttpBody<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = std::result::Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: axum::http::Request<B>) -> Self::Future {
        let request: Request = request.map(axum::body::Body::new);
        let (answer, waiting) = (Service::call(&mut self.router, request), self.waiting.clone());
        Box::pin(async move {
            let mut response = answer.await?;
            // INVARIANT: polite_clients_that_take_every_place_make_room_for_others
            if waiting.load(Ordering::Relaxed) {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        })
    }
}
