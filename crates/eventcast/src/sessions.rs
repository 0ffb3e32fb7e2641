//! Sessions by their keys: what they carry is changed over other connections, and survives a cut
//! for a while.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eventcast_core::{ChannelSelector, Session, SessionHandle, SubscribeError};
use tokio::time::Instant;

/// The sessions that a client can name, connected or left lately.
#[derive(Clone)]
pub(crate) struct Sessions(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    keep: Duration,
    max_kept: usize,
}

#[derive(Default)]
struct State {
    entries: HashMap<Arc<str>, Entry>,
    /// Those that were left, the longest ago first; some have come back since.
    left: VecDeque<(Instant, Arc<str>)>,
    next_connection: u64,
}

#[derive(Default)]
struct Entry {
    channels: Vec<ChannelSelector>,
    /// What its URL may name and its client does not want any more.
    removed: HashSet<ChannelSelector>,
    live: Option<Live>,
    left_at: Option<Instant>,
}

struct Live {
    connection: u64,
    handle: SessionHandle,
    one_channel: bool,
}

/// A connection's hold on its session's key, until it is dropped.
pub(crate) struct Held {
    sessions: Sessions,
    key: Arc<str>,
    connection: u64,
}

/// How a session can be changed.
pub(crate) enum Place {
    Live(SessionHandle),
    /// Its format does not tell one channel from another.
    OneChannel(SessionHandle),
    /// Between two connections.
    Left,
}

impl Sessions {
    pub(crate) fn new(keep: Duration, max_kept: usize) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            keep,
            max_kept,
        }))
    }

    /// What a session that comes back carries: what it carried, and what it names and did not
    /// remove before.
    pub(crate) fn resume(&self, key: &str, named: &[ChannelSelector]) -> Vec<ChannelSelector> {
        let mut state = self.state();
        state.forget_old(self.0.keep, self.0.max_kept);
        let Some(entry) = state.entries.get(key) else {
            return named.to_vec();
        };
        let mut channels = entry.channels.clone();
        for selector in named {
            if !channels.contains(selector) && !entry.removed.contains(selector) {
                channels.push(selector.clone());
            }
        }
        channels
    }

    /// Enters a connected session under a key, which it is given, and made if there is none.
    /// `one_channel` is for formats that do not tell one channel from another.
    pub(crate) fn hold(&self, key: Option<&str>, session: &mut Session, one_channel: bool) -> Held {
        let key: Arc<str> = key.map_or_else(random_key, Into::into);
        session.set_key(Arc::clone(&key));
        let mut state = self.state();
        let connection = state.next_connection;
        state.next_connection += 1;
        let entry = state.entries.entry(Arc::clone(&key)).or_default();
        entry.channels = session.channels();
        entry.live = Some(Live {
            connection,
            handle: session.handle(),
            one_channel,
        });
        entry.left_at = None;
        Held {
            sessions: self.clone(),
            key,
            connection,
        }
    }

    /// Where a session is; `None` when there is none of this key.
    pub(crate) fn find(&self, key: &str) -> Option<Place> {
        let mut state = self.state();
        state.forget_old(self.0.keep, self.0.max_kept);
        let entry = state.entries.get(key)?;
        Some(match &entry.live {
            Some(live) if live.one_channel => Place::OneChannel(live.handle.clone()),
            Some(live) => Place::Live(live.handle.clone()),
            None => Place::Left,
        })
    }

    /// Notes what a connected session carries after a change.
    pub(crate) fn changed(
        &self,
        key: &str,
        channels: &[ChannelSelector],
        removed: &[ChannelSelector],
    ) {
        let mut state = self.state();
        if let Some(entry) = state.entries.get_mut(key) {
            entry.channels = channels.to_vec();
            entry.note_removed(removed);
        }
    }

    /// Changes what a session carries when it comes back, at most `limit` channels; returns all of
    /// it, or `None` when there is no session of this key.
    pub(crate) fn change_left(
        &self,
        key: &str,
        added: &[ChannelSelector],
        removed: &[ChannelSelector],
        limit: usize,
    ) -> Option<Result<Vec<ChannelSelector>, SubscribeError>> {
        let mut state = self.state();
        let entry = state.entries.get_mut(key)?;
        let mut channels = entry.channels.clone();
        channels.retain(|channel| !removed.contains(channel));
        for selector in added {
            if !channels.contains(selector) {
                channels.push(selector.clone());
            }
        }
        if channels.len() > limit {
            return Some(Err(SubscribeError::SessionFull { limit }));
        }
        entry.channels.clone_from(&channels);
        entry.note_removed(removed);
        Some(Ok(channels))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn note_removed(&mut self, removed: &[ChannelSelector]) {
        let free = MAX_REMOVED.saturating_sub(self.removed.len());
        self.removed.extend(removed.iter().take(free).cloned());
        let channels = &self.channels;
        self.removed.retain(|selector| !channels.contains(selector));
    }
}

impl State {
    /// Forgets what was left too long ago, and the longest ago of what is too much.
    fn forget_old(&mut self, keep: Duration, max_kept: usize) {
        while let Some((left_at, key)) = self.left.front() {
            if self.left.len() <= max_kept && left_at.elapsed() < keep {
                return;
            }
            let is_same = |entry: &Entry| entry.left_at == Some(*left_at);
            if self.entries.get(key).is_some_and(is_same) {
                self.entries.remove(key);
            }
            self.left.pop_front();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let shared = &self.sessions.0;
        let mut state = self.sessions.state();
        let Some(entry) = state.entries.get_mut(&self.key) else {
            return;
        };
        // A newer connection of the same key may have taken its place.
        let is_own = |live: &Live| live.connection == self.connection;
        if !entry.live.as_ref().is_some_and(is_own) {
            return;
        }
        let now = Instant::now();
        entry.live = None;
        entry.left_at = Some(now);
        state.left.push_back((now, Arc::clone(&self.key)));
        state.forget_old(shared.keep, shared.max_kept);
    }
}

/// 128 bits of the operating system's entropy.
fn random_key() -> Arc<str> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system has entropy");
    let mut key = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(key, "{byte:02x}");
    }
    key.into()
}

const MAX_REMOVED: usize = 1_000;
