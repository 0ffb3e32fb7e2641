//! One connection of a client, with a session or many.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use memchr::memmem;

use super::http2::Http2;
use super::requests::{HOST, PONG, path, request};
use super::tally::Tally;
use crate::fanout::payload::{Cut, scan};
use crate::fanout::spec::{Kind, LoadSpec};
use crate::fanout::system::now;

pub(super) struct Connection {
    stream: TcpStream,
    session: usize,
    wire: Wire,
}

enum Wire {
    /// Payloads come in whatever frames.
    Stream(Cut),
    Http2(Box<Http2>),
    /// Answers, each of which is to be asked for.
    Poll {
        path: String,
        answer: Vec<u8>,
    },
}

impl Connection {
    /// Connects and asks for the sessions from `session` on.
    pub(super) fn open(spec: &LoadSpec, session: usize) -> io::Result<Self> {
        let mut stream = connect(&spec.address)?;
        let (kind, shape) = (spec.kind, spec.shape);
        let path_of = |session: usize| path(kind, shape, session % shape.groups);
        let path = path_of(session);
        let wire = if kind.is_http2() {
            let last = (session + kind.sessions()).min(shape.sessions);
            let paths = (session..last).map(path_of);
            Wire::Http2(Box::new(Http2::open(&mut stream, kind, paths)?))
        } else {
            stream.write_all(request(kind, &path).as_bytes())?;
            if kind == Kind::Poll {
                Wire::Poll {
                    path,
                    answer: Vec::new(),
                }
            } else {
                Wire::Stream(Cut::default())
            }
        };
        Ok(Self {
            stream,
            session,
            wire,
        })
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Waits until its sessions are open, and from then on never blocks.
    pub(super) fn await_opening(&mut self) -> Result<(), Box<dyn Error>> {
        self.stream.set_read_timeout(Some(PATIENCE))?;
        match &mut self.wire {
            Wire::Stream(_) => read_head(&mut self.stream)?,
            Wire::Http2(http2) => http2.await_opening(&mut self.stream)?,
            // Answered with the first event.
            Wire::Poll { .. } => {}
        }
        self.stream.set_nonblocking(true)?;
        Ok(())
    }

    /// Reads what there is.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        tally: &mut Tally,
    ) -> Result<(), Box<dyn Error>> {
        let length = match self.stream.read(buffer) {
            Ok(0) => return Err("the server hung up".into()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        tally.note_time();
        let bytes = &buffer[..length];
        match &mut self.wire {
            Wire::Stream(cut) => scan(cut, bytes, |number, time| {
                tally.note(self.session, number, time);
            }),
            Wire::Http2(http2) => {
                let session = self.session;
                http2.take(bytes, &mut self.stream, |stream, number, time| {
                    tally.note(session + stream, number, time);
                })?;
            }
            Wire::Poll { path, answer } => {
                answer.extend_from_slice(bytes);
                if let Some(position) = position_of(answer)? {
                    let next = format!("{path}&last_event_id={position}");
                    self.stream
                        .write_all(request(Kind::Poll, &next).as_bytes())?;
                    scan(&mut Cut::default(), answer, |number, time| {
                        tally.note(self.session, number, time);
                    });
                    answer.clear();
                }
            }
        }
        Ok(())
    }

    /// Gives a sign of life, as an answer to a ping would be.
    pub(super) fn pong(&mut self) -> io::Result<()> {
        match &mut self.wire {
            Wire::Http2(http2) => http2.pong(&mut self.stream),
            _ => self.stream.write_all(PONG),
        }
    }
}

/// The position in a poll's answer, once it is whole.
fn position_of(answer: &[u8]) -> Result<Option<String>, Box<dyn Error>> {
    let Some(head) = memmem::find(answer, b"\r\n\r\n") else {
        return Ok(None);
    };
    let (head, body) = (&answer[..head], &answer[head + 4..]);
    let head = std::str::from_utf8(head)?.to_ascii_lowercase();
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .ok_or("a poll's answer has no length")?
        .parse()?;
    if body.len() < length {
        return Ok(None);
    }
    let mark = b"\"position\":\"";
    let start = memmem::find(body, mark).ok_or("a poll's answer has no position")?;
    let position = &body[start + mark.len()..];
    let end = position
        .iter()
        .position(|b| *b == b'"')
        .ok_or("it has no end")?;
    Ok(Some(std::str::from_utf8(&position[..end])?.to_owned()))
}

/// Reads an answer's head, byte by byte, so that nothing of what follows is taken.
fn read_head(stream: &mut TcpStream) -> Result<(), Box<dyn Error>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head);
    let opened = ["HTTP/1.1 200 ", "HTTP/1.1 101 "];
    if !opened.iter().any(|start| text.starts_with(start)) {
        return Err(format!("the server answers {text}").into());
    }
    Ok(())
}

/// One client that reads so many retained events and leaves; how long that takes, in nanoseconds.
pub(super) fn catch_up(
    spec: &LoadSpec,
    events: u64,
    buffer: &mut [u8],
) -> Result<u64, Box<dyn Error>> {
    let mut stream = connect(&spec.address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let path = path(spec.kind, spec.shape, 0) + "&start=earliest";
    let start = now();
    stream.write_all(request(spec.kind, &path).as_bytes())?;
    let (mut cut, mut count, mut next, mut broken) = (Cut::default(), 0, None, false);
    while count < events {
        let length = stream.read(buffer)?;
        if length == 0 {
            return Err(format!("{HOST} hung up after {count} events").into());
        }
        scan(&mut cut, &buffer[..length], |number, _| {
            broken |= next.is_some_and(|next| next != number);
            next = Some(number + 1);
            count += 1;
        });
    }
    if broken {
        return Err("a replay is not in order".into());
    }
    Ok(now() - start)
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

const PATIENCE: Duration = Duration::from_secs(20);
