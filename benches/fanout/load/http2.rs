//! Many sessions on one connection: just enough of HTTP/2 to open them and to read.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::TcpStream;

use super::requests::{HOST, PONG};
use crate::fanout::payload::{Cut, scan};
use crate::fanout::spec::Kind;

pub(super) struct Http2 {
    websocket: bool,
    /// What was cut off of a stream's last payload.
    cuts: Vec<Cut>,
    head: [u8; 9],
    head_length: usize,
    /// How much of the frame's payload is still to come.
    left: usize,
    ping: Vec<u8>,
    /// Data since the connection's window was last opened.
    taken: u32,
}

impl Http2 {
    pub(super) fn open(
        stream: &mut TcpStream,
        kind: Kind,
        paths: impl Iterator<Item = String>,
    ) -> io::Result<Self> {
        let websocket = kind.is_websocket();
        let mut start = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        // Streams may get all that they ever do, and so may the connection.
        let mut settings = vec![0, 4];
        settings.extend(MOST.to_be_bytes());
        push_frame(&mut start, SETTINGS, 0, 0, &settings);
        push_frame(&mut start, WINDOW_UPDATE, 0, 0, &WINDOW.to_be_bytes());
        let flags = if websocket {
            END_HEADERS
        } else {
            END_HEADERS | END_STREAM
        };
        let mut count = 0;
        for path in paths {
            push_frame(
                &mut start,
                HEADERS,
                flags,
                2 * count + 1,
                &fields(websocket, &path),
            );
            count += 1;
        }
        stream.write_all(&start)?;
        Ok(Self {
            websocket,
            cuts: vec![Cut::default(); count as usize],
            head: [0; 9],
            head_length: 0,
            left: 0,
            ping: Vec::new(),
            taken: 0,
        })
    }

    /// Reads until every stream is answered.
    pub(super) fn await_opening(&mut self, stream: &mut TcpStream) -> Result<(), Box<dyn Error>> {
        let mut answered = 0;
        while answered < self.cuts.len() {
            let mut head = [0; 9];
            stream.read_exact(&mut head)?;
            let mut payload = vec![0; length_of(&head)];
            stream.read_exact(&mut payload)?;
            match head[3] {
                // `:status: 200`, from the static table (RFC 7541, appendix A).
                HEADERS if payload.first() == Some(&0x88) => answered += 1,
                HEADERS => return Err("a stream is refused".into()),
                SETTINGS if head[4] & ACK == 0 => {
                    let mut answer = Vec::new();
                    push_frame(&mut answer, SETTINGS, ACK, 0, &[]);
                    stream.write_all(&answer)?;
                }
                RST_STREAM | GOAWAY => return Err("the server hung up".into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes bytes as they come; calls back with the stream's index, a number and a time.
    pub(super) fn take(
        &mut self,
        mut bytes: &[u8],
        stream: &mut TcpStream,
        mut each: impl FnMut(usize, u64, u64),
    ) -> Result<(), Box<dyn Error>> {
        while !bytes.is_empty() {
            if self.head_length < self.head.len() {
                let taken = bytes.len().min(self.head.len() - self.head_length);
                self.head[self.head_length..self.head_length + taken]
                    .copy_from_slice(&bytes[..taken]);
                self.head_length += taken;
                bytes = &bytes[taken..];
                if self.head_length < self.head.len() {
                    return Ok(());
                }
                self.left = length_of(&self.head);
            }
            let (payload, rest) = bytes.split_at(self.left.min(bytes.len()));
            bytes = rest;
            self.left -= payload.len();
            match self.head[3] {
                DATA => {
                    let index = (stream_of(&self.head) as usize - 1) / 2;
                    scan(&mut self.cuts[index], payload, |number, time| {
                        each(index, number, time);
                    });
                    self.taken += payload.len() as u32;
                }
                PING => self.ping.extend_from_slice(payload),
                RST_STREAM | GOAWAY => return Err("the server hung up".into()),
                _ => {}
            }
            if self.left == 0 {
                self.end_frame(stream)?;
            }
        }
        Ok(())
    }

    fn end_frame(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        self.head_length = 0;
        let mut answer = Vec::new();
        if self.head[3] == PING {
            let ping = std::mem::take(&mut self.ping);
            if self.head[4] & ACK == 0 {
                push_frame(&mut answer, PING, ACK, 0, &ping);
            }
        }
        if self.taken > WINDOW / 4 {
            push_frame(&mut answer, WINDOW_UPDATE, 0, 0, &self.taken.to_be_bytes());
            self.taken = 0;
        }
        if answer.is_empty() {
            return Ok(());
        }
        stream.write_all(&answer)
    }

    pub(super) fn pong(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        let mut frames = Vec::new();
        for index in 0..self.cuts.len() as u32 {
            push_frame(&mut frames, DATA, 0, 2 * index + 1, PONG);
        }
        if self.websocket {
            stream.write_all(&frames)?;
        }
        Ok(())
    }
}

fn fields(websocket: bool, path: &str) -> Vec<u8> {
    let mut fields = vec![(":scheme", "http"), (":authority", HOST), (":path", path)];
    if websocket {
        fields.extend([(":method", "CONNECT"), (":protocol", "websocket")]);
        fields.push(("sec-websocket-version", "13"));
    } else {
        fields.push((":method", "GET"));
    }
    let mut block = Vec::new();
    for (name, value) in fields {
        // A literal that is not indexed, with a new name (RFC 7541, section 6.2.2).
        block.extend([0, name.len() as u8]);
        block.extend(name.as_bytes());
        push_length(&mut block, value.len());
        block.extend(value.as_bytes());
    }
    block
}

/// RFC 7541, section 5.1, with a prefix of seven bits.
fn push_length(block: &mut Vec<u8>, length: usize) {
    if length < 127 {
        return block.push(length as u8);
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push((rest % 128 + 128) as u8);
        rest /= 128;
    }
    block.push(rest as u8);
}

fn length_of(head: &[u8; 9]) -> usize {
    u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize
}

fn stream_of(head: &[u8; 9]) -> u32 {
    u32::from_be_bytes([head[5], head[6], head[7], head[8]])
}

fn push_frame(into: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    into.extend(&(payload.len() as u32).to_be_bytes()[1..]);
    into.extend([kind, flags]);
    into.extend(stream.to_be_bytes());
    into.extend(payload);
}

/// What a stream may get at all, and what a connection may before its window is opened again.
const MOST: u32 = 0x7fff_ffff;
const WINDOW: u32 = 0x7000_0000;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
