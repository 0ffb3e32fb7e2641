//! An HTTP/2 client: the h2 crate over whatever stream there is.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use eventcast::sse::{ParsedEvent, Parser};
use h2::client::{Builder, SendRequest};
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::{Method, Request, Response, StatusCode, Version};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::{HOST, TestServer, within};

/// A connection.
pub(crate) struct Http2 {
    pub(crate) requests: SendRequest<Bytes>,
    /// Moves its bytes.
    pub(crate) running: JoinHandle<Result<(), h2::Error>>,
    scheme: &'static str,
}

impl Http2 {
    /// One that begins with HTTP/2 at once.
    pub(crate) async fn connect(server: &TestServer) -> Self {
        Self::connect_to(server.address, &wide()).await
    }

    pub(crate) async fn connect_to(address: SocketAddr, builder: &Builder) -> Self {
        let stream = within(TcpStream::connect(address)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream, "http", builder).await
    }

    /// One over a stream that is there.
    pub(crate) async fn over<S>(io: S, scheme: &'static str, builder: &Builder) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (requests, connection) = within(builder.handshake(io)).await.unwrap();
        Self {
            requests,
            running: tokio::spawn(connection),
            scheme,
        }
    }

    pub(crate) fn request(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Request<()> {
        let uri = format!("{}://{HOST}{target}", self.scheme);
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.version(Version::HTTP_2).body(()).unwrap()
    }

    /// Sends a request and its whole body, and reads the response's head.
    pub(crate) async fn try_send(
        &self,
        request: Request<()>,
        body: &'static str,
    ) -> Result<(Response<()>, Answer), h2::Error> {
        within(async {
            let mut requests = self.requests.clone().ready().await?;
            let (response, mut send) = requests.send_request(request, body.is_empty())?;
            if !body.is_empty() {
                send.send_data(body.into(), true)?;
            }
            let (parts, body) = response.await?.into_parts();
            Ok((Response::from_parts(parts, ()), Answer { send, body }))
        })
        .await
    }

    /// Asks for something and reads the whole answer.
    pub(crate) async fn ask(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: &'static str,
    ) -> Response<String> {
        let request = self.request(method, target, headers);
        let (response, mut answer) = self.try_send(request, body).await.unwrap();
        let mut text = Vec::new();
        while let Some(data) = answer.data().await {
            text.extend_from_slice(&data.unwrap());
        }
        response.map(|()| String::from_utf8(text).unwrap())
    }

    /// Opens an event stream.
    pub(crate) async fn stream(&self, target: &str, headers: &[(&str, &str)]) -> Events {
        let request = self.request(Method::GET, target, headers);
        let (head, answer) = self.try_send(request, "").await.unwrap();
        assert_eq!(head.status(), StatusCode::OK);
        assert_eq!(head.headers()["content-type"], "text/event-stream");
        Events {
            head,
            answer,
            text: BytesMut::new(),
            parser: Parser::new(),
        }
    }

    /// Sends an extended CONNECT, once the server has allowed it.
    pub(crate) async fn extended(
        &self,
        protocol: &str,
        target: &str,
        headers: &[(&str, &str)],
    ) -> (Response<()>, Answer) {
        // Its settings have come before its first answer.
        self.ask(Method::GET, "/healthz", &[], "").await;
        assert!(self.requests.is_extended_connect_protocol_enabled());
        let version = [("sec-websocket-version", "13")];
        let mut request = self.request(Method::CONNECT, target, &[&version, headers].concat());
        request.extensions_mut().insert(Protocol::from(protocol));
        within(async {
            let mut requests = self.requests.clone().ready().await.unwrap();
            let (response, send) = requests.send_request(request, false).unwrap();
            let (parts, body) = response.await.unwrap().into_parts();
            (Response::from_parts(parts, ()), Answer { send, body })
        })
        .await
    }

    /// Opens a WebSocket, and lets tungstenite speak it.
    pub(crate) async fn websocket(
        &self,
        target: &str,
        headers: &[(&str, &str)],
    ) -> (Response<()>, WebSocketStream<DuplexStream>) {
        let (head, answer) = self.extended("websocket", target, headers).await;
        assert_eq!(head.status(), StatusCode::OK);
        let socket = WebSocketStream::from_raw_socket(answer.into_io(), Role::Client, None);
        (head, socket.await)
    }

    /// Waits for the connection's proper end.
    pub(crate) async fn ended(self) {
        drop(self.requests);
        within(self.running).await.unwrap().unwrap();
    }
}

/// The rest of a response, and of its request.
pub(crate) struct Answer {
    pub(crate) send: SendStream<Bytes>,
    pub(crate) body: RecvStream,
}

impl Answer {
    /// The next data; the server may send more for it.
    pub(crate) async fn data(&mut self) -> Option<Result<Bytes, h2::Error>> {
        let data = within(self.body.data()).await?;
        if let Ok(data) = &data {
            let _ = self.body.flow_control().release_capacity(data.len());
        }
        Some(data)
    }

