//! A DICOMweb archive that answers as a test tells it to and remembers what it was asked.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use url::Url;

/// What was asked: `path`, `accept` and `authorization`.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub accept: String,
    pub authorization: Option<String>,
}

impl Asked {
    pub fn transcoded(&self) -> bool {
        self.accept.contains("1.2.840.10008.1.2.1")
    }
    pub fn whole_study(&self) -> bool {
        !self.path.contains("/instances/")
    }
}

pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn status(status: u16) -> Answer {
        Answer { status, headers: Vec::new(), body: Vec::new() }
    }
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }
    /// Files as multipart/related.
    pub fn files(files: &[Vec<u8>]) -> Answer {
        let part = |file: &Vec<u8>| [b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\n", file.as_slice()].concat();
        let body = [files.iter().flat_map(part).collect::<Vec<u8>>(), b"\r\n--b--".to_vec()].concat();
        let answer = Answer { body, ..Answer::status(200) };
        answer.with("content-type", r#"multipart/related; type="application/dicom"; boundary=b"#)
    }
}

#[derive(Clone)]
pub struct Server {
    pub base: Url,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Serves on a free port until the test's runtime ends. `answer` sees the request and how many came before it.
    pub async fn start(answer: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = Url::parse(&format!("http://{}/dicom-web", listener.local_addr().unwrap())).unwrap();
        let server = Server { base, asked: Arc::default() };
        let (asked, answer) = (server.asked.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(exchange(stream, asked.clone(), answer.clone()));
            }
        });
        server
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn exchange(
    mut stream: TcpStream,
    asked: Arc<Mutex<Vec<Asked>>>,
    answer: Arc<impl Fn(&Asked, usize) -> Answer>,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    let path = head.split(' ').nth(1)?.to_owned();
    let request = Asked { path, accept: header("accept")?, authorization: header("authorization") };
    let before = asked.lock().ok()?.len();
    asked.lock().ok()?.push(request.clone());
    let Answer { status, headers, body } = answer(&request, before);
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    stream.write_all(&[head.as_bytes(), &body].concat()).await.ok()
}
