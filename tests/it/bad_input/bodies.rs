//! Bodies as bytes on a socket: broken, too long, compressed, not sent, or sent whole before anything is read.

use std::time::Duration;

use curbside::http::Config;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{
    GUARD,
    socket::{JSON, connect, exchange, hook, hospital, is_refusal, said, status},
};

#[tokio::test]
async fn a_body_that_is_not_as_long_as_announced_is_refused() {
    let hospital = hospital().await;
    let chunked = |body: &str| hook(&[JSON, "Transfer-Encoding: chunked"], body.as_bytes());
    for body in [
        "ZZ\r\n{}\r\n0\r\n\r\n",
        "-1\r\n",
        "fffffffffffffffff\r\n",
        "2\r\n{}XX0\r\n\r\n",
        "2;x\n{}\r\n",
        "2\r\n{}\r\n0\r\nX",
    ] {
        let mut stream = connect(&hospital).await;
        stream.write_all(&chunked(body)).await.unwrap();
        // What is only cut off is ended from our side.
        stream.shutdown().await.unwrap();
        let answer = said(&mut stream).await;
        assert!(matches!(status(&answer), 0 | 400), "{body:?}: {answer}");
        is_refusal(&answer, body);
    }
    let long = "x".repeat(100_000);
    let extended = chunked(&format!("2;{long}\r\n{{}}\r\n0\r\n\r\n"));
    assert!(matches!(status(&exchange(&hospital, &extended).await), 0 | 400));
    let trailers: String = (0..10_000).map(|n| format!("X-{n}: y\r\n")).collect();
    let trailed = chunked(&format!("2\r\n{{}}\r\n0\r\n{trailers}\r\n"));
    assert!(matches!(status(&exchange(&hospital, &trailed).await), 0 | 400));
    let continued = hook(&[JSON, "Content-Length: 2", "Expect: 100-continue"], b"{}");
    let answer = exchange(&hospital, &continued).await;
    assert!(answer.contains("hook is missing"), "{answer}");
    assert_eq!(hospital.get("/livez").await.status, 200);
    hospital.close().await;
}

/// It is no use to a client that reads only once its whole body is on the way, if the connection ends before.
#[tokio::test]
async fn a_refusal_reaches_who_sends_the_whole_body_before_reading() {
    let hospital = hospital().await;
    let post = |target: &str, lines: &[&str], bytes: usize| {
        let more: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let head = format!("POST {target} HTTP/1.1\r\nConnection: close\r\nContent-Length: {bytes}\r\n{more}\r\n");
        [head.as_bytes(), &vec![b' '; bytes]].concat()
    };
    const HOST: &str = "Host: 127.0.0.1";
    let (service, large) = ("/cds-services/chart-summary", 8 << 20);
    let beyond = Config::default().max_body_bytes + (4 << 20);
    let one_chunk = |bytes: usize| {
        let head = hook(&[JSON, "Transfer-Encoding: chunked"], format!("{bytes:x}\r\n").as_bytes());
        [&head[..], &vec![b' '; bytes], b"\r\n0\r\n\r\n"].concat()
    };
    for (bytes, expected) in [
        (post(service, &["Host: evil.example", JSON], large), 403),
        (post(service, &[HOST, HOST, JSON], large), 400),
        (post("/cds-services/none", &[HOST, JSON], large), 404),
        (post("/none", &[HOST, JSON], large), 404),
        (post("/livez", &[HOST, JSON], large), 405),
        (post(service, &[HOST, "Content-Type: text/plain"], large), 415),
        (post(service, &[HOST, JSON, "Content-Encoding: gzip"], large), 415),
        (post(service, &[HOST, JSON, JSON], large), 400),
        (post(service, &[HOST, JSON], beyond), 413),
        (one_chunk(beyond), 413),
    ] {
        let what = String::from_utf8_lossy(&bytes[..200]).into_owned();
        let mut stream = connect(&hospital).await;
        let sent = timeout(GUARD, stream.write_all(&bytes)).await.expect("all of it is read");
        sent.unwrap_or_else(|e| panic!("{what}: {e}"));
        let mut answer = Vec::new();
        let read = timeout(GUARD, stream.read_to_end(&mut answer)).await.expect("the connection was not closed");
        read.unwrap_or_else(|e| panic!("{what}: {e}"));
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert_eq!(status(&answer), expected, "{what}{answer}");
        assert!(answer.contains("OperationOutcome"), "{what}{answer}");
    }
    hospital.close().await;
}

/// Who asks first need not send what is refused; and a body nobody would read to its end is not waited for.
#[tokio::test]
async fn a_body_that_is_not_sent_is_not_asked_for() {
    let hospital = hospital().await;
    let endless = format!("Content-Length: {}", 1_u64 << 40);
    for (lines, expected) in [
        (vec!["Content-Type: text/plain", "Content-Length: 9000000", "Expect: 100-continue"], 415),
        (vec![JSON, "Content-Length: 20000000", "Expect: 100-continue"], 413),
        (vec![JSON, &endless], 413),
    ] {
        let answer = exchange(&hospital, &hook(&lines, b"")).await;
        assert_eq!(status(&answer), expected, "{lines:?}: {answer}");
        assert!(!answer.contains(" 100 "), "{lines:?}: {answer}");
    }
    hospital.close().await;
}

#[tokio::test]
async fn a_body_compressed_on_its_way_is_refused() {
    let hospital = hospital().await;
    for (lines, expected) in [
        (vec![JSON, "Transfer-Encoding: gzip, chunked"], 415),
        (vec![JSON, "Transfer-Encoding: gzip", "Transfer-Encoding: chunked"], 415),
        (vec![JSON, "Transfer-Encoding: chunked, chunked"], 415),
        (vec![JSON, "Transfer-Encoding: Chunked"], 400),
        (vec![JSON, "Transfer-Encoding: chunked"], 400),
    ] {
        let answer = exchange(&hospital, &hook(&lines, b"2\r\n{}\r\n0\r\n\r\n")).await;
        assert_eq!(status(&answer), expected, "{lines:?}: {answer}");
        is_refusal(&answer, &format!("{lines:?}"));
        assert_eq!(answer.contains("hook is missing"), expected == 400, "{lines:?}: {answer}");
    }
    hospital.close().await;
}

/// Announcing the largest body and sending none of it costs the others nothing.
#[tokio::test]
async fn who_announces_and_does_not_send_keeps_nobody_out() {
    let hospital = hospital().await;
    let length = format!("Content-Length: {}", Config::default().max_body_bytes);
    let mut idle = Vec::new();
    for _ in 0..20 {
        let mut stream = connect(&hospital).await;
        stream.write_all(&hook(&[JSON, &length], b"{")).await.unwrap();
        idle.push(stream);
    }
    let request = json!({"hook": "patient-view"}).to_string();
    let answer = timeout(Duration::from_secs(60), hospital.post("/cds-services/chart-summary", request)).await.unwrap();
    assert_eq!(answer.status, 400, "{}", answer.text);
    drop(idle);
    hospital.close().await;
}