    pub(crate) fn reset(mut self) {
        self.send.send_reset(Reason::CANCEL);
    }

    /// A stream of bytes both ways.
    fn into_io(self) -> DuplexStream {
        let (near, far) = duplex(64 << 10);
        let (mut read, mut write) = tokio::io::split(far);
        let Self { mut send, mut body } = self;
        tokio::spawn(async move {
            while let Some(Ok(data)) = body.data().await {
                let _ = body.flow_control().release_capacity(data.len());
                if write.write_all(&data).await.is_err() {
                    return;
                }
            }
            let _ = write.shutdown().await;
        });
        tokio::spawn(async move {
            let mut bytes = BytesMut::new();
            while let Ok(1..) = tokio::io::AsyncReadExt::read_buf(&mut read, &mut bytes).await {
                if send.send_data(bytes.split().freeze(), false).is_err() {
                    return;
                }
            }
            let _ = send.send_data(Bytes::new(), true);
        });
        near
    }
}

/// An open event stream.
pub(crate) struct Events {
    pub(crate) head: Response<()>,
    pub(crate) answer: Answer,
    text: BytesMut,
    parser: Parser,
}

impl Events {
    /// The text of the next block; `None` at the stream's end, an error when it was cut.
    pub(crate) async fn try_block(&mut self) -> Result<Option<String>, h2::Error> {
        loop {
            if let Some(block) = super::client::take_through(&mut self.text, b"\n\n") {
                return Ok(Some(String::from_utf8(block.to_vec()).unwrap()));
            }
            match self.answer.data().await {
                Some(data) => self.text.extend_from_slice(&data?),
                None => return Ok(None),
            }
        }
    }

    /// The next event, control events too.
    pub(crate) async fn next(&mut self) -> Option<ParsedEvent> {
        let mut event = None;
        while event.is_none() {
            let block = self.try_block().await.unwrap()?;
            self.parser
                .push(block.as_bytes(), |parsed| event = Some(parsed))
                .unwrap();
        }
        event
    }

    /// The next event of a channel: the opening block is passed over, and nothing else.
    pub(crate) async fn event(&mut self) -> ParsedEvent {
        let mut next = self.next().await.expect("the stream goes on");
        if next.event_type() == "eventcast.open" {
            next = self.next().await.expect("the stream goes on");
        }
        assert!(!next.event_type().starts_with("eventcast."), "{next:?}");
        next
    }

    /// The next block, which has to be this control event: its document, and the last id after it.
    pub(crate) async fn control(&mut self, name: &str) -> (Value, String) {
        let event = self.next().await.expect("the stream goes on");
        assert_eq!(event.event_type(), format!("eventcast.{name}"), "{event:?}");
        let document = serde_json::from_str(&event.data).unwrap();
        (document, event.last_event_id)
    }

    /// Reads until the stream is cut, and tells how.
    pub(crate) async fn cut(&mut self) -> h2::Error {
        loop {
            match self.try_block().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it ended properly"),
                Err(error) => return error,
            }
        }
    }
}

/// A client whose connection takes much more than a stream, so that one that is not read leaves
/// room for the others.
pub(crate) fn wide() -> Builder {
    let mut builder = Builder::new();
    builder
        .initial_connection_window_size(16 << 20)
        .enable_push(false);
    builder
}

/// What a client sends first, when it speaks for itself.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An empty SETTINGS frame.
pub(crate) const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
