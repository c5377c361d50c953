use std::{future::pending, net::Ipv4Addr, sync::Arc, time::Duration};

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures::FutureExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::timeout,
};

use super::*;
use crate::http::{extract::Bodies, router::wrapped};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Ends a test that would hang; no test measures it.
const GUARD: Duration = Duration::from_secs(60);

fn routes(config: &Config) -> Router {
    let bodies = Bodies::new(config);
    let length = async move |request: Request| -> Response {
        let body = bodies.json(request, tokio::time::Instant::now() + GUARD).await;
        body.map_or_else(IntoResponse::into_response, |body| body.bytes.len().to_string().into_response())
    };
    wrapped(Router::new().route("/", get(|| async { "hello" })).route("/length", post(length)), config)
}

fn start(
    router: Router,
    config: &Config,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> (SocketAddr, JoinHandle<Result<()>>) {
    let server = bind(LOOPBACK, config).unwrap();
    let address = server.address();
    (address, tokio::spawn(server.serve(router, shutdown)))
}

/// Sends the bytes and reads until the server closes the connection.
async fn answer(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    rest(stream).await
}

async fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    // A reset is a way of closing too.
    let _ = timeout(GUARD, stream.read_to_end(&mut text)).await.expect("the connection was not closed");
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn a_client_that_never_finishes_its_head_is_cut_off() {
    let config = Config { header_timeout_ms: 50, ..Config::default() };
    let (address, _) = start(routes(&config), &config, pending());
    for bytes in [&b""[..], b"G", b"GET / HTTP/1.1\r\nHost: x\r\n"] {
        assert!(!answer(address, bytes).await.contains("200 OK"));
    }
    // Keeping a connection open without a further request is the same.
    assert!(answer(address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.contains("200 OK"));
}

#[tokio::test]
async fn a_client_that_never_finishes_its_body_is_cut_off() {
    let config = Config { body_timeout_ms: 50, ..Config::default() };
    let (address, _) = start(routes(&config), &config, pending());
    let head = "POST /length HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n12345";
    let text = answer(address, head.as_bytes()).await;
    assert!(text.starts_with("HTTP/1.1 400") && text.contains("OperationOutcome"), "{text}");
}

/// More than the kernel keeps for a client that reads nothing.
const LARGE: usize = 64 << 20;

const ASK: &[u8] = b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

fn large() -> Router {
    Router::new().route("/large", get(async || "x".repeat(LARGE))).route("/", get(async || "hello"))
}

#[tokio::test]
async fn a_client_that_never_reads_is_cut_off() {
    let config = Config { max_connections: 1, write_timeout_ms: 50, ..Config::default() };
    let (address, _) = start(large(), &config, pending());
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(ASK).await.unwrap();
    slow.readable().await.unwrap();
    // There is one place, and it is free again.
    let next = answer(address, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(next.ends_with("hello"), "{next}");
}

#[tokio::test]
async fn a_client_that_reads_a_little_now_and_then_is_cut_off_too() {
    let config = Config { write_timeout_ms: 1000, ..Config::default() };
    let (address, _) = start(large(), &config, pending());
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(ASK).await.unwrap();
    let (mut read, mut part) = (0, vec![0; 256 << 10]);
    // The whole of it would take five seconds at least.
    while let Ok(length @ 1..) = slow.read(&mut part).await {
        read += length;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(read < LARGE, "all of it was sent");
}

#[tokio::test]
async fn a_client_that_reads_gets_all_of_a_large_answer() {
    let (address, _) = start(large(), &Config::default(), pending());
    let text = answer(address, ASK).await;
    assert_eq!(text.split_once("\r\n\r\n").unwrap().1.len(), LARGE);
}

#[tokio::test]
async fn a_chunked_body_beyond_the_limit_is_413() {
    let config = Config { max_body_bytes: 1024, header_timeout_ms: 200, ..Config::default() };
    let (address, _) = start(routes(&config), &config, pending());
    let head =
        "POST /length HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("200\r\n{}\r\n", "x".repeat(512));
    let within = answer(address, format!("{head}{chunk}{chunk}0\r\n\r\n").as_bytes()).await;
    assert!(within.starts_with("HTTP/1.1 200") && within.contains("1024"), "{within}");
    let beyond = answer(address, format!("{head}{chunk}{chunk}1\r\nx\r\n0\r\n\r\n").as_bytes()).await;
    assert!(beyond.starts_with("HTTP/1.1 413") && beyond.contains("OperationOutcome"), "{beyond}");
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_one() {
    let config = Config::default();
    let (address, _) = start(routes(&config), &config, pending());
    let text = answer(address, b"GET /length HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 405") && text.to_lowercase().contains("allow: post"), "{text}");
}

#[tokio::test]
async fn no_more_connections_than_places_are_let_in() {
    let mut door = Door::new(Router::new(), 2, CancellationToken::new());
    let enter = async |door: &mut Door| {
        std::future::poll_fn(|cx| door.poll_ready(cx)).now_or_never().map(|ready| {
            ready.unwrap();
            door.call(LOOPBACK)
        })
    };
    let first = enter(&mut door).await.unwrap().await.unwrap();
    let _second = enter(&mut door).await.unwrap().await.unwrap();
    assert!(enter(&mut door).await.is_none());
    let in_use = first.clone();
    drop(first);
    assert!(enter(&mut door).await.is_none());
    drop(in_use);
    assert!(enter(&mut door).await.is_some());
}

#[tokio::test]
async fn a_connection_waits_for_a_place_and_then_is_served() {
    let config = Config { max_connections: 1, ..Config::default() };
    let (address, _) = start(routes(&config), &config, pending());
    for _ in 0..3 {
        let text = answer(address, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(text.ends_with("hello"), "{text}");
    }
}

#[tokio::test]
async fn a_request_in_flight_is_finished_when_the_server_stops() {
    let config = Config::default();
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (entered, leave) = (entered.clone(), leave.clone());
        async move || {
            entered.notify_one();
            leave.notified().await;
            "finished"
        }
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async { stopped.await.unwrap_or_default() };
    let (address, serving) = start(Router::new().route("/", get(slow)), &config, shutdown);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    entered.notified().await;
    stop.send(()).unwrap();
    // Nothing more is accepted, from the moment the listener is closed.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!serving.is_finished());
    leave.notify_one();
    assert!(rest(stream).await.ends_with("finished"));
    timeout(GUARD, serving).await.unwrap().unwrap().unwrap();
}

/// A handler that tells when it is entered, and never answers.
fn stuck() -> (Arc<Notify>, Router) {
    let entered = Arc::new(Notify::new());
    let at_entry = entered.clone();
    let handler = async move || {
        at_entry.notify_one();
        pending::<()>().await;
    };
    (entered, Router::new().route("/", get(handler)))
}

#[tokio::test]
async fn a_request_that_outlasts_the_drain_does_not_keep_the_process() {
    let config = Config { drain_ms: 50, ..Config::default() };
    let (entered, stuck) = stuck();
    let (stop, stopped) = oneshot::channel::<()>();
    let (address, serving) = start(stuck, &config, async { stopped.await.unwrap_or_default() });
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    entered.notified().await;
    stop.send(()).unwrap();
    timeout(GUARD, serving).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_full_house_does_not_keep_the_process() {
    let config = Config { max_connections: 1, drain_ms: 50, ..Config::default() };
    let (entered, stuck) = stuck();
    let (stop, stopped) = oneshot::channel::<()>();
    let (address, serving) = start(stuck, &config, async { stopped.await.unwrap_or_default() });
    let mut within = TcpStream::connect(address).await.unwrap();
    within.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    entered.notified().await;
    // These stand at the door: the first is let in by the kernel and waits for a place.
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(TcpStream::connect(address).await.unwrap());
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    stop.send(()).unwrap();
    timeout(GUARD, serving).await.expect("it serves on").unwrap().unwrap();
}

#[test]
fn a_taken_port_says_what_to_do() {
    let taken = bind(LOOPBACK, &Config::default()).unwrap();
    let error = bind(taken.address(), &Config::default()).err().unwrap();
    assert!(error.message.contains("--port") && error.message.contains(&taken.address().port().to_string()), "{error}");
}

#[test]
fn nothing_but_loopback_is_listened_on() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0"] {
        let error = bind(address.parse().unwrap(), &Config::default()).err().unwrap();
        assert!(error.message.contains("loopback"), "{address}: {error}");
    }
}
