//! Who is on a channel: members, what they say of themselves, and who joins and leaves.

mod announce;
mod config;
mod entered;
mod error;
mod member;
mod message;
mod nodes;
mod peer;
mod room;
mod state;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use bytes::Bytes;

use crate::hub::Hub;
use crate::log::Log;
use crate::name::{ChannelName, NameError};
use crate::sync::Mutex;
use crate::time::Clock;

use self::peer::Peer;
use self::room::Room;
use self::state::State;

pub use config::PresenceConfig;
pub use entered::Entered;
pub use error::{PresenceError, PresenceMessageError};
pub use member::{Member, NodeId, Occupancy, PresencePage, PresenceQuery, Present};

/// A hub's presence: who is on which channel; see [`Hub::presence`].
///
/// A *member* is somebody by the id that the application gives him, with a state that the others
/// see. He [enters](Self::enter) a channel over a connection, or over several, of any node, and is
/// one member all the same: he joins with the first, and leaves when the last is gone for longer
/// than the [grace](PresenceConfig::with_leave_grace). His state is what was set last.
///
/// # Events
/// Subscribers that ask for it
/// ([`SubscriptionOptions::with_presence`](crate::SubscriptionOptions::with_presence)) are told what
/// changes by [ephemeral](Hub::publish_ephemeral) events of the name
/// [`eventcast.presence`](crate::EventName::PRESENCE), all changes of an
/// [interval](PresenceConfig::with_interval) in one, as JSON (`?` marks what may be absent):
///
/// ```text
/// {"node","revision","previous","members","connections",
///  "joins"?:[{"member","state"?}],"updates"?:[{"member","state"?}],"leaves"?:[{"member"}],
///  "incomplete"?:true}
/// ```
///
/// `members` and `connections` are how many there are now; a change of connections alone is not
/// told. `incomplete` says that changes are not
/// told one by one: there are too many of them, or of members. `revision` goes up from event to
/// event and `previous` is that of the channel's event before, 0 when nobody was there; so who keeps
/// a list and finds that one is missing, or incomplete, reads the [members](Self::members) again.
///
/// # Several nodes
/// Each node owns the members that entered there. [`connect`](Self::connect) says where messages
/// to the other nodes go, and [`receive`](Self::receive) takes theirs; how they travel is somebody
/// else's matter, and they may be lost, doubled or out of order: what a node lacks it asks for, until
/// it has it. Members of a node that is silent for its
/// [timeout](PresenceConfig::with_node_timeout) are gone.
///
/// # Drivers
/// One of the [drivers](Hub::drivers) tells what changed and lets members go. Who spawns none calls
/// [`maintain`](Self::maintain).
///
/// # Examples
/// ```
/// use eventcast_core::{Delivery, Hub, Member, Payload, PresenceQuery, SubscriptionOptions};
/// use futures_util::StreamExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub = Hub::new();
/// let options = SubscriptionOptions::new().with_presence(true);
/// let mut session = hub.session().options(options).channel("room").open()?;
///
/// let presence = hub.presence();
/// let ann = presence.enter("room", Member::new("ann")?)?;
/// ann.update(Payload::text("away"))?;
/// presence.maintain(); // A driver's work.
///
/// let page = presence.members("room", PresenceQuery::new())?;
/// assert_eq!(page.members[0].id.as_str(), "ann");
/// assert_eq!(page.occupancy.members, 1);
///
/// let Some(Delivery::Ephemeral(event)) = session.next().await else { panic!() };
/// let told = event.payload().as_str().unwrap();
/// assert!(told.ends_with(r#""joins":[{"member":"ann","state":"away"}]}"#));
/// ann.leave();
/// assert_eq!(presence.occupancy("room")?.members, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Presence {
    log: Arc<Log>,
}

/// What a log keeps for presence.
pub(crate) struct Shared {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    outbox: Mutex<Option<Arc<Outbox>>>,
}

type Outbox = dyn Fn(Bytes) + Send + Sync;

/// What presence holds; see [`Presence::stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresenceStats {
    /// Channels that have members, or had some a moment ago.
    pub channels: usize,
    /// Connections of members of all nodes, those in their grace included.
    pub connections: usize,
    /// Those of them that are of other nodes.
    pub remote_connections: usize,
    /// What they are charged for, in bytes.
    pub bytes: usize,
    /// Other nodes.
    pub nodes: usize,
    /// How often a connection of another node was left out, because it did not fit the bounds.
    pub left_out: u64,
}

impl Shared {
    pub(crate) fn new(config: PresenceConfig, clock: Arc<dyn Clock>) -> Self {
        // A seeded hasher is the standard library's only source of randomness.
        let random = RandomState::new().hash_one(0);
        Self {
            state: Mutex::new(State::new(NodeId(random.max(1)), config)),
            clock,
            outbox: Mutex::default(),
        }
    }

    pub(crate) fn interval(&self) -> std::time::Duration {
        self.state.lock().interval()
    }
}

impl Hub {
    /// Who is on which channel.
    #[must_use]
    pub fn presence(&self) -> Presence {
        Presence {
            log: Arc::clone(&self.log),
        }
    }
}

impl Presence {
    pub(crate) fn of(log: Arc<Log>) -> Self {
        Self { log }
    }

