//! Sessions by their keys: what they carry is changed over other connections, and survives a cut
//! for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eventcast_core::{
    ChannelSelector, Session, SessionHandle, SubscribeError, SubscriptionOptions,
};
use tokio::time::Instant;

use crate::attendance::Attendance;
use crate::key::random_key;
use crate::registry::Slot;
use crate::retired::Retired;

/// The sessions that a client can name, connected or left lately.
#[derive(Clone)]
pub(crate) struct Sessions(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    keep: Duration,
}

#[derive(Default)]
struct State {
    /// Boxed: a map keeps room for half as many again.
    entries: HashMap<Arc<str>, Box<Entry>>,
    /// Those without a connection: that were changed, and that nobody would miss.
    changed: Retired,
    unchanged: Retired,
    next_connection: u64,
}

struct Entry {
    terms: Terms,
    channels: Vec<ChannelSelector>,
    /// What its URL may name and its client does not want any more.
    removed: Vec<ChannelSelector>,
    /// Counts changes.
    version: u64,
    /// The connection that made the last change.
    changed_by: Option<u64>,
    /// The newest last: what it carries is what the session carries.
    connections: Vec<Connection>,
    left_at: Option<Instant>,
}

struct Connection {
    reached: Connected,
    /// What it carries since it was changed, while a newer one counts.
    carries: Option<Vec<ChannelSelector>>,
}

/// A connection, as it can be reached.
#[derive(Clone)]
pub(crate) struct Connected {
    pub(crate) number: u64,
    pub(crate) handle: SessionHandle,
    /// Absent for one that is told to go as it begins.
    pub(crate) slot: Option<Slot>,
    /// What it has entered.
    pub(crate) attendance: Option<Arc<Attendance>>,
}

/// What a connection's request says of its session.
#[derive(Clone)]
pub(crate) struct Terms {
    pub(crate) principal: Option<Arc<str>>,
    pub(crate) options: SubscriptionOptions,
    /// Its format does not tell one channel from another.
    pub(crate) one_channel: bool,
    /// It is told who joins and leaves.
    pub(crate) watches: bool,
}

/// A connection's hold on its session's key, until it is dropped.
pub(crate) struct Held {
    sessions: Sessions,
    key: Arc<str>,
    connection: u64,
}

/// What a session that comes back carries.
pub(crate) struct Resumed {
    pub(crate) channels: Vec<ChannelSelector>,
    version: u64,
}

/// How a session can be changed.
pub(crate) struct Place {
    /// The newest last; none between two connections.
    pub(crate) connections: Vec<Connected>,
    pub(crate) terms: Terms,
}

/// What came of a change to a session without a connection.
pub(crate) enum Left {
    Changed(Vec<ChannelSelector>),
    /// It has one by now.
    Connected,
    Refused(SubscribeError),
    Unknown,
}

impl Resumed {
    /// A session that is new.
    pub(crate) fn of(channels: &[ChannelSelector]) -> Self {
        Self {
            channels: channels.to_vec(),
            version: 0,
        }
    }
}

