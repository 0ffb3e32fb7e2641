//! A WebSocket in JSON mode.

use std::collections::HashMap;
use std::convert::Infallible;

use futures_util::{SinkExt, StreamExt};
use http::header::{CONNECTION, HOST, HeaderMap, HeaderValue, UPGRADE};
use http::header::{SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION};
use http::{HeaderName, Request, Uri};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Error};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::Context;
use crate::dial::{Purpose, Wire};
use crate::ended::Ended;
use crate::error::{ClientError, Interruption};
use crate::exchange::Refused;
use crate::feed::Feed;
use crate::message::{Answer, Kind, Message, garbled, shortened};
use crate::state::{Command, Link};

type Socket = WebSocketStream<Wire>;

pub(super) async fn run(
    context: &Context,
    headers: HeaderMap,
    feed: &mut Feed,
) -> Result<Infallible, Ended> {
    let uri = context.uri("ws", feed, &[])?;
    let connecting = timeout(context.connect_timeout, connect(context, uri, headers));
    let mut socket = match connecting.await {
        Ok(connected) => connected?,
        Err(_) => return Err(Interruption::Silent(context.connect_timeout).into()),
    };
    let (sender, mut commands) = mpsc::channel(COMMANDS);
    feed.set_link(Link::Socket(sender));
    feed.answered(context.connect_timeout);
    let mut waiting = HashMap::new();
    let mut next = 0_u64;
    loop {
        let patience = feed.patience(context.connect_timeout);
        // What waits for an answer is bounded: nothing more is asked meanwhile.
        let may_ask = waiting.len() < COMMANDS;
        tokio::select! {
            message = timeout(patience, socket.next()) => {
                let message = match message {
                    Err(_) => return Err(Interruption::Silent(patience).into()),
                    Ok(None) => return Err(Interruption::Cut(None).into()),
                    Ok(Some(message)) => message.map_err(|error| broken(error, context))?,
                };
                let taken = take(message, feed, &mut waiting).await;
                if let Err(Ended::Completed) = &taken {
                    let _ = timeout(context.connect_timeout, socket.close(None)).await;
                }
                taken?;
            }
            Some(command) = commands.recv(), if may_ask => {
                next += 1;
                let Command { mut body, answer } = command;
                body.insert("ref".to_owned(), next.into());
                waiting.insert(next, answer);
                let text = serde_json::Value::Object(body).to_string();
                let sending = socket.send(tungstenite::Message::text(text));
                match timeout(context.connect_timeout, sending).await {
                    Err(_) => return Err(Interruption::Silent(context.connect_timeout).into()),
                    Ok(sent) => sent.map_err(|error| broken(error, context))?,
                }
            }
        }
    }
}

async fn take(
    message: tungstenite::Message,
    feed: &mut Feed,
    waiting: &mut HashMap<u64, oneshot::Sender<Answer>>,
) -> Result<(), Ended> {
    match message {
        tungstenite::Message::Text(text) => {
            let mut message = Message::read(&text)?;
            if let Kind::Answer(number, answer) = message.kind {
                if let Some(asker) = waiting.remove(&number) {
                    // Who asked may be gone.
                    let _ = asker.send(answer);
                }
                message.kind = Kind::Position;
            }
            feed.take(message).await
        }
        tungstenite::Message::Close(frame) => Err(closed(frame)),
        tungstenite::Message::Binary(_) => Err(garbled("a binary message").into()),
        _ => {
            feed.heard();
            Ok(())
        }
    }
}

fn closed(frame: Option<CloseFrame>) -> Ended {
    let Some(frame) = frame else {
        return Interruption::Cut(None).into();
    };
    match u16::from(frame.code) {
        1000 => Ended::Completed,
        1001 => Ended::Final(ClientError::Closed),
        1012 => Ended::Draining { retry: None },
        _ => Interruption::Ended(shortened(frame.reason.to_string())).into(),
    }
}

async fn connect(context: &Context, uri: Uri, headers: HeaderMap) -> Result<Socket, Ended> {
    let connecting = context.connector.connect(&uri, Purpose::WebSocket);
    let wire = connecting.await;
    let wire = wire.map_err(|error| Interruption::Unreachable(error.into()))?;
    let mut request = Request::new(());
    *request.headers_mut() = headers;
    let host = context.target.authority.as_str();
    let key = generate_key();
    let own: [(HeaderName, &str); 6] = [
        (HOST, host),
        (CONNECTION, "Upgrade"),
        (UPGRADE, "websocket"),
        (SEC_WEBSOCKET_VERSION, "13"),
        (SEC_WEBSOCKET_KEY, &key),
        (SEC_WEBSOCKET_PROTOCOL, "eventcast.v1+json"),
    ];
    for (name, value) in own {
        let value = HeaderValue::from_str(value).map_err(garbled)?;
        request.headers_mut().insert(name, value);
    }
    *request.uri_mut() = uri;
    let limit = context.max_message;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_WRITE)
        .max_message_size(Some(limit))
        .max_frame_size(Some(limit));
    match client_async_with_config(request, wire, Some(config)).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) if response.status().is_success() => {
            Err(garbled("no WebSocket").into())
        }
        Err(Error::Http(response)) => {
            let body = response.body().as_deref().unwrap_or_default();
            let refused = Refused::new(response.status(), response.headers(), body);
            Err(Ended::Refused(refused))
        }
        Err(Error::Io(error)) => Err(Interruption::Cut(Some(error.into())).into()),
        Err(error) => Err(garbled(error).into()),
    }
}

fn broken(error: Error, context: &Context) -> Ended {
    match error {
        Error::Capacity(_) => Ended::Final(ClientError::TooLarge {
            limit: context.max_message,
        }),
        Error::Protocol(_) | Error::Utf8(_) => garbled(error).into(),
        error => Interruption::Cut(Some(error.into())).into(),
    }
}

/// How many changes of the session wait to be sent, and as many for their answers.
const COMMANDS: usize = 16;
const READ_BUFFER: usize = 16 << 10;
/// More than any change of a session takes.
const MAX_WRITE: usize = 1 << 20;