    /// Enters a channel, for as long as what is returned lives. A member without a state has the one
    /// that he has over another connection, or had until just now.
    ///
    /// # Errors
    /// [`PresenceError`]; nothing has changed then.
    pub fn enter(
        &self,
        channel: impl TryInto<ChannelName, Error: Into<NameError>>,
        member: Member,
    ) -> Result<Entered, PresenceError> {
        let channel = channel.try_into().map_err(Into::into)?;
        let shared = self.shared();
        let id = member.id.clone();
        let slot = shared
            .state
            .lock()
            .enter(&channel, member, shared.clock.now())?;
        Ok(Entered::new(self.clone(), channel, id, slot))
    }

    /// A page of a channel's members, and how many there are.
    ///
    /// # Errors
    /// [`NameError`] when the name is not valid. A channel that nobody is on has an empty page.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "a query is made for the call, as that of history"
    )]
    pub fn members(
        &self,
        channel: impl TryInto<ChannelName, Error: Into<NameError>>,
        query: PresenceQuery,
    ) -> Result<PresencePage, NameError> {
        let channel = channel.try_into().map_err(Into::into)?;
        let state = self.shared().state.lock();
        let none = Room::default();
        let room = state.rooms.get(&channel).unwrap_or(&none);
        Ok(room.page(state.id, &query))
    }

    /// How many are on a channel, at the cost of a look into a map.
    ///
    /// # Errors
    /// [`NameError`] when the name is not valid.
    pub fn occupancy(
        &self,
        channel: impl TryInto<ChannelName, Error: Into<NameError>>,
    ) -> Result<Occupancy, NameError> {
        let channel = channel.try_into().map_err(Into::into)?;
        let state = self.shared().state.lock();
        let room = state.rooms.get(&channel);
        Ok(room.map_or_else(Occupancy::default, Room::occupancy))
    }

    /// What it holds.
    #[must_use]
    pub fn stats(&self) -> PresenceStats {
        let state = self.shared().state.lock();
        let peers = state.nodes.peers.values();
        PresenceStats {
            channels: state.rooms.len(),
            connections: state.entries,
            remote_connections: peers.map(Peer::connections).sum(),
            bytes: state.bytes,
            nodes: state.nodes.peers.len(),
            left_out: state.left_out,
        }
    }

    /// This node, as others know it.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.shared().state.lock().id
    }

    /// Tells subscribers and other nodes what has changed, and lets those go whose time is over. A
    /// driver calls it every [interval](PresenceConfig::with_interval); without drivers somebody has
    /// to. Time goes on by what the hub's clock has between two calls, at most by the
    /// [heartbeat](PresenceConfig::with_node_timeout) each time.
    pub fn maintain(&self) {
        let shared = self.shared();
        let now = shared.clock.now();
        let mut state = shared.state.lock();
        state.advance(now);
        state.expire_leaving();
        state.expire_nodes();
        let messages = state.messages();
        let news = state.announcements();
        drop(state);
        self.send(messages);
        let limit = self.log.config.max_payload;
        for (channel, news) in news {
            // One that is completed has nobody to be told, and so has one that nobody reads.
            // Every node tells its own.
            let _ = self.log.hand_out_ephemeral(&channel, news.event(limit));
        }
    }

    /// Connects other nodes: from now on `send` is called with messages for all of them, from
    /// [`maintain`](Self::maintain). It must not wait, and may lose some. A message is at most 64 KiB.
    ///
    /// ```
    /// use eventcast_core::Hub;
    ///
    /// let (a, b) = (Hub::new(), Hub::new());
    /// let of_b = b.presence();
    /// a.presence().connect(move |message| {
    ///     let _ = of_b.receive(&message);
    /// });
    /// a.presence().maintain();
    /// assert_eq!(b.presence().stats().nodes, 1);
    /// ```
    pub fn connect(&self, send: impl Fn(Bytes) + Send + Sync + 'static) {
        let shared = self.shared();
        *shared.outbox.lock() = Some(Arc::new(send));
        shared.state.lock().connect(shared.clock.now());
    }

    /// Whether a message between nodes is one of presence: where several kinds of messages travel
    /// together, only these are for [`receive`](Self::receive).
    #[must_use]
    pub fn is_message(message: &[u8]) -> bool {
        message::is_message(message)
    }

    /// Takes a message of another node. One's own, come back, is passed over.
    ///
    /// # Errors
    /// [`PresenceMessageError`] when it is damaged, or of another version; it has changed nothing
    /// then.
    pub fn receive(&self, message: &[u8]) -> Result<(), PresenceMessageError> {
        self.shared().state.lock().receive(message)
    }

    /// Tells the other nodes that this one ends, so that its members leave after their grace unless
    /// they enter elsewhere. Nobody enters here after it.
    pub fn close(&self) {
        let mut state = self.shared().state.lock();
        let was_open = !std::mem::replace(&mut state.local.is_closed, true);
        let bye = (was_open && state.nodes.is_connected).then(|| state.bye());
        drop(state);
        self.send(bye);
    }

    fn send(&self, messages: impl IntoIterator<Item = Bytes>) {
        let mut messages = messages.into_iter().peekable();
        if messages.peek().is_some()
            && let Some(send) = self.shared().outbox.lock().clone()
        {
            messages.for_each(|message| send(message));
        }
    }

    fn shared(&self) -> &Shared {
        &self.log.presence
    }
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
