//! Connects, and comes back until there is no more use in it.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::backoff::{Backoff, Hint, random};
use crate::connection::Context;
use crate::delivery::Delivery;
use crate::ended::Ended;
use crate::error::{ClientError, Interruption, is_temporary};
use crate::exchange::Refused;
use crate::feed::Feed;
use crate::pace::Pace;
use crate::transport::{Choice, Transport};

/// The task of a client.
pub(crate) struct Driver {
    pub(crate) context: Context,
    pub(crate) feed: Feed,
    pub(crate) choice: Choice,
    pub(crate) backoff: Backoff,
    pub(crate) pace: Pace,
    /// The token was made anew for a 401, and no connection has opened since.
    pub(crate) refreshed: bool,
}

/// What to do after a connection.
enum Next {
    AtOnce(Interruption),
    Pause(Hint, Interruption),
    Stop(Option<ClientError>),
}

impl Driver {
    pub(crate) async fn run(mut self) {
        loop {
            let transport = self.choice.current();
            self.feed.begin(transport);
            self.pace.note(Instant::now());
            let ended = tokio::select! {
                ended = self.context.run(transport, &mut self.feed) => ended,
                () = self.context.state.changed.notified() => Interruption::Changed.into(),
            };
            self.context.state.set_live(None);
            if self.feed.opened {
                self.choice.worked();
                self.refreshed = false;
            }
            if self.feed.progressed {
                self.backoff.succeeded();
            }
            if let Some(retry) = self.feed.retry {
                self.backoff.set_base(retry);
            }
            match self.next(ended) {
                Next::AtOnce(cause) => match self.pace.wait(Instant::now()) {
                    Duration::ZERO => {}
                    after => self.pause(after, cause).await,
                },
                Next::Pause(hint, cause) => {
                    let after = self.backoff.wait(hint, random());
                    let after = after.max(self.pace.wait(Instant::now()));
                    self.pause(after, cause).await;
                }
                Next::Stop(error) => {
                    self.context.state.end();
                    if let Some(error) = error {
                        self.feed.tell(Err(error)).await;
                    }
                    return;
                }
            }
        }
    }

    async fn pause(&mut self, after: Duration, cause: Interruption) {
        let cause = Arc::new(cause);
        self.feed
            .tell(Ok(Delivery::Reconnecting { after, cause }))
            .await;
        tokio::time::sleep(after).await;
    }

    fn next(&mut self, ended: Ended) -> Next {
        match ended {
            Ended::Completed | Ended::Gone => Next::Stop(None),
            Ended::Final(error) => Next::Stop(Some(error)),
            Ended::Draining { retry } => {
                let hint = retry.map_or(Hint::None, Hint::About);
                Next::Pause(hint, Interruption::Ended("draining".to_owned()))
            }
            Ended::Broken(Interruption::Changed) => Next::AtOnce(Interruption::Changed),
            Ended::Broken(cause) => self.broken(cause),
            Ended::Refused(refused) => self.refused(refused),
        }
    }

    fn broken(&mut self, cause: Interruption) -> Next {
        // Where no server is, another transport finds none either.
        let elsewhere = matches!(cause, Interruption::Unreachable(_) | Interruption::Token(_));
        if !self.feed.opened && !elsewhere && self.choice.blocked() {
            return Next::AtOnce(cause);
        }
        Next::Pause(Hint::None, cause)
    }

    fn refused(&mut self, refused: Refused) -> Next {
        let status = refused.status;
        let unavailable = Interruption::Unavailable(status);
        let can_refresh = self.context.credentials.can_refresh() && !self.refreshed;
        if status == StatusCode::UNAUTHORIZED && can_refresh {
            self.refreshed = true;
            return Next::AtOnce(unavailable);
        }
        // Something on the way may let another transport through, and may have spoilt a handshake.
        let is_websocket = self.choice.current() == Transport::WebSocket;
        if !refused.by_service || is_websocket && is_of_handshake(status) {
            let was_last = self.choice.is_last();
            if self.choice.blocked() {
                return Next::AtOnce(unavailable);
            }
            if !was_last {
                return Next::Pause(hint(&refused), unavailable);
            }
        }
        if is_temporary(status) {
            return Next::Pause(hint(&refused), unavailable);
        }
        let detail = refused.detail;
        Next::Stop(Some(match status {
            StatusCode::UNAUTHORIZED => ClientError::Unauthorized { detail },
            _ => ClientError::Refused { status, detail },
        }))
    }
}

/// What the service answers to a handshake that it does not understand.
fn is_of_handshake(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST | StatusCode::UPGRADE_REQUIRED | StatusCode::NOT_IMPLEMENTED
    )
}

fn hint(refused: &Refused) -> Hint {
    let retry_after: Option<Duration> = refused.retry_after;
    retry_after.map_or(Hint::None, Hint::NotBefore)
}
