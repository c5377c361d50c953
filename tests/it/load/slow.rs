//! Clients that send slowly, send nothing or never read: each has its time, and others are answered beside them.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{sleep, timeout},
};

use super::{GUARD, Server, Site, call, client, id, spread, whole};

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Connects and says nothing, as a client does whose machine has gone.
    Silent,
    /// Says nothing more after an answer.
    SilentAfterwards,
    /// Says nothing more within its body.
    SilentInBody,
    DribbledHead,
    DribbledBody,
    /// Asks and asks, and never reads an answer.
    NeverReads,
    /// The same, but for a byte now and then.
    DribbledReading,
}
use Kind::*;
const KINDS: [Kind; 7] =
    [Silent, SilentAfterwards, SilentInBody, DribbledHead, DribbledBody, NeverReads, DribbledReading];

fn head() -> Vec<u8> {
    format!("GET {} HTTP/1.1\r\nHost: localhost\r\n", curbside::web::STYLE_PATH).into_bytes()
}

const BODY: &[u8] =
    b"POST /cds-services/imaging-draft-report HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
    Content-Length: 100000\r\n\r\n{";

/// Returns when the server has ended the connection, whatever it said before.
async fn besiege(address: SocketAddr, kind: Kind, pause: Duration) -> Duration {
    let socket = TcpSocket::new_v4().expect("a socket");
    // What the kernel would keep for a client is as good as read.
    socket.set_recv_buffer_size(4096).expect("a size");
    let mut stream = socket.connect(address).await.expect("the kernel takes it");
    let started = Instant::now();
    let first = match kind {
        Silent => vec![],
        SilentAfterwards | NeverReads | DribbledReading => [&head()[..], b"\r\n"].concat(),
        SilentInBody | DribbledBody => BODY.to_vec(),
        DribbledHead => head(),
    };
    // A refused write is an ended connection too.
    let _ = stream.write_all(&first).await;
    match kind {
        Silent | SilentAfterwards | SilentInBody => while let Ok(1..) = stream.read(&mut [0; 4096]).await {},
        DribbledHead | DribbledBody => {
            let byte = if matches!(kind, DribbledHead) { b'x' } else { b' ' };
            loop {
                let mut answer = [0; 4096];
                tokio::select! {
                    read = stream.read(&mut answer) => if !matches!(read, Ok(1..)) { break },
                    () = sleep(pause) => if stream.write_all(&[byte]).await.is_err() { break },
                }
            }
        }
        NeverReads | DribbledReading => {
            let (mut answers, mut questions) = stream.into_split();
            let reading = tokio::spawn(async move {
                while matches!(kind, DribbledReading) && answers.read_u8().await.is_ok() {
                    sleep(pause).await;
                }
                // Kept, or the connection would be half closed.
                std::future::pending::<()>().await;
                drop(answers);
            });
            let many = first.repeat(100);
            while questions.write_all(&many).await.is_ok() {}
            reading.abort();
        }
    }
    started.elapsed()
}

/// So many of each kind beside good clients; places and milliseconds are those of the configuration.
async fn siege(each: usize, places: usize, time: u64) {
    let site = Site::new(
        1,
        &format!(
            "max_connections = {places}\nheader_timeout_ms = {time}\nbody_timeout_ms = {time}\nwrite_timeout_ms = {time}"
        ),
    )
    .await;
    let (server, _) = site.start().await;
    let server = Arc::new(server);
    // The first order starts what then stays, such as connections to the EHR.
    assert_eq!(server.sign(&site.order(), &id()).await.expect("an answer").status, 200);
    let (memory, sockets) = (server.memory(), server.sockets());
    let address: SocketAddr = server.url.trim_start_matches("http://").parse().unwrap();
    let pause = Duration::from_millis(time / 20);
    let hostile: Vec<_> = KINDS
        .iter()
        .flat_map(|kind| vec![*kind; each])
        .map(|kind| {
            tokio::spawn(async move {
                (kind, timeout(GUARD, besiege(address, kind, pause)).await.unwrap_or_else(|_| panic!("{kind:?} stays")))
            })
        })
        .collect();
    let over = Arc::new(AtomicBool::new(false));
    let good = tokio::spawn(good(server.clone(), over.clone()));
    let mut orders = Vec::new();
    let mut most = memory;
    while hostile.iter().any(|task| !task.is_finished()) {
        let started = Instant::now();
        let answer = loop {
            assert!(started.elapsed() < GUARD, "an order is not answered");
            if let Some(answer) = call(&client(), &server.url, "imaging-draft-report", &site.order(), &id()).await {
                break answer;
            }
        };
        assert_eq!(answer.status, 200, "{}", answer.text);
        orders.push(started.elapsed());
        most = most.max(server.memory());
        sleep(Duration::from_millis(20)).await;
    }
    over.store(true, Ordering::Relaxed);
    let ended: Vec<_> = join_all(hostile).await.into_iter().map(|ended| ended.expect("it was cut off")).collect();
    println!("{} slow clients, {places} places, {time} ms each", ended.len());
    for kind in KINDS {
        let of_kind = ended.iter().filter(|(of, _)| *of as u8 == kind as u8).map(|(_, took)| *took).collect();
        println!("{kind:?} cut off after: {}", spread(of_kind));
    }
    println!("good connections meanwhile: {}", spread(good.await.expect("good clients")));
    println!("orders meanwhile: {}; memory {memory} KiB before, {most} KiB at most", spread(orders));
    let patience = Instant::now();
    while server.sockets() > sockets && patience.elapsed() < GUARD {
        sleep(Duration::from_millis(20)).await;
    }
    assert!(server.sockets() <= sockets, "connections were kept");
}

/// New connections, one after the other, each answered.
async fn good(server: Arc<Server>, over: Arc<AtomicBool>) -> Vec<Duration> {
    let mut times = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let started = Instant::now();
        // On a busy machine it may be too slow itself, and then tries again.
        let answer = loop {
            assert!(started.elapsed() < GUARD, "a good client is not answered");
            if let Some(answer) = whole(client().get(format!("{}/cds-services", server.url))).await {
                break answer;
            }
        };
        assert_eq!(answer.status, 200, "{}", answer.text);
        times.push(started.elapsed());
        sleep(Duration::from_millis(10)).await;
    }
    times
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_are_cut_off_and_others_answered_beside_them() {
    siege(4, 64, 2000).await;
}

/// Good clients wait in the kernel's queue, but not for ever.
#[tokio::test(flavor = "multi_thread")]
async fn more_slow_clients_than_places_go_one_after_the_other() {
    siege(4, 7, 1000).await;
}

/// Asks again and again on a connection it keeps, well within its time, and connects anew where it is asked to.
async fn polite(address: SocketAddr, within: Arc<AtomicUsize>) {
    let mut answered = false;
    loop {
        let mut stream = TcpStream::connect(address).await.expect("the kernel takes it");
        let mut answer = [0; 4096];
        while stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.is_ok() {
            let Ok(length @ 1..) = stream.read(&mut answer).await else { break };
            if !std::mem::replace(&mut answered, true) {
                within.fetch_add(1, Ordering::Relaxed);
            }
            if String::from_utf8_lossy(&answer[..length]).contains("connection: close") {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn polite_clients_that_take_every_place_make_room_for_others() {
    const PLACES: usize = 4;
    let site = Site::new(1, &format!("max_connections = {PLACES}\nheader_timeout_ms = 2000")).await;
    let (server, _) = site.start().await;
    let address: SocketAddr = server.url.trim_start_matches("http://").parse().unwrap();
    let within = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..2 * PLACES).map(|_| tokio::spawn(polite(address, within.clone()))).collect();
    let started = Instant::now();
    while within.load(Ordering::Relaxed) < PLACES {
        assert!(started.elapsed() < GUARD, "the places are not taken");
        sleep(Duration::from_millis(10)).await;
    }
    for n in 0..10 {
        let answer = timeout(GUARD, whole(client().get(format!("{}/cds-services", server.url)))).await;
        let answer = answer.ok().flatten().unwrap_or_else(|| panic!("client {n} is kept out"));
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    while within.load(Ordering::Relaxed) < 2 * PLACES {
        assert!(started.elapsed() < GUARD, "one of them is kept out");
        sleep(Duration::from_millis(10)).await;
    }
    clients.iter().for_each(|client| client.abort());
}

/// `cargo test --release --test it a_great_siege -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute, to be run alone"]
async fn a_great_siege() {
    siege(30, 256, 10_000).await;
    siege(90, 256, 5_000).await;
}
