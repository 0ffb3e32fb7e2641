//! HTTP/2, by the h2 crate.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use h2::client::{Builder, Connection, SendRequest};
use h2::ext::Protocol;
use http::{Method, Request, StatusCode, Version};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Ask, Decoder, Sink, Transport};

pub(super) async fn speak<S>(io: S, ask: Ask, seen: Sink) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = Builder::new();
    let handshake = builder.enable_push(false).handshake(io).await;
    let (requests, mut connection) = handshake.map_err(|error| error.to_string())?;
    if ask.transport == Transport::WebSocket {
        connects(&requests, &mut connection).await?;
    }
    tokio::select! {
        biased;
        ended = &mut connection => ended.map_err(|error| error.to_string()),
        result = exchange(requests, ask, &seen) => result,
    }
}

type Bytes = std::io::Cursor<Vec<u8>>;

/// Waits for the server to have said that it takes an extended CONNECT.
async fn connects<S>(
    requests: &SendRequest<Bytes>,
    connection: &mut Connection<S, Bytes>,
) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    poll_fn(|cx| {
        if let Poll::Ready(ended) = Pin::new(&mut *connection).poll(cx) {
            return Poll::Ready(Err(format!("ended with {ended:?}")));
        }
        match requests.is_extended_connect_protocol_enabled() {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    })
    .await
}

/// Asks on a stream of a connection, again and again if the transport does.
async fn exchange(
    mut requests: SendRequest<Bytes>,
    mut ask: Ask,
    seen: &Sink,
) -> Result<(), String> {
    let mut decoder = Decoder::new(ask.transport);
    let error = |error: h2::Error| error.to_string();
    loop {
        requests = requests.ready().await.map_err(error)?;
        let (request, is_whole) = request(&ask);
        let sent = requests.send_request(request, is_whole);
        let (response, mut send) = sent.map_err(error)?;
        let (head, mut body) = response.await.map_err(error)?.into_parts();
        if head.status != StatusCode::OK {
            return Err(format!("answered with {head:?}"));
        }
        while let Some(data) = body.data().await {
            let data = data.map_err(error)?;
            // Of what a cut left there may be nothing to release to.
            let _ = body.flow_control().release_capacity(data.len());
            seen.with(|seen| decoder.decode(&data, seen))?;
            let reply = decoder.reply();
            if !reply.is_empty() {
                let _ = send.send_data(Bytes::new(reply), decoder.is_closed());
            }
        }
        seen.with(|seen| decoder.ended(seen))?;
        match decoder.again() {
            Some(id) => ask.id = id.or(ask.id),
            None => return Ok(()),
        }
    }
}

/// A request's head, and whether nothing follows it.
pub(crate) fn request(ask: &Ask) -> (Request<()>, bool) {
    let uri = format!("http://events.test{}", ask.target());
    let mut request = Request::builder().uri(uri).version(Version::HTTP_2);
    if let Some(id) = ask.id_header() {
        request = request.header("last-event-id", id);
    }
    if ask.transport == Transport::WebSocket {
        request = request
            .method(Method::CONNECT)
            .header("sec-websocket-version", "13")
            .extension(Protocol::from_static("websocket"));
    }
    let is_whole = ask.transport != Transport::WebSocket;
    (request.body(()).expect("a valid request"), is_whole)
}
