//! What the client's task and its handles know together.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eventcast_core::{ChannelSelector, Position};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::message::Answer;

/// Shared by a client, its task and its handles.
pub(crate) struct State {
    wanted: Mutex<Wanted>,
    /// The connection that is open.
    live: watch::Sender<Option<Live>>,
    /// Told to reconnect, with the channels that are wanted now.
    pub(crate) changed: Notify,
    /// The id after the last item that the user is done with.
    processed: Mutex<Option<Position>>,
}

#[derive(Default)]
struct Wanted {
    channels: Vec<String>,
    completed: BTreeSet<String>,
}

/// A connection that is open, and how its channels are changed.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) generation: u64,
    pub(crate) link: Link,
}

#[derive(Clone)]
pub(crate) enum Link {
    /// By requests that name this key.
    Key(Arc<str>),
    /// By messages.
    Socket(mpsc::Sender<Command>),
    /// There is no connection, and will be none.
    Over,
}

/// A message to send over a WebSocket, and who waits for its answer.
pub(crate) struct Command {
    /// The object without its `ref`, which is the connection's.
    pub(crate) body: serde_json::Map<String, serde_json::Value>,
    pub(crate) answer: oneshot::Sender<Answer>,
}

impl State {
    pub(crate) fn new(channels: Vec<String>, processed: Option<Position>) -> Self {
        let completed = BTreeSet::new();
        Self {
            wanted: Mutex::new(Wanted {
                channels,
                completed,
            }),
            live: watch::Sender::new(None),
            changed: Notify::new(),
            processed: Mutex::new(processed),
        }
    }

    pub(crate) fn channels(&self) -> Vec<String> {
        lock(&self.wanted).channels.clone()
    }

    pub(crate) fn add(&self, channels: &[ChannelSelector]) {
        let mut wanted = lock(&self.wanted);
        for channel in channels {
            if !wanted
                .channels
                .iter()
                .any(|known| known == channel.as_str())
            {
                wanted.channels.push(channel.as_str().to_owned());
            }
        }
    }

    pub(crate) fn remove(&self, channels: &[ChannelSelector]) {
        let mut wanted = lock(&self.wanted);
        for channel in channels {
            wanted.channels.retain(|known| known != channel.as_str());
            wanted.completed.remove(channel.as_str());
        }
    }

    /// A channel ended. Returns whether nothing is left to wait for.
    pub(crate) fn complete(&self, channel: &str) -> bool {
        let mut wanted = lock(&self.wanted);
        if wanted.channels.iter().any(|known| known == channel) {
            wanted.completed.insert(channel.to_owned());
        }
        wanted.completed.len() == wanted.channels.len()
    }

    /// A channel's history broke, its end included.
    pub(crate) fn reopen(&self, channel: &str) {
        lock(&self.wanted).completed.remove(channel);
    }

    pub(crate) fn live(&self) -> watch::Receiver<Option<Live>> {
        self.live.subscribe()
    }

    /// A connection opened, or ended.
    pub(crate) fn set_live(&self, new: Option<Live>) {
        self.live.send_if_modified(|live| {
            let over = live
                .as_ref()
                .is_some_and(|live| matches!(live.link, Link::Over));
            if !over {
                *live = new;
            }
            !over
        });
    }

    /// There will be no connection any more.
    pub(crate) fn end(&self) {
        let link = Link::Over;
        let generation = u64::MAX;
        self.set_live(Some(Live { generation, link }));
    }

    pub(crate) fn processed(&self) -> Option<Position> {
        *lock(&self.processed)
    }

    pub(crate) fn set_processed(&self, position: Position) {
        *lock(&self.processed) = Some(position);
    }
}

/// No code panics while it holds one of these.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
