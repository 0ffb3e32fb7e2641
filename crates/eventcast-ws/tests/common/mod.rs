//! A client that speaks raw frames, and what the tests share.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use eventcast_core::{
    ChannelName, Epoch, Event, Hub, HubConfig, Payload, Position, Retention, Session, Sleep, Start,
    Timer,
};
use eventcast_ws::{ClientHandler, ErrorCode, Refusal, SubscribeOnly, WsConfig, WsEnd, serve};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

pub struct TokioTimer;

impl Timer for TokioTimer {
    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A hub whose ids begin with `00000007`, and whose channels keep `count` events.
pub fn hub_keeping(count: usize) -> Hub {
    let config = HubConfig::new()
        .with_epoch(Epoch::from_bits(7))
        .with_retention(Retention::new().with_count(count));
    Hub::with_config(config)
}

pub fn hub() -> Hub {
    hub_keeping(100)
}

pub fn earliest(hub: &Hub, channel: &str) -> Session {
    hub.session()
        .start(Start::Earliest)
        .channel(channel)
        .open()
        .unwrap()
}

/// Publishes to the hub, but nothing to do with the channel `secret`.
pub struct Publishing(pub Hub);

#[async_trait]
impl ClientHandler for Publishing {
    async fn authorize_subscribe(&self, channel: &ChannelName) -> Result<(), Refusal> {
        if channel.as_str() == "secret" {
            return Err(Refusal::new(ErrorCode::Forbidden, "no"));
        }
        Ok(())
    }

    async fn publish(&self, channel: ChannelName, event: Event) -> Result<Position, Refusal> {
        self.authorize_subscribe(&channel).await?;
        Ok(self.0.publish(channel, event).await?)
    }
}

/// Answers requests, and sends plain messages back, but for the text `none` and what it refuses.
pub struct Answering;

#[async_trait]
impl ClientHandler for Answering {
    async fn authorize_subscribe(&self, _: &ChannelName) -> Result<(), Refusal> {
        Ok(())
    }

    async fn publish(&self, _: ChannelName, _: Event) -> Result<Position, Refusal> {
        Err(Refusal::new(ErrorCode::Forbidden, "no"))
    }

    async fn request(&self, name: &str, payload: Payload) -> Result<Payload, Refusal> {
        match name {
            "echo" => Ok(payload),
            "late" => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(payload)
            }
            _ => Err(Refusal::new(ErrorCode::RateLimited, "not now")),
        }
    }

    async fn message(&self, message: Payload) -> Result<Option<Payload>, Refusal> {
        let text = message.as_str().unwrap_or_default();
        if let Some(reason) = text.strip_prefix("refuse ") {
            return Err(Refusal::new(ErrorCode::BadRequest, reason.to_owned()));
        }
        Ok((text != "none").then_some(message))
    }
}

pub struct Peer<S = DuplexStream> {
    pub io: S,
}

pub fn start(session: Session, config: WsConfig) -> (Peer, JoinHandle<WsEnd>) {
    start_with(session, Arc::new(SubscribeOnly), config, 1 << 20)
}

pub fn start_with(
    session: Session,
    handler: Arc<dyn ClientHandler>,
    config: WsConfig,
    room: usize,
) -> (Peer, JoinHandle<WsEnd>) {
    let (ours, theirs) = tokio::io::duplex(room);
    let connection = serve(theirs, session, handler, Arc::new(TokioTimer), config);
    (Peer { io: ours }, tokio::spawn(connection))
}

#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    pub first: u8,
    pub payload: Vec<u8>,
}

pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;

/// A client's frame, masked.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x1f, 0x2e, 0x3d, 0x4c];
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
    bytes
}

pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason.as_bytes()].concat()
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub async fn send(&mut self, first: u8, payload: impl AsRef<[u8]>) {
        self.send_raw(&frame(first, payload.as_ref())).await;
    }

    pub async fn send_raw(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
    }

    pub async fn request(&mut self, text: &str) {
        self.send(TEXT, text).await;
    }

    /// The next frame, which has to be unmasked; `None` at the end of the stream.
    pub async fn frame(&mut self) -> Option<Frame> {
        let first = self.io.read_u8().await.ok()?;
        let length = match self.io.read_u8().await.unwrap() {
            126 => u64::from(self.io.read_u16().await.unwrap()),
            127 => self.io.read_u64().await.unwrap(),
            length => u64::from(length),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.io.read_exact(&mut payload).await.unwrap();
        Some(Frame { first, payload })
    }

    /// The next text message, pings left out.
    pub async fn text(&mut self) -> String {
        loop {
            let frame = self.frame().await.expect("the stream has not ended");
            if frame.first == PING {
                continue;
            }
            assert_eq!(
                frame.first,
                TEXT,
                "{:?}",
                String::from_utf8_lossy(&frame.payload)
            );
            return String::from_utf8(frame.payload).unwrap();
        }
    }

    /// Code and reason of the close frame that has to be next.
    pub async fn close(&mut self) -> (u16, String) {
        let frame = self.frame().await.expect("a close frame");
        assert_eq!(
            frame.first,
            CLOSE,
            "{:?}",
            String::from_utf8_lossy(&frame.payload)
        );
        let code = u16::from_be_bytes([frame.payload[0], frame.payload[1]]);
        (
            code,
            String::from_utf8(frame.payload[2..].to_vec()).unwrap(),
        )
    }

    pub async fn expect(&mut self, messages: &[&str]) {
        for message in messages {
            assert_eq!(self.text().await, *message);
        }
    }
}
