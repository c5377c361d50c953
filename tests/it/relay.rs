//! What stands in the way of a request: a listener that lets things go wrong below HTTP, and traps that nothing may reach.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use url::Url;

/// What a connection meets below HTTP.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Raw {
    /// Closed once the request has come.
    Close,
    /// Reset once the request has come.
    Reset,
    /// Bytes that are no HTTP.
    Garbage,
    /// Headers without end.
    EndlessHead,
    /// Half a head, then nothing.
    HalfHead,
    /// One request, two answers.
    Twice,
    /// Pages of a search, each of which names a next one.
    EndlessPages,
}

/// Passes connections on to another server, except what is to go wrong.
#[derive(Clone)]
pub struct Relay {
    pub url: Url,
    wrong: Arc<Mutex<Option<(String, Raw)>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Relay {
    /// Relays to the server of `to`, whose path it keeps.
    pub fn start(to: &Url) -> Relay {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a listener");
        let mut url = to.clone();
        url.set_port(Some(listener.local_addr().expect("an address").port())).expect("a port");
        let relay = Relay { url, wrong: Arc::default(), asked: Arc::default() };
        let listener = TcpListener::from_std(listener).expect("a listener");
        let (own, to) = (relay.clone(), format!("127.0.0.1:{}", to.port().expect("a port")));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (own, to) = (own.clone(), to.clone());
                tokio::spawn(async move { own.exchange(stream, &to).await });
            }
        });
        relay
    }

    /// From now on requests whose path and query start so go wrong; `None`: none does.
    pub fn set(&self, wrong: Option<(&str, Raw)>) {
        *self.wrong.lock().expect("a lock") = wrong.map(|(prefix, raw)| (prefix.to_owned(), raw));
        self.asked.lock().expect("a lock").clear();
    }

    /// Requests whose path starts so since then.
    pub fn asked(&self, prefix: &str) -> usize {
        self.asked.lock().expect("a lock").iter().filter(|path| path.starts_with(prefix)).count()
    }

    async fn exchange(&self, mut client: TcpStream, to: &str) -> Option<()> {
        let head = head(&mut client).await?;
        let path = head.split(' ').nth(1)?.to_owned();
        self.asked.lock().ok()?.push(path.clone());
        let wrong = self.wrong.lock().ok()?.clone().filter(|(prefix, _)| path.starts_with(prefix));
        let Some((_, raw)) = wrong else {
            let mut server = TcpStream::connect(to).await.ok()?;
            // One request a connection, so that each is looked at.
            let head = head.trim_end().to_owned() + "\r\nconnection: close\r\n\r\n";
            server.write_all(head.as_bytes()).await.ok()?;
            tokio::io::copy_bidirectional(&mut client, &mut server).await.ok()?;
            return Some(());
        };
        match raw {
            Raw::Close => {}
            Raw::Reset => client.set_zero_linger().ok()?,
            Raw::Garbage => client.write_all(b"SSH-2.0-nobody\r\n\x00\xff\xfe").await.ok()?,
            Raw::EndlessHead => {
                client.write_all(b"HTTP/1.1 200 OK\r\n").await.ok()?;
                for n in 0u64.. {
                    client.write_all(format!("x-{n}: {}\r\n", "y".repeat(1000)).as_bytes()).await.ok()?;
                }
            }
            Raw::HalfHead => {
                client.write_all(b"HTTP/1.1 200 OK\r\ncontent-ty").await.ok()?;
                std::future::pending::<()>().await;
            }
            Raw::Twice => client.write_all(json("{}").repeat(2).as_bytes()).await.ok()?,
            Raw::EndlessPages => {
                let next = format!("{}?page={}", path.split('?').next()?, self.asked(""));
                let link = format!(r#"[{{"relation":"next","url":"{next}"}}]"#);
                let bundle = format!(r#"{{"resourceType":"Bundle","type":"searchset","link":{link}}}"#);
                client.write_all(json(&bundle).as_bytes()).await.ok()?;
            }
        }
        Some(())
    }
}

/// Listeners that nothing may reach, and what reached them all the same.
#[derive(Clone, Default)]
pub struct Traps(Arc<Mutex<Vec<String>>>);

impl Traps {
    /// Listens at each address that this machine has.
    pub async fn set(addresses: &[SocketAddr]) -> (Traps, Vec<SocketAddr>) {
        let (traps, mut listening) = (Traps::default(), Vec::new());
        for address in addresses {
            let Ok(listener) = TcpListener::bind(address).await else { continue };
            listening.push(listener.local_addr().expect("an address"));
            let caught = traps.0.clone();
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let caught = caught.clone();
                    tokio::spawn(async move {
                        let head = head(&mut stream).await.unwrap_or_else(|| "a connection without a request".into());
                        caught.lock().expect("a lock").push(head);
                        stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await.ok();
                    });
                }
            });
        }
        (traps, listening)
    }

    /// The head of each request that came.
    pub fn caught(&self) -> Vec<String> {
        self.0.lock().expect("a lock").clone()
    }
}

fn json(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\ncontent-length: {length}\r\n\r\n{body}")
}

async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 64 << 10 {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}
