//! Sends the same request again and again; as little work for the asking side as HTTP/1.1 allows.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use crate::{Result, worker::Server};

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);
/// Stands on the card of who has read the results.
const RESULT: &[u8] = b"Potassium: ";

pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

pub struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Connection {
    fn open(port: u16, path: &str, body: &[u8]) -> Result<Connection> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        Ok(Connection { stream, request: [head.as_bytes(), body].concat(), answer: Vec::new() })
    }

    /// A connection to a server that is about to start, which has answered with a card.
    pub fn wait_for(port: u16, path: &str, body: &[u8], server: &mut Server) -> Result<Connection> {
        let start = Instant::now();
        loop {
            match Connection::open(port, path, body) {
                Ok(mut connection) => {
                    connection.ask()?;
                    return Ok(connection);
                }
                Err(error) if server.has_ended() || start.elapsed() > PATIENCE => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// One request and its whole answer, which must be a card with the results.
    pub fn ask(&mut self) -> Result<Duration> {
        let start = Instant::now();
        self.stream.write_all(&self.request)?;
        self.answer.clear();
        let mut piece = [0; 16 << 10];
        let mut end = None;
        while end.is_none_or(|end| self.answer.len() < end) {
            let read = self.stream.read(&mut piece)?;
            if read == 0 {
                return Err("a server closed the connection".into());
            }
            self.answer.extend_from_slice(&piece[..read]);
            end = end.or_else(|| self.end());
        }
        let took = start.elapsed();
        let is_card = self.answer.windows(RESULT.len()).any(|window| window == RESULT);
        if !self.answer.starts_with(b"HTTP/1.1 200 ") || !is_card {
            return Err(format!("no card with the results: {}", String::from_utf8_lossy(&self.answer)).into());
        }
        Ok(took)
    }

    /// Length of the answer, head and body, once its head is there.
    fn end(&self) -> Option<usize> {
        let head = self.answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let text = str::from_utf8(&self.answer[..head]).ok()?.to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        // None given: nothing more is waited for, and the answer is found to be no card.
        Some(head + length.unwrap_or(0))
    }
}

/// Answers that eight connections get together in that time.
pub fn eight(port: u16, path: &str, body: &[u8], time: Duration) -> Result<usize> {
    let end = Instant::now() + time;
    thread::scope(|scope| {
        let ask = || -> Result<usize> {
            let mut connection = Connection::open(port, path, body)?;
            let mut answered = 0;
            while Instant::now() < end {
                connection.ask()?;
                answered += 1;
            }
            Ok(answered)
        };
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked")?).sum()
    })
}
