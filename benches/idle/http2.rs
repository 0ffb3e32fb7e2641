//! Many sessions on one connection: just enough of HTTP/2 to open them and to read.

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;

use crate::client::Connection;
use crate::server::HOST;

pub(crate) struct Http2 {
    stream: BufReader<TcpStream>,
    sessions: usize,
}

impl Http2 {
    pub(crate) fn open(
        mut stream: TcpStream,
        websocket: bool,
        channel: &str,
        sessions: usize,
    ) -> io::Result<Self> {
        let mut start = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        push_frame(&mut start, SETTINGS, 0, 0, &[]);
        // All that the connection may ever get.
        push_frame(
            &mut start,
            WINDOW_UPDATE,
            0,
            0,
            &0x7000_0000u32.to_be_bytes(),
        );
        let path = format!("/events?channel={channel}");
        let mut fields = vec![(":scheme", "http"), (":authority", HOST), (":path", &*path)];
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
            block.push(value.len() as u8);
            block.extend(value.as_bytes());
        }
        let flags = if websocket {
            END_HEADERS
        } else {
            END_HEADERS | END_STREAM
        };
        for n in 0..sessions as u32 {
            push_frame(&mut start, HEADERS, flags, 2 * n + 1, &block);
        }
        stream.write_all(&start)?;
        Ok(Self {
            stream: BufReader::new(stream),
            sessions,
        })
    }
}

impl Connection for Http2 {
    fn read_through(&mut self, needle: &[u8]) -> Result<(), Box<dyn Error>> {
        let mut received: HashMap<u32, Vec<u8>> = HashMap::new();
        let mut done = 0;
        while done < self.sessions {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head)?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let mut payload = vec![0; length as usize];
            self.stream.read_exact(&mut payload)?;
            match head[3] {
                DATA => {
                    let text = received.entry(stream).or_default();
                    let looked_at = text.len().saturating_sub(needle.len());
                    text.extend(payload);
                    let mut windows = text[looked_at..].windows(needle.len());
                    done += usize::from(windows.any(|window| window == needle));
                }
                PING if head[4] == 0 => {
                    let mut answer = Vec::new();
                    push_frame(&mut answer, PING, ACK, 0, &payload);
                    self.stream.get_mut().write_all(&answer)?;
                }
                RST_STREAM | GOAWAY => return Err("the server hung up".into()),
                _ => {}
            }
        }
        Ok(())
    }
}

fn push_frame(into: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    into.extend(&(payload.len() as u32).to_be_bytes()[1..]);
    into.extend([kind, flags]);
    into.extend(stream.to_be_bytes());
    into.extend(payload);
}

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
