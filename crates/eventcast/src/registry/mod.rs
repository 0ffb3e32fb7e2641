//! The sessions that a service has open, so that they can be ended.

mod listing;

use std::collections::hash_map::Entry as Place;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use eventcast_core::{End, Session, SessionHandle};
use slab::Slab;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use crate::access::{Current, Denied, Grant, Revocation};
use crate::address::ClientAddress;
use crate::disconnect::Departure;
pub(crate) use crate::disconnect::TransportKind as Transport;
use crate::limits::{Limit, Limited, Limits};
use crate::spread::around;
pub(crate) use listing::Listed;

/// How many sessions a service has open; see [`EventService::subscribers`](crate::EventService::subscribers).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subscribers {
    /// Waiting for the answer to a poll.
    pub poll: usize,
    /// Over Server-Sent Events.
    pub sse: usize,
    /// Over streams of newline-delimited JSON.
    pub stream: usize,
    /// Over WebSocket.
    pub websocket: usize,
}

/// All open sessions of a service.
#[derive(Clone)]
pub(crate) struct Registry(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    emptied: Notify,
    /// When the drain is over, once there is one.
    drain: watch::Sender<Option<Instant>>,
    retry: Duration,
    limits: Limits,
    /// The earliest expiry is another one.
    rescheduled: Arc<Notify>,
}

#[derive(Default)]
struct State {
    sessions: Slab<Entry>,
    ended: Option<End>,
    next_number: u64,
    by_principal: HashMap<Arc<str>, usize>,
    by_address: HashMap<IpAddr, usize>,
    expiries: BTreeSet<(Instant, usize)>,
    /// A task ends sessions as they expire.
    is_watched: bool,
    /// Counts revocations.
    revoked: u64,
    /// The last ones: somebody may have been let in just before, and enter just after.
    revocations: VecDeque<Revocation>,
}

struct Entry {
    /// Of all sessions there ever were: places are used again.
    number: u64,
    transport: Transport,
    opened: Instant,
    handle: SessionHandle,
    principal: Option<Arc<str>>,
    permissions: Current,
    /// When they expire.
    expires: Option<Instant>,
    address: Option<IpAddr>,
}

/// A session's entry, as others can name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    key: usize,
    number: u64,
}

/// Why a session is not entered.
#[derive(Debug)]
pub(crate) enum Refused {
    /// All have been ended, in this way.
    Ended(End),
    Limited(Limited),
    /// What it was allowed was taken back meanwhile.
    Revoked,
}

/// A session's entry, until it is dropped.
pub(crate) struct Registered {
    registry: Registry,
    slot: Slot,
    /// What it may do, from now on by what the registry knows.
    pub(crate) permissions: Current,
    pub(crate) departure: Departure,
}

