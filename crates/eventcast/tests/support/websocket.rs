//! A WebSocket client that can send what a proper one would not.

use serde_json::Value;

use super::client::{Client, Head};
use super::{TestServer, get, within};

/// An open WebSocket.
pub(crate) struct WebSocket {
    pub(crate) head: Head,
    pub(crate) client: Client,
}

/// A frame of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

impl WebSocket {
    pub(crate) async fn open(server: &TestServer, target: &str) -> Self {
        Self::open_with(server, target, &[]).await
    }

    pub(crate) async fn open_with(
        server: &TestServer,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Self {
        let mut client = server.connect().await;
        client.send(handshake(target, headers)).await;
        let head = client.head().await;
        assert_eq!(head.status, 101, "{}", head.text);
        Self { head, client }
    }

    /// Sends a text message.
    pub(crate) async fn send(&mut self, message: impl AsRef<[u8]>) {
        self.client.send(frame(TEXT, message.as_ref())).await;
    }

    /// The next frame, which has to be whole and not masked.
    pub(crate) async fn frame(&mut self) -> Frame {
        let start = self.client.take(2).await;
        assert_eq!(start[0] & 0xf0, 0x80, "whole, and nothing reserved");
        let length = match start[1] {
            126 => {
                let length = self.client.take(2).await;
                u16::from_be_bytes(length.try_into().unwrap()).into()
            }
            127 => {
                let length = self.client.take(8).await;
                u64::from_be_bytes(length.try_into().unwrap()) as usize
            }
            short => {
                assert!(short < 126, "servers do not mask");
                short.into()
            }
        };
        Frame {
            opcode: start[0] & 0x0f,
            payload: self.client.take(length).await,
        }
    }

    /// The next message, which has to be a JSON object.
    pub(crate) async fn json(&mut self) -> Value {
        let frame = self.frame().await;
        assert_eq!(frame.opcode, TEXT, "{frame:?}");
        serde_json::from_slice(&frame.payload).unwrap()
    }

    /// The next message, which has to be of this type; `event` for those without.
    pub(crate) async fn message(&mut self, kind: &str) -> Value {
        let message = self.json().await;
        let found = message["type"].as_str().unwrap_or("event");
        assert_eq!(found, kind, "{message}");
        message
    }

    /// Reads up to the close frame: its code and reason.
    pub(crate) async fn close(&mut self) -> (u16, String) {
        within(async {
            loop {
                let Frame { opcode, payload } = self.frame().await;
                if opcode == CLOSE {
                    let code = u16::from_be_bytes([payload[0], payload[1]]);
                    return (code, String::from_utf8(payload[2..].to_vec()).unwrap());
                }
            }
        })
        .await
    }
}

/// An opening handshake, with the key of RFC 6455's example.
pub(crate) fn handshake(target: &str, headers: &[(&str, &str)]) -> String {
    let fixed = [
        ("Connection", "keep-alive, Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    get(target, &[&fixed, headers].concat())
}

/// A whole, masked frame.
pub(crate) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = frame_head(0x80 | opcode, payload.len());
    bytes.extend_from_slice(&MASK);
    let masked = payload.iter().zip(MASK.iter().cycle());
    bytes.extend(masked.map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The start of a masked frame: its first byte, and its length in the shortest form.
pub(crate) fn frame_head(first: u8, length: usize) -> Vec<u8> {
    match length {
        0..126 => vec![first, 0x80 | length as u8],
        126..0x1_0000 => {
            let [high, low] = (length as u16).to_be_bytes();
            vec![first, 0xfe, high, low]
        }
        _ => [&[first, 0xff], &(length as u64).to_be_bytes()[..]].concat(),
    }
}

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;
const MASK: [u8; 4] = [0x1f, 0x2e, 0x3d, 0x4c];
