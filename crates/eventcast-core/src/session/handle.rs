//! Reaching a session from elsewhere: changing what it carries, and ending it.

use std::fmt;
use std::sync::{Arc, Weak};

use futures_channel::oneshot;

use super::join::Joined;
use super::joining::Joining;
use super::options::SubscriptionOptions;
use super::reader::Session;
use super::signal::Signal;
use crate::delivery::{Delivery, End, Subscribed};
use crate::error::SubscribeError;
use crate::log::Log;
use crate::selector::ChannelSelector;

/// Changes or ends a session from elsewhere; see [`Session::handle`]. It keeps no session alive.
///
/// ```
/// use eventcast_core::{ChannelSelector, Delivery, Event, Hub, SubscriptionOptions};
/// use futures_util::StreamExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub = Hub::new();
/// let mut session = hub.subscribe("news")?;
/// let handle = session.handle();
/// tokio::spawn(async move {
///     let sport: ChannelSelector = "sport".parse()?;
///     handle.subscribe(vec![sport], SubscriptionOptions::new()).await?;
///     Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
/// });
///
/// // Its reader is told, in place.
/// let Some(Delivery::Subscribed(now)) = session.next().await else { panic!() };
/// assert_eq!(now.channels.len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SessionHandle {
    signal: Arc<Signal>,
    log: Weak<Log>,
}

/// What a handle asks of a session's reader.
pub(crate) enum Change {
    Subscribe {
        joining: Joining,
        options: SubscriptionOptions,
        reply: oneshot::Sender<Result<Joined, SubscribeError>>,
    },
    Retain {
        keep: Box<Keep>,
        reply: oneshot::Sender<Result<Joined, SubscribeError>>,
    },
    Unsubscribe {
        channels: Vec<ChannelSelector>,
        reply: oneshot::Sender<Result<Joined, SubscribeError>>,
    },
}

type Keep = dyn Fn(&ChannelSelector) -> bool + Send;

/// Why a session was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// Its reader has too many changes to make already. A retry helps later.
    #[error("the session has too many changes waiting for its reader")]
    Busy,
    /// The session has ended. A retry is of no use.
    #[error("the session has ended")]
    Gone,
    /// The subscription was refused.
    #[error(transparent)]
    Refused(#[from] SubscribeError),
}

impl SessionHandle {
    pub(super) fn new(signal: Arc<Signal>, log: &Arc<Log>) -> Self {
        let log = Arc::downgrade(log);
        Self { signal, log }
    }

    pub(super) fn signal(&self) -> &Signal {
        &self.signal
    }

    /// Ends the session: the next thing it delivers is this end. A second call changes nothing.
    pub fn end(&self, end: End) {
        self.signal.end(end);
    }

    /// Adds channels and patterns, as [`Session::subscribe_with_async`], once the session is read
    /// the next time. Its reader finds a [`Delivery::Subscribed`] in that place: the position in the
    /// answer is no id to resume with, for what the reader was given before may still be on its
    /// way.
    ///
    /// # Errors
    /// [`ChangeError`]; the session is as it was.
    ///
    /// # Cancel safety
    /// Dropping it takes the request back, unless the session has seen it. Asking again is safe.
    pub async fn subscribe(
        &self,
        channels: Vec<ChannelSelector>,
        options: SubscriptionOptions,
    ) -> Result<Joined, ChangeError> {
        let log = self.log.upgrade().ok_or(ChangeError::Gone)?;
        let joining = Joining::read(log, channels, options.start).await?;
        let (reply, answer) = oneshot::channel();
        self.signal.change(Change::Subscribe {
            joining,
            options,
            reply,
        })?;
        Ok(answer.await.map_err(|_| ChangeError::Gone)??)
    }

    /// Removes channels and patterns, as [`Session::unsubscribe`], once the session is read the
    /// next time; those that are not there are passed over.
    ///
    /// # Errors
    /// [`ChangeError`], never [`ChangeError::Refused`].
    ///
    /// # Cancel safety
    /// As [`subscribe`](Self::subscribe).
    pub async fn unsubscribe(&self, channels: Vec<ChannelSelector>) -> Result<Joined, ChangeError> {
        let (reply, answer) = oneshot::channel();
        self.signal
            .change(Change::Unsubscribe { channels, reply })?;
        Ok(answer.await.map_err(|_| ChangeError::Gone)??)
    }

    /// Removes the channels and patterns for which `keep` says no, once the session is read the next
    /// time. Its reader is told only if there were some.
    ///
    /// # Errors
    /// As [`unsubscribe`](Self::unsubscribe).
    ///
    /// # Cancel safety
    /// As [`subscribe`](Self::subscribe).
    pub async fn retain(
        &self,
        keep: impl Fn(&ChannelSelector) -> bool + Send + 'static,
    ) -> Result<Joined, ChangeError> {
        let (reply, answer) = oneshot::channel();
        self.signal.change(Change::Retain {
            keep: Box::new(keep),
            reply,
        })?;
        Ok(answer.await.map_err(|_| ChangeError::Gone)??)
    }
}

impl Session {
    /// Makes the changes that handles have asked for, and tells the reader.
    pub(super) fn make_changes(&mut self, out: &mut Vec<Delivery>) {
        for change in self.signal.take_changes() {
            let (outcome, reply) = match change {
                Change::Subscribe {
                    joining,
                    options,
                    reply,
                } if !reply.is_canceled() => (self.join(joining, &options), reply),
                Change::Retain { keep, reply } if !reply.is_canceled() => {
                    let mut channels = self.channels();
                    channels.retain(|channel| !keep(channel));
                    let joined = self.remove_all(&channels);
                    if channels.is_empty() {
                        let _ = reply.send(Ok(joined));
                        continue;
                    }
                    (Ok(joined), reply)
                }
                Change::Unsubscribe { channels, reply } if !reply.is_canceled() => {
                    (Ok(self.remove_all(&channels)), reply)
                }
                _ => continue,
            };
            if let Ok(joined) = &outcome {
                if let Some(observer) = &self.observer {
                    observer(&joined.channels);
                }
                out.push(Delivery::Subscribed(Subscribed {
                    channels: joined.channels.clone(),
                    position: joined.position,
                }));
            }
            // Who asked may have left meanwhile; the reader is told all the same.
            let _ = reply.send(outcome);
        }
    }

    fn remove_all(&mut self, channels: &[ChannelSelector]) -> Joined {
        self.settle();
        for channel in channels {
            self.unsubscribe(channel.as_str());
        }
        self.joined(Vec::new())
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Retain { .. } => "Retain",
            Self::Subscribe { .. } => "Subscribe",
            Self::Unsubscribe { .. } => "Unsubscribe",
        })
    }
}

impl fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionHandle")
    }
}