impl Registry {
    /// Sessions that are refused in a drain are told to come back after about `retry`.
    pub(crate) fn new(retry: Duration, limits: Limits) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            emptied: Notify::new(),
            drain: watch::Sender::new(None),
            retry,
            limits,
            rescheduled: Arc::default(),
        }))
    }

    /// Enters a session that was granted something.
    pub(crate) fn register(
        &self,
        transport: Transport,
        session: &Session,
        departure: Departure,
        grant: &Grant,
    ) -> Result<Registered, Refused> {
        let mut state = self.state();
        if let Some(end) = state.ended {
            drop(state);
            return Err(Refused::Ended(match end {
                End::Draining { .. } if self.drains() => End::Draining {
                    retry: Some(around(self.0.retry)),
                },
                end => end,
            }));
        }
        if state.was_revoked(grant) {
            return Err(Refused::Revoked);
        }
        let entry = Entry {
            number: state.next_number,
            transport,
            opened: Instant::now(),
            handle: session.handle(),
            principal: grant.permissions.shared_principal().cloned(),
            permissions: Current::new(grant.permissions.clone()),
            expires: grant.permissions.expires(),
            address: grant
                .address
                .filter(|address| !address.is_own())
                .map(ClientAddress::network),
        };
        state.count_in(&entry, &self.0.limits)?;
        state.next_number += 1;
        let number = entry.number;
        let permissions = entry.permissions.clone();
        let key = state.sessions.insert(entry);
        if let Some(expires) = grant.permissions.expires() {
            self.schedule(&mut state, expires, key);
        }
        Ok(Registered {
            registry: self.clone(),
            slot: Slot { key, number },
            permissions,
            departure,
        })
    }

    /// Gives a session what was granted now, by which it expires at another time. Nothing where it is
    /// over.
    pub(crate) fn refresh(&self, slot: Slot, grant: &Grant) -> Result<(), Denied> {
        let mut state = self.state();
        if state.was_revoked(grant) {
            return Err(Denied::Unauthorized);
        }
        let expires = grant.permissions.expires();
        let Some(entry) = state.sessions.get_mut(slot.key) else {
            return Ok(());
        };
        if entry.number != slot.number {
            return Ok(());
        }
        entry.permissions.set(grant.permissions.clone());
        let before = std::mem::replace(&mut entry.expires, expires);
        if let Some(expired) = before {
            state.expiries.remove(&(expired, slot.key));
        }
        if let Some(expires) = expires {
            self.schedule(&mut state, expires, slot.key);
        }
        Ok(())
    }

    /// Whether what was granted was taken back since, or some of it.
    pub(crate) fn was_revoked(&self, grant: &Grant) -> bool {
        self.state().was_revoked(grant)
    }

    /// How many revocations there were.
    pub(crate) fn revoked(&self) -> u64 {
        self.state().revoked
    }

    /// Notes a revocation, takes what it takes from permissions, and returns the sessions that it is
    /// about, with whether they are to end.
    pub(crate) fn revoke(&self, revocation: &Revocation) -> Vec<(SessionHandle, bool)> {
        let mut state = self.state();
        state.revoked += 1;
        state.revocations.push_back(revocation.clone());
        if state.revocations.len() > REVOCATIONS {
            state.revocations.pop_front();
        }
        let sessions = state.sessions.iter().map(|(_, entry)| entry);
        let meant = sessions.filter(|entry| revocation.is_of(&entry.permissions.get()));
        let taken = meant.map(|entry| {
            let ends = revocation.is_whole() || !entry.permissions.take(revocation);
            (entry.handle.clone(), ends)
        });
        taken.collect()
    }

    fn schedule(&self, state: &mut State, expires: Instant, key: usize) {
        state.expiries.insert((expires, key));
        if !state.is_watched {
            state.is_watched = true;
            let rescheduled = Arc::clone(&self.0.rescheduled);
            tokio::spawn(end_expired(Arc::downgrade(&self.0), rescheduled));
        } else if state.expiries.first() == Some(&(expires, key)) {
            self.0.rescheduled.notify_one();
        }
    }

    /// Ends every open session, and refuses new ones.
    pub(crate) fn end_all(&self, end: End) {
        for handle in self.refuse_from_now(end) {
            handle.end(end);
        }
    }

    /// Refuses new sessions, and returns those that have to end until then; `None` when a drain
    /// that is over no later is under way.
    pub(crate) fn begin_drain(&self, until: Instant) -> Option<Vec<SessionHandle>> {
        let is_earlier = |known: &mut Option<Instant>| {
            let is_earlier = known.is_none_or(|known| until < known);
            if is_earlier {
                *known = Some(until);
            }
            is_earlier
        };
        let is_earlier = self.0.drain.send_if_modified(is_earlier);
        is_earlier.then(|| self.refuse_from_now(End::Draining { retry: None }))
    }

    /// Done once a drain has begun.
    pub(crate) async fn drain_begins(&self) {
        let mut drain = self.0.drain.subscribe();
        // The sender is in `self`.
        let _ = drain.wait_for(Option::is_some).await;
    }

    /// Done once no session is open, or the drain's time is over.
    pub(crate) async fn drained(&self) {
        let mut drain = self.0.drain.subscribe();
        loop {
            let Some(until) = *drain.borrow_and_update() else {
                return;
            };
            tokio::select! {
                () = self.empty() => return,
                () = sleep_until(until) => return,
                // It is in a hurry now.
                _ = drain.changed() => {}
            }
        }
    }

    fn drains(&self) -> bool {
        self.0.drain.borrow().is_some()
    }

    pub(crate) fn ended(&self) -> Option<End> {
        self.state().ended
    }

    pub(crate) fn count(&self, transport: Transport) -> usize {
        let state = self.state();
        let same = |(_, entry): &(usize, &Entry)| entry.transport == transport;
        state.sessions.iter().filter(same).count()
    }

    /// Done once no session is open.
    pub(crate) async fn empty(&self) {
        loop {
            let emptied = self.0.emptied.notified();
            if self.state().sessions.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    /// Returns the sessions that are open.
    fn refuse_from_now(&self, end: End) -> Vec<SessionHandle> {
        let mut state = self.state();
        state.ended.get_or_insert(end);
        let sessions = state.sessions.iter();
        sessions.map(|(_, entry)| entry.handle.clone()).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn was_revoked(&self, grant: &Grant) -> bool {
        let since = self.revoked - grant.revocations;
        let recent = self.revocations.iter().rev().take(since as usize);
        since > REVOCATIONS as u64 || recent.into_iter().any(|r| r.is_of(&grant.permissions))
    }

    fn count_in(&mut self, entry: &Entry, limits: &Limits) -> Result<(), Refused> {
        if self.sessions.len() >= limits.sessions {
            return Err(Refused::Limited(Limited::of_all(Limit::Sessions)));
        }
        let refused = Refused::Limited(Limited::of_principal(Limit::Sessions));
        let principal = entry.principal.as_ref();
        let of_principal = principal.map_or(0, |who| count_of(&self.by_principal, who));
        let of_address = entry
            .address
            .map_or(0, |at| count_of(&self.by_address, &at));
        if of_principal >= limits.of_principal || of_address >= limits.of_address {
            return Err(refused);
        }
        if let Some(principal) = principal {
            *self.by_principal.entry(Arc::clone(principal)).or_default() += 1;
        }
        if let Some(address) = entry.address {
            *self.by_address.entry(address).or_default() += 1;
        }
        Ok(())
    }

    fn count_out(&mut self, entry: &Entry) {
        if let Some(principal) = &entry.principal {
            count_down(&mut self.by_principal, Arc::clone(principal));
        }
        if let Some(address) = entry.address {
            count_down(&mut self.by_address, address);
        }
    }
}

fn count_of<K: Eq + Hash>(counts: &HashMap<K, usize>, of: &K) -> usize {
    counts.get(of).copied().unwrap_or(0)
}

fn count_down<K: Eq + Hash>(counts: &mut HashMap<K, usize>, of: K) {
    if let Place::Occupied(mut count) = counts.entry(of) {
        *count.get_mut() -= 1;
        if *count.get() == 0 {
            count.remove();
        }
    }
}

/// Ends sessions as they expire, until no session does any more.
async fn end_expired(registry: Weak<Shared>, rescheduled: Arc<Notify>) {
    loop {
        let next = {
            let Some(shared) = registry.upgrade() else {
                return;
            };
            let registry = Registry(shared);
            let mut state = registry.state();
            let now = Instant::now();
            while let Some((expires, key)) = state.expiries.first().copied()
                && expires <= now
            {
                state.expiries.pop_first();
                state.sessions[key].handle.end(End::Expired);
            }
            let Some((next, _)) = state.expiries.first() else {
                state.is_watched = false;
                return;
            };
            *next
        };
        tokio::select! {
            () = sleep_until(next) => {}
            () = rescheduled.notified() => {}
        }
    }
}

impl Slot {
    /// Which session it is of all there ever were.
    pub(crate) fn number(self) -> u64 {
        self.number
    }
}

impl Registered {
    pub(crate) fn slot(&self) -> Slot {
        self.slot
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // Before anybody may think that all sessions are over.
        self.departure.settle();
        let mut state = self.registry.state();
        let entry = state.sessions.remove(self.slot.key);
        state.count_out(&entry);
        if let Some(expires) = entry.expires {
            state.expiries.remove(&(expires, self.slot.key));
        }
        if state.sessions.is_empty() {
            state.sessions.shrink_to_fit();
            drop(state);
            self.registry.0.emptied.notify_waiters();
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("sessions", &self.state().sessions.len())
            .finish_non_exhaustive()
    }
}

/// So many revocations are remembered for those who are on their way in. One is on its way for
/// microseconds; if there are more meanwhile, it has to come again.
const REVOCATIONS: usize = 64;
