//! From the client to the session and the handler.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use eventcast_core::{ChannelSelector, Payload, Position};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::Message;

use super::join::authorize;
use super::state::{Connection, Exit};
use crate::codec::{
    Action, Channels, Rejected, Reply, Request, RequestRef, Subscribe, decode, plain_frame,
};
use crate::config::Mode;
use crate::end::CloseCode;
use crate::refusal::Refusal;

/// A request that its handler works on.
pub(super) struct PendingReply {
    reference: Option<RequestRef>,
    outcome: Pin<Box<dyn Future<Output = Outcome> + Send>>,
}

/// What a handler decided.
enum Outcome {
    Answered(Result<Payload, Refusal>),
    Message(Result<Option<Payload>, Refusal>),
    Published(Result<Position, Refusal>),
    Refreshed(Result<(), Refusal>),
    Subscribe(Result<Subscribe, Refusal>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Reads and answers what there is, unless a handler is at work, a request waits for another, or
    /// too much waits to be written. Returns how much was done.
    pub(super) fn poll_inbound(&mut self, cx: &mut Context<'_>) -> Result<usize, Exit> {
        let mut done = 0;
        while done < READS {
            let reads = self.poll_join(cx);
            if !(self.poll_pending(cx)? && reads) {
                return Ok(done);
            }
            if self.is_full() || self.is_silent(cx) {
                return Ok(done);
            }
            match self.read_message(cx) {
                Ok(message) => self.receive(message, cx)?,
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(done);
                }
                Err(error) => return Err(failure(&error)),
            }
            done += 1;
        }
        Ok(done)
    }

    /// Answers the request at hand once its handler is done; `false` while it is not.
    fn poll_pending(&mut self, cx: &mut Context<'_>) -> Result<bool, Exit> {
        let Some(pending) = &mut self.pending else {
            return Ok(true);
        };
        let Poll::Ready(outcome) = pending.outcome.as_mut().poll(cx) else {
            return Ok(false);
        };
        let reference = self.pending.take().and_then(|pending| pending.reference);
        let reply = match outcome {
            Outcome::Message(answer) => return self.send_back(answer).map(|()| true),
            Outcome::Answered(Ok(payload)) => Reply::Answer(payload),
            Outcome::Published(Ok(id)) => Reply::Published(id),
            Outcome::Refreshed(Ok(())) => Reply::Refreshed,
            Outcome::Subscribe(Ok(request)) => {
                self.begin_join(reference, request);
                self.poll_join(cx);
                return Ok(true);
            }
            Outcome::Answered(Err(refusal))
            | Outcome::Published(Err(refusal))
            | Outcome::Refreshed(Err(refusal))
            | Outcome::Subscribe(Err(refusal)) => Reply::Error(refusal),
        };
        self.reply(&reply, reference.as_ref());
        Ok(true)
    }

    /// Plain mode has no form for errors: a message that is refused ends the connection.
    fn send_back(&mut self, answer: Result<Option<Payload>, Refusal>) -> Result<(), Exit> {
        let payload = answer.map_err(|refusal| unsupported(refusal.into_message()))?;
        for part in payload.iter().flat_map(plain_frame) {
            self.queue.push(part);
        }
        Ok(())
    }

    fn receive(&mut self, message: Message, cx: &mut Context<'_>) -> Result<(), Exit> {
        match (message, self.config.mode()) {
            (Message::Text(text), Mode::Json) => self.request(&text),
            (Message::Binary(_), Mode::Json) => {
                Err(unsupported("requests are text messages".into()))
            }
            (Message::Text(text), Mode::Plain) => self.plain_message(Payload::text(text.as_str())),
            (Message::Binary(bytes), Mode::Plain) => self.plain_message(Payload::binary(bytes)),
            (Message::Close(frame), _) => {
                let code = frame.map(|frame| frame.code.into());
                // That its answer ends the socket is no news.
                let _ = self.queue_answers(cx);
                Err(Exit::PeerClosed(code))
            }
            (Message::Ping(_), _) => self.queue_answers(cx).map_err(|error| failure(&error)),
            (Message::Pong(_) | Message::Frame(_), _) => Ok(()),
        }
    }

