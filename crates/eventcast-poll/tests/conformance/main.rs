//! The stream and the answers to polls keep the delivery contract, as a server sends them and a
//! client reads them.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

mod object;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use eventcast_core::{Session, Sleep, Timer};
use eventcast_poll::{PollConfig, StreamBody, StreamConfig, poll};
use eventcast_testkit::transport::{Decoder, Harness, Seen, ServerEnd, Serving, Sessions, pull};
use http_body::Body;
use object::Object;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWriteExt, BufReader};

struct TokioTimer;

impl Timer for TokioTimer {
    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(duration))
    }
}

struct Streaming;

impl Harness for Streaming {
    fn serve(&self, session: Session, io: ServerEnd) -> Serving {
        let mut body = StreamBody::new(session, StreamConfig::new(), Arc::new(TokioTimer));
        Box::pin(pull(io, move |cx| {
            let frame = Pin::new(&mut body).poll_frame(cx);
            frame.map(|frame| Some(frame?.unwrap().into_data().expect("no trailers")))
        }))
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::<LineReader>::default()
    }

    fn heartbeat(&self) -> Duration {
        StreamConfig::new().heartbeat()
    }
}

#[derive(Default)]
struct LineReader(Vec<u8>);

impl LineReader {
    /// The next whole line.
    fn next(&mut self) -> Option<String> {
        let end = self.0.iter().position(|byte| *byte == b'\n')?;
        let mut line: Vec<u8> = self.0.drain(..=end).collect();
        line.pop();
        Some(String::from_utf8(line).expect("UTF-8"))
    }
}

impl Decoder for LineReader {
    fn decode(&mut self, bytes: &[u8], seen: &mut Vec<Seen>) -> Result<(), String> {
        self.0.extend_from_slice(bytes);
        while let Some(line) = self.next() {
            seen.push(match line.as_str() {
                "" => Seen::Heartbeat,
                line => Object::parse(line)?.understand()?,
            });
        }
        Ok(())
    }
}

/// A connection of polls: a document a line from the server, an id a line from the client, each of
/// which asks for the next document.
struct Polling;

impl Harness for Polling {
    fn serve(&self, _: Session, _: ServerEnd) -> Serving {
        unreachable!("a poll needs further sessions")
    }

    fn serve_requests(&self, session: Session, sessions: Sessions, io: ServerEnd) -> Serving {
        Box::pin(async move {
            // Who is gone needs no answer.
            let _ = answer_all(session, &sessions, io).await;
        })
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::<DocumentReader>::default()
    }

    fn heartbeat(&self) -> Duration {
        PollConfig::new().wait()
    }
}

async fn answer_all(
    mut session: Session,
    sessions: &Sessions,
    io: ServerEnd,
) -> std::io::Result<()> {
    let mut io = BufReader::new(io);
    loop {
        let mut answer = poll(session, PollConfig::new(), Arc::new(TokioTimer));
        // While an answer waits, the client says nothing: what can be read is its end.
        let response = poll_fn(|cx| {
            if Pin::new(&mut io).poll_fill_buf(cx).is_ready() {
                return Poll::Ready(None);
            }
            Pin::new(&mut answer).poll(cx).map(Some)
        });
        let Some(response) = response.await else {
            return Ok(());
        };
        let mut document = response.into_body().into_batch();
        document.push("\n".into());
        io.write_all_buf(&mut document).await?;
        io.flush().await?;
        let mut id = String::new();
        io.read_line(&mut id).await?;
        if id.trim_end().is_empty() {
            return io.shutdown().await;
        }
        session = sessions.resume(id.trim_end());
    }
}

#[derive(Default)]
struct DocumentReader {
    lines: LineReader,
    opened: bool,
    asks: Vec<u8>,
}

impl Decoder for DocumentReader {
    fn decode(&mut self, bytes: &[u8], seen: &mut Vec<Seen>) -> Result<(), String> {
        self.lines.0.extend_from_slice(bytes);
        while let Some(line) = self.lines.next() {
            self.read(&line, seen)?;
        }
        Ok(())
    }

    fn reply(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.asks)
    }
}

impl DocumentReader {
    fn read(&mut self, line: &str, seen: &mut Vec<Seen>) -> Result<(), String> {
        let document = Object::parse(line)?;
        let objects: Vec<Object> = document.get("events").ok_or("no events")?;
        let (before, id) = (seen.len(), document.get::<String>("position"));
        for object in objects {
            seen.push(object.understand()?);
        }
        match (&id, document.get("end")) {
            (_, Some(reason)) => {
                seen.push(Seen::End { reason });
                // It asks for nothing more.
                self.asks = b"\n".to_vec();
                return Ok(());
            }
            // The first answer of a client without backlog is its opening.
            (Some(_), None) if !self.opened && seen.len() == before => {
                let id = id.clone();
                seen.push(Seen::Open { id, channels: None });
            }
            (Some(id), None) => seen.push(Seen::Position { id: id.clone() }),
            (None, None) => return Err("an answer without a position or an end".to_owned()),
        }
        self.opened = true;
        if let Some(id) = id {
            self.asks = format!("{id}\n").into_bytes();
        }
        Ok(())
    }
}

mod streaming {
    use super::Streaming;

    eventcast_testkit::transport_conformance!(Streaming);
}

mod polling {
    use super::Polling;

    eventcast_testkit::transport_conformance!(Polling);
}
