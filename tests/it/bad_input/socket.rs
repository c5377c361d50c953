//! Requests as bytes on a socket: what no client library would send, and what comes back.

use curbside::engine::Engine;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{GUARD, INSIDE};
use crate::harness::{Hospital, Plan, patient};

pub const JSON: &str = "Content-Type: application/json";

pub async fn hospital() -> Hospital {
    Plan::new(vec![patient("demo")], Engine::absent()).open().await
}

pub async fn connect(hospital: &Hospital) -> TcpStream {
    TcpStream::connect(hospital.url.socket_addrs(|| None).unwrap()[0]).await.unwrap()
}

/// Sends the bytes and reads until the server closes, or is done with what it said.
pub async fn exchange(hospital: &Hospital, bytes: &[u8]) -> String {
    let mut stream = connect(hospital).await;
    // The server may close before it has read all.
    let _ = stream.write_all(bytes).await;
    said(&mut stream).await
}

/// What comes until the server closes.
pub async fn said(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = timeout(GUARD, stream.read_to_end(&mut answer)).await.expect("the connection was not closed");
    String::from_utf8_lossy(&answer).into_owned()
}

pub fn status(answer: &str) -> u16 {
    let number = answer.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    number.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

pub fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next()?;
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// A request with these lines after `Host`; the connection is closed after it.
pub fn get(target: &str, lines: &[&str]) -> Vec<u8> {
    let more: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{more}\r\n").into_bytes()
}

pub fn hook(lines: &[&str], body: &[u8]) -> Vec<u8> {
    let more: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let head =
        format!("POST /cds-services/chart-summary HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{more}\r\n");
    [head.as_bytes(), body].concat()
}

/// A refusal of ours: an outcome, and nothing of the inside. hyper's own, before any request is there, has no body.
pub fn is_refusal(answer: &str, what: &str) {
    for secret in INSIDE {
        assert!(!answer.contains(secret), "{what}: {answer}");
    }
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    assert!(body.contains("OperationOutcome") || body.is_empty(), "{what}: {answer}");
}
