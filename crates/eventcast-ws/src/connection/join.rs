//! Subscribing: what the log has of the channels is awaited, while other requests go on.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use eventcast_core::{ChannelSelector, Joining, Start, SubscribeError, SubscriptionOptions, Timer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::state::Connection;
use crate::codec::{Action, Channels, Reply, Request, RequestRef, Subscribe};
use crate::handler::ClientHandler;
use crate::refusal::Refusal;

/// A subscription whose channels the log is asked about.
pub(super) struct PendingJoin {
    reference: Option<RequestRef>,
    outcome: Pin<Box<dyn Future<Output = Prepared> + Send>>,
    /// The next request about the session's channels: it has to wait.
    held: Option<Request>,
}

type Prepared = Result<(Subscribe, Joining), Refusal>;

impl PendingJoin {
    pub(super) fn holds_request(&self) -> bool {
        self.held.is_some()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Asks the log about channels that the client may have.
    pub(super) fn begin_join(&mut self, reference: Option<RequestRef>, request: Subscribe) {
        let channels = request.channels.clone();
        let joining = self.session.prepare(channels, request.start);
        let (handler, timer) = (Arc::clone(&self.handler), Arc::clone(&self.timer));
        self.join = Some(Box::new(PendingJoin {
            reference,
            outcome: Box::pin(prepare(handler, timer, request, joining)),
            held: None,
        }));
    }

    /// Answers the subscription at hand once the log has answered; `false` while a request waits
    /// for that.
    pub(super) fn poll_join(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(join) = &mut self.join else {
            return true;
        };
        let Poll::Ready(outcome) = join.outcome.as_mut().poll(cx) else {
            return !join.holds_request();
        };
        let (reference, held) = (join.reference.take(), join.held.take());
        self.join = None;
        let reply = match outcome {
            Ok((request, joining)) => self.subscribe(request, joining),
            Err(refusal) => Reply::Error(refusal),
        };
        self.reply(&reply, reference.as_ref());
        if let Some(request) = held {
            self.act(request);
        }
        true
    }

    /// Keeps a request about the session's channels until those that are joining are there.
    pub(super) fn behind_join(&mut self, request: Request) -> Option<Request> {
        let is_of_channels = matches!(
            request.action,
            Action::Subscribe(_) | Action::Unsubscribe { .. } | Action::Update { .. }
        );
        match &mut self.join {
            Some(join) if is_of_channels => {
                join.held = Some(request);
                None
            }
            _ => Some(request),
        }
    }

    fn subscribe(&mut self, request: Subscribe, joining: Joining) -> Reply {
        let Subscribe {
            channels,
            start,
            slow,
            presence,
            state,
        } = request;
        let entered = match presence {
            Some(true) => self.handler.enter(&channels, state).map(|()| true),
            Some(false) => Ok(false),
            None => self.handler.may_enter(&channels),
        };
        let told = match entered {
            Ok(told) => told,
            Err(refusal) => return Reply::Error(refusal),
        };
        let options = SubscriptionOptions::new()
            .with_slow(slow)
            .with_presence(told);
        match self.session.join(joining, &options) {
            Ok(joined) => {
                let pages = channels.into_iter().zip(joined.history);
                Reply::Subscribed(Channels {
                    channels: self.session.channels(),
                    position: joined.position,
                    history: pages.filter(|_| start != Start::Live).collect(),
                })
            }
            Err(error) => {
                let carried = self.session.channels();
                let missing = channels.into_iter().filter(|c| !carried.contains(c));
                self.handler.leave(&missing.collect::<Vec<_>>());
                Reply::Error(error.into())
            }
        }
    }
}

impl fmt::Debug for PendingJoin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingJoin")
            .field("reference", &self.reference)
            .field("held", &self.held)
            .finish_non_exhaustive()
    }
}

/// Waits for the log, but not without end.
async fn prepare(
    handler: Arc<dyn ClientHandler>,
    timer: Arc<dyn Timer>,
    request: Subscribe,
    joining: impl Future<Output = Result<Joining, SubscribeError>>,
) -> Prepared {
    let mut joining = pin!(joining);
    let mut late = None;
    let joining = poll_fn(|cx| match joining.as_mut().poll(cx) {
        Poll::Ready(joining) => Poll::Ready(joining),
        Poll::Pending => {
            let late = late.get_or_insert_with(|| timer.sleep(LOG_TIMEOUT));
            let late = late.as_mut().poll(cx);
            late.map(|()| Err(SubscribeError::Unavailable))
        }
    });
    let joining = joining.await?;
    let request = match late {
        // It may have been taken back meanwhile.
        Some(_) => authorize(&*handler, request).await?,
        None => request,
    };
    Ok((request, joining))
}

/// All channels are looked at, so that the client is told of each that it may not have.
pub(super) async fn authorize(
    handler: &dyn ClientHandler,
    request: Subscribe,
) -> Result<Subscribe, Refusal> {
    let mut refused = Vec::new();
    let mut first = None;
    for channel in &request.channels {
        let allowed = match channel {
            ChannelSelector::Channel(name) => handler.authorize_subscribe(name).await,
            ChannelSelector::Pattern(pattern) => handler.authorize_pattern(pattern).await,
        };
        if let Err(refusal) = allowed {
            refused.push(channel.clone());
            first.get_or_insert(refusal);
        }
    }
    match first {
        Some(refusal) => Err(refusal.with_channels(refused)),
        None => Ok(request),
    }
}

/// How long a subscription waits for the log.
const LOG_TIMEOUT: Duration = Duration::from_secs(10);