impl Sessions {
    pub(crate) fn new(keep: Duration) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            keep,
        }))
    }

    /// What a session carries that comes back: what it carried, and what it names and did not
    /// remove before. `None` when it is somebody else's.
    pub(crate) fn resume(
        &self,
        key: &str,
        principal: Option<&str>,
        named: &[ChannelSelector],
    ) -> Option<Resumed> {
        let mut state = self.state();
        state.forget_old(self.0.keep);
        let Some(entry) = state.entries.get(key) else {
            return Some(Resumed::of(named));
        };
        if entry.terms.principal.as_deref() != principal {
            return None;
        }
        let mut channels = entry.channels.clone();
        for selector in named {
            if !channels.contains(selector) && !entry.removed.contains(selector) {
                channels.push(selector.clone());
            }
        }
        Some(Resumed {
            channels,
            version: entry.version,
        })
    }

    /// Enters a connected session under a key, which it is given, and made if there is none.
    pub(crate) fn hold(
        &self,
        key: Option<&str>,
        terms: Terms,
        resumed: &Resumed,
        session: &mut Session,
        slot: Option<Slot>,
        attendance: Option<&Arc<Attendance>>,
    ) -> Held {
        let key: Arc<str> = key.map_or_else(random_key, Into::into);
        session.set_key(Arc::clone(&key));
        let mut state = self.state();
        let connection = state.next_connection;
        state.next_connection += 1;
        let entry = state.entries.entry(Arc::clone(&key)).or_insert_with(|| {
            Box::new(Entry {
                terms: terms.clone(),
                channels: Vec::new(),
                removed: Vec::new(),
                version: 0,
                changed_by: None,
                connections: Vec::with_capacity(1),
                left_at: None,
            })
        });
        if entry.version != resumed.version {
            // It was changed while this connection was being made.
            for channel in &entry.removed {
                session.unsubscribe(channel.as_str());
            }
            for channel in &entry.channels {
                // One that has no room any more is missing in the opening's list.
                let _ = session.subscribe([channel]);
            }
        }
        entry.terms = terms;
        entry.channels = session.channels();
        entry.connections.push(Connection {
            reached: Connected {
                number: connection,
                handle: session.handle(),
                slot,
                attendance: attendance.cloned(),
            },
            carries: None,
        });
        let (was_left, was_changed) = (entry.left_at.take().is_some(), entry.version > 0);
        if was_left {
            state.retired(was_changed).revive();
        }
        drop(state);
        let (sessions, own_key) = (self.clone(), Arc::clone(&key));
        let attendance = attendance.cloned();
        session.observe_changes(move |channels| {
            sessions.changed(&own_key, connection, channels);
            if let Some(attendance) = &attendance {
                attendance.follow(channels);
            }
        });
        Held {
            sessions: self.clone(),
            key,
            connection,
        }
    }

    /// Where somebody's session is; `None` when he has none of this key.
    pub(crate) fn find(&self, key: &str, principal: Option<&str>) -> Option<Place> {
        let mut state = self.state();
        state.forget_old(self.0.keep);
        let entry = state.entries.get(key)?;
        (entry.terms.principal.as_deref() == principal).then(|| Place {
            connections: entry
                .connections
                .iter()
                .map(|c| c.reached.clone())
                .collect(),
            terms: entry.terms.clone(),
        })
    }

    /// Whether a change that a connection made holds: the session may have gone on over another
    /// one, which knew nothing of it.
    pub(crate) fn holds_change(&self, key: &str, connection: u64) -> bool {
        let state = self.state();
        let Some(entry) = state.entries.get(key) else {
            return false;
        };
        let newest = entry.connections.last().map(|newest| newest.reached.number);
        entry.changed_by == Some(connection) && newest.is_none_or(|newest| newest == connection)
    }

    /// A connection does not count any more.
    pub(crate) fn let_go(&self, key: &str, connection: u64) {
        let mut state = self.state();
        let Some(entry) = state.entries.get_mut(key) else {
            return;
        };
        let had_some = !entry.connections.is_empty();
        entry
            .connections
            .retain(|other| other.reached.number != connection);
        match entry.connections.last_mut() {
            Some(newest) => {
                if let Some(carries) = newest.carries.take() {
                    let number = newest.reached.number;
                    entry.change(&carries);
                    entry.changed_by = Some(number);
                }
            }
            None if had_some => state.retire(key, self.0.keep),
            None => {}
        }
    }

    /// Changes what a session without a connection carries when it comes back, at most `limit`
    /// channels.
    pub(crate) fn change_left(
        &self,
        key: &str,
        added: &[ChannelSelector],
        removed: &[ChannelSelector],
        limit: usize,
    ) -> Left {
        let mut state = self.state();
        let Some(entry) = state.entries.get_mut(key) else {
            return Left::Unknown;
        };
        if !entry.connections.is_empty() {
            return Left::Connected;
        }
        let mut channels = entry.channels.clone();
        channels.retain(|channel| !removed.contains(channel));
        for selector in added {
            if !channels.contains(selector) {
                channels.push(selector.clone());
            }
        }
        if channels.len() > limit {
            return Left::Refused(SubscribeError::SessionFull { limit });
        }
        let (was_changed, left_at) = (entry.version > 0, entry.left_at);
        entry.change(&channels);
        let size = entry.size();
        if let Some(left_at) = left_at {
            state.retired(was_changed).revive();
            state.changed.push(left_at, key.into(), size);
        }
        Left::Changed(channels)
    }

    /// Notes what a connected session carries after a change.
    fn changed(&self, key: &str, connection: u64, channels: &[ChannelSelector]) {
        let mut state = self.state();
        let Some(entry) = state.entries.get_mut(key) else {
            return;
        };
        let numbers = entry.connections.iter().map(|other| other.reached.number);
        match numbers.rev().position(|number| number == connection) {
            Some(0) => {
                entry.change(channels);
                entry.changed_by = Some(connection);
            }
            Some(newer) => {
                let place = entry.connections.len() - 1 - newer;
                entry.connections[place].carries = Some(channels.to_vec());
            }
            None => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn change(&mut self, channels: &[ChannelSelector]) {
        let gone = self.channels.iter().filter(|old| !channels.contains(old));
        self.removed.extend(gone.cloned());
        self.removed.retain(|removed| !channels.contains(removed));
        let excess = self.removed.len().saturating_sub(MAX_REMOVED);
        self.removed.drain(..excess);
        self.channels = channels.to_vec();
        self.version += 1;
    }

    /// About how many bytes it keeps.
    fn size(&self) -> usize {
        let selectors = self.channels.iter().chain(&self.removed);
        let names = selectors.map(|selector| selector.as_str().len() + SELECTOR_BYTES);
        ENTRY_BYTES + names.sum::<usize>()
    }
}

impl State {
    /// Keeps for a while what the last connection of a session has left.
    fn retire(&mut self, key: &str, keep: Duration) {
        let Some((key, entry)) = self.entries.get_key_value(key) else {
            return;
        };
        let (now, key, size) = (Instant::now(), Arc::clone(key), entry.size());
        let changed = entry.version > 0;
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.left_at = Some(now);
        }
        self.retired(changed).push(now, key, size);
        self.forget_old(keep);
    }

    fn retired(&mut self, changed: bool) -> &mut Retired {
        if changed {
            &mut self.changed
        } else {
            &mut self.unchanged
        }
    }

    fn forget_old(&mut self, keep: Duration) {
        for retired in [&mut self.changed, &mut self.unchanged] {
            let entries = &mut self.entries;
            retired.forget(keep, |left_at, key| {
                let is_it = entries.get(key).is_some_and(|e| e.left_at == Some(left_at));
                if is_it {
                    entries.remove(key);
                }
                is_it
            });
        }
    }
}

impl Held {
    pub(crate) fn key(&self) -> &Arc<str> {
        &self.key
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.sessions.let_go(&self.key, self.connection);
    }
}

const MAX_REMOVED: usize = 1_000;
const ENTRY_BYTES: usize = 256;
const SELECTOR_BYTES: usize = 48;