    fn plain_message(&mut self, payload: Payload) -> Result<(), Exit> {
        if let Err(refusal) = self.handler.admit() {
            return Err(Exit::Fail(CloseCode::Policy, refusal.into_message()));
        }
        let handler = Arc::clone(&self.handler);
        self.pending = Some(PendingReply {
            reference: None,
            outcome: Box::pin(async move { Outcome::Message(handler.message(payload).await) }),
        });
        Ok(())
    }

    fn request(&mut self, text: &str) -> Result<(), Exit> {
        let decoded = decode(text);
        // What makes no sense is work, too.
        if let Err(refusal) = self.handler.admit() {
            self.refused += 1;
            if self.refused >= MAX_REFUSED {
                return Err(Exit::Fail(CloseCode::Policy, refusal.into_message()));
            }
            let reference = match decoded {
                Ok(request) => request.reference,
                Err(rejected) => rejected.reference,
            };
            self.reply(&Reply::Error(refusal), reference.as_ref());
            return Ok(());
        }
        self.refused = 0;
        match decoded {
            Ok(request) => self.act(request),
            Err(Rejected { reference, refusal }) => {
                self.reply(&Reply::Error(refusal), reference.as_ref());
            }
        }
        Ok(())
    }

    pub(super) fn act(&mut self, request: Request) {
        let Some(Request { reference, action }) = self.behind_join(request) else {
            return;
        };
        let handler = Arc::clone(&self.handler);
        let outcome: Pin<Box<dyn Future<Output = Outcome> + Send>> = match action {
            Action::Ping => return self.reply(&Reply::Pong, reference.as_ref()),
            Action::Unsubscribe { channels } => {
                let reply = self.unsubscribe(&channels);
                return self.reply(&reply, reference.as_ref());
            }
            Action::Update { channel, state } => {
                let reply = match handler.update(&channel, state) {
                    Ok(()) => Reply::Updated,
                    Err(refusal) => Reply::Error(refusal),
                };
                return self.reply(&reply, reference.as_ref());
            }
            Action::Publish { channel, event } => {
                Box::pin(async move { Outcome::Published(handler.publish(channel, event).await) })
            }
            Action::Refresh { token } => {
                Box::pin(async move { Outcome::Refreshed(handler.refresh(&token).await) })
            }
            Action::Request { name, payload } => {
                Box::pin(async move { Outcome::Answered(handler.request(&name, payload).await) })
            }
            Action::Subscribe(request) => {
                Box::pin(async move { Outcome::Subscribe(authorize(&*handler, request).await) })
            }
        };
        self.pending = Some(PendingReply { reference, outcome });
    }

    fn unsubscribe(&mut self, channels: &[ChannelSelector]) -> Reply {
        for channel in channels {
            self.session.unsubscribe(channel.as_str());
        }
        self.handler.leave(channels);
        Reply::Unsubscribed(Channels {
            channels: self.session.channels(),
            position: self.session.honoured_position(),
            history: Vec::new(),
        })
    }

    pub(super) fn reply(&mut self, reply: &Reply, reference: Option<&RequestRef>) {
        if let Reply::Error(refusal) = reply {
            self.handler.refused(refusal.code());
        }
        self.queue.push(reply.encode(reference));
    }
}

impl fmt::Debug for PendingReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingReply")
            .field("reference", &self.reference)
            .finish_non_exhaustive()
    }
}

/// Tungstenite sends no close frame for its errors: which one is due.
pub(super) fn failure(error: &Error) -> Exit {
    match error {
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Exit::vanished(),
        Error::Protocol(_) | Error::AttackAttempt => {
            Exit::Fail(CloseCode::ProtocolError, "protocol error".into())
        }
        Error::Capacity(_) => Exit::Fail(CloseCode::TooLarge, "message too large".into()),
        Error::Utf8(_) => Exit::Fail(CloseCode::InvalidData, "not UTF-8".into()),
        _ => Exit::vanished(),
    }
}

fn unsupported(reason: Cow<'static, str>) -> Exit {
    Exit::Fail(CloseCode::Unsupported, reason)
}

/// A client that does not listen when it is told so often that it sends too much is cut off.
const MAX_REFUSED: u32 = 1_000;
/// So many messages, then events have their turn.
const READS: usize = 16;
