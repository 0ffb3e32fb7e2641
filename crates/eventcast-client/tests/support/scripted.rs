//! A server that answers each connection as a script says, in memory.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// Answers to one connection after the other; the last is repeated.
#[derive(Clone)]
pub(crate) struct Script(Arc<Mutex<Inner>>);

struct Inner {
    answers: Vec<Answer>,
    requests: Vec<String>,
}

#[derive(Clone)]
pub(crate) enum Answer {
    /// These bytes, and then nothing.
    Open(String),
    /// These bytes, and the end.
    Closed(String),
    /// These bytes without an end.
    Endless(String),
}

impl Script {
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            answers: answers.into_iter().collect(),
            requests: Vec::new(),
        })))
    }

    /// The heads of the requests that came.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.0.lock().unwrap().requests.clone()
    }

    pub(crate) fn dial(&self) -> impl Future<Output = io::Result<DuplexStream>> + Send + use<> {
        let (client, mut server) = duplex(4096);
        let script = Arc::clone(&self.0);
        tokio::spawn(async move {
            let head = read_head(&mut server).await;
            let answer = {
                let mut script = script.lock().unwrap();
                script.requests.push(head);
                match script.answers.len() {
                    1 => script.answers[0].clone(),
                    _ => script.answers.remove(0),
                }
            };
            match answer {
                Answer::Open(bytes) => {
                    let _ = server.write_all(bytes.as_bytes()).await;
                    // Until the client goes.
                    let _ = server.read_to_end(&mut Vec::new()).await;
                }
                Answer::Closed(bytes) => drop(server.write_all(bytes.as_bytes()).await),
                Answer::Endless(bytes) => while server.write_all(bytes.as_bytes()).await.is_ok() {},
            }
        });
        std::future::ready(Ok(client))
    }
}

/// The head of a request, its empty line included.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin + Send)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// The beginning of an event stream whose body ends with the connection.
pub(crate) const SSE: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

pub(crate) fn open(heartbeat: u64, retry: u64) -> String {
    format!(
        "{SSE}event: eventcast.open\nretry: {retry}\n\
         data: {{\"channels\":[\"a\"],\"heartbeat\":{heartbeat}}}\nid: 00000007-a0\n\n"
    )
}

pub(crate) fn event(sequence: u64) -> String {
    format!(
        "data: {{\"id\":\"00000007-a{sequence}\",\"channel\":\"a\",\"data\":\"{sequence}\"}}\n\
         id: 00000007-a{sequence}\n\n"
    )
}
