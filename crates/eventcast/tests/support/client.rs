//! A connection, and what an HTTP response is made of.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::within;

/// A connection, with what was received and not looked at yet.
pub(crate) struct Client {
    stream: TcpStream,
    pub(crate) received: BytesMut,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::new(within(TcpStream::connect(address)).await.unwrap())
    }

    /// One whose kernel takes little that is not read.
    pub(crate) async fn connect_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(8 << 10).unwrap();
        Self::new(within(socket.connect(address)).await.unwrap())
    }

    fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            received: BytesMut::new(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.unwrap();
    }

    /// Sends to a server that may have closed.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        within(self.try_send_for_ever(bytes)).await
    }

    /// The same without a deadline, for tests that have their own.
    pub(crate) async fn try_send_for_ever(
        &mut self,
        bytes: impl AsRef<[u8]>,
    ) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await
    }

    /// Says that nothing more will be sent.
    pub(crate) async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Cuts the connection with a RST.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }

    /// Receives more; `false` at the end, be it a proper one or not. Without a deadline: what comes
    /// may be nothing but heartbeats, so the whole wait has one.
    pub(crate) async fn receive(&mut self) -> bool {
        self.received.reserve(64 << 10);
        let received = self.stream.read_buf(&mut self.received).await;
        received.is_ok_and(|count| count > 0)
    }

    /// Takes everything up to and with `needle`.
    pub(crate) async fn take_until(&mut self, needle: &str) -> Vec<u8> {
        within(async {
            loop {
                if let Some(taken) = take_through(&mut self.received, needle.as_bytes()) {
                    return taken.to_vec();
                }
                assert!(
                    self.receive().await,
                    "ended before {needle:?}, after {:?}",
                    String::from_utf8_lossy(&self.received)
                );
            }
        })
        .await
    }

    /// Takes exactly so many bytes.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<u8> {
        within(async {
            while self.received.len() < count {
                assert!(self.receive().await, "ended before {count} bytes");
            }
        })
        .await;
        self.received.split_to(count).to_vec()
    }

    /// Takes everything up to the end of the connection.
    pub(crate) async fn take_all(&mut self) -> Vec<u8> {
        within(async { while self.receive().await {} }).await;
        self.received.split().to_vec()
    }

    pub(crate) async fn head(&mut self) -> Head {
        Head::parse(self.take_until("\r\n\r\n").await)
    }

    /// Reads a response that ends.
    pub(crate) async fn response(&mut self) -> Response {
        let head = self.head().await;
        let body = if let Some(length) = head.header("content-length") {
            self.take(length.parse().unwrap()).await
        } else if head.header("transfer-encoding") == Some("chunked") {
            let mut body = BytesMut::new();
            within(async {
                while !unchunk(&mut self.received, &mut body) {
                    assert!(self.receive().await, "a body without an end");
                }
            })
            .await;
            body.to_vec()
        } else {
            Vec::new()
        };
        Response { head, body }
    }
}

/// A response's status line and headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) text: String,
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    fn parse(bytes: Vec<u8>) -> Self {
        let text = String::from_utf8(bytes).unwrap();
        let mut lines = text.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
        Self {
            status: status.parse().unwrap(),
            headers: headers.collect(),
            text,
        }
    }

    /// The value of a header that is there once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(other, _)| other == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "two of {name}: {}", self.text);
        value
    }

    /// The names of all headers, sorted.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }
}

/// A whole response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Checks that it refuses with this status, in a document as RFC 9457 has it.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16) {
        assert_eq!(self.head.status, status, "{self:?}");
        let kind = self.head.header("content-type");
        assert_eq!(kind, Some("application/problem+json"));
        let document = self.json();
        assert_eq!(document["status"], status);
        for key in ["title", "detail"] {
            let text = document[key].as_str().unwrap();
            assert!(!text.is_empty() && !text.contains(['\r', '\n']), "{text:?}");
        }
    }
}

/// Takes everything up to and with `needle`, if it is there.
pub(crate) fn take_through(from: &mut BytesMut, needle: &[u8]) -> Option<BytesMut> {
    let found = from.windows(needle.len()).position(|part| part == needle)?;
    Some(from.split_to(found + needle.len()))
}

/// Moves the data of whole chunks; `true` after the last.
pub(crate) fn unchunk(from: &mut BytesMut, into: &mut BytesMut) -> bool {
    while let Some(end) = from.windows(2).position(|part| part == b"\r\n") {
        let size = std::str::from_utf8(&from[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        let whole = end + 2 + size + 2;
        if from.len() < whole {
            return false;
        }
        into.extend_from_slice(&from[end + 2..][..size]);
        assert_eq!(&from[whole - 2..whole], b"\r\n", "a chunk's end");
        from.advance(whole);
        if size == 0 {
            return true;
        }
    }
    false
}
