//! Opening a session: which channels, and from where.

use std::fmt;

use super::reader::Session;
use super::subscription::Origin;
use crate::delivery::GapReason;
use crate::error::SubscribeError;
use crate::hub::Hub;
use crate::id::Position;
use crate::log::Log;
use crate::name::{ChannelName, NameError};

/// Where a channel starts when the session does not resume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// With the oldest event that is retained.
    Earliest,
    /// With what is published from now on.
    #[default]
    Live,
}

/// A session in the making; see [`Hub::session`].
///
/// # Examples
/// ```
/// use eventcast_core::{Event, Hub, Start};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub = Hub::new();
/// let id = hub.try_publish("news", Event::text("hello"))?;
///
/// let all = hub.session().channel("news").start(Start::Earliest).open()?;
/// let rest = hub.session().channel("news").channel("sport").resume(&id.to_string()).open()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing happens before `open`"]
pub struct SessionBuilder {
    hub: Hub,
    channels: Vec<(ChannelName, Start)>,
    start: Start,
    resume: Option<Resume>,
    error: Option<NameError>,
}

/// What a resume id turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resume {
    At(Position),
    Unparsable,
}

/// Where a session begins, once the log has looked at the resume id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// Without an id: every channel at its start.
    First,
    /// After this sequence.
    Resumed(u64),
    /// With an id that cannot be honoured.
    Broken(GapReason),
}

impl SessionBuilder {
    pub(crate) fn new(hub: Hub) -> Self {
        Self {
            hub,
            channels: Vec::new(),
            start: Start::default(),
            resume: None,
            error: None,
        }
    }

    /// Adds a channel, to start where [`start`](Self::start) said last. A channel named twice
    /// counts once.
    pub fn channel(mut self, channel: impl TryInto<ChannelName, Error: Into<NameError>>) -> Self {
        match channel.try_into().map_err(Into::into) {
            Ok(name) => self.channels.push((name, self.start)),
            Err(error) => {
                self.error.get_or_insert(error);
            }
        }
        self
    }

    /// Where channels start that are named after this; a session that resumes ignores it.
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Resumes after the event with this id, or after a position: whatever text the client sends.
    ///
    /// An id that cannot be honoured is no error: the session begins with a gap that tells why.
    pub fn resume(mut self, id: &str) -> Self {
        self.resume = Some(id.parse().map_or(Resume::Unparsable, Resume::At));
        self
    }

    /// Opens the session.
    ///
    /// # Errors
    /// [`SubscribeError`] when a channel's name is not valid or a limit is met.
    pub fn open(self) -> Result<Session, SubscribeError> {
        if let Some(error) = self.error {
            return Err(error.into());
        }
        let log = &self.hub.log;
        let committed = log.committed();
        let beginning = self.beginning(log, committed);
        let mut session = Session::new(&self.hub, committed, beginning);
        session.attach(self.channels.into_iter().map(|(name, start)| {
            let origin = match (beginning, start) {
                (Beginning::Resumed(sequence), _) => Origin::Sequence(sequence),
                (Beginning::Broken(GapReason::Epoch), _) | (_, Start::Earliest) => Origin::TrimMark,
                (_, Start::Live) => Origin::Sequence(committed),
            };
            (name, origin)
        }))?;
        session.settle_start();
        Ok(session)
    }

    fn beginning(&self, log: &Log, committed: u64) -> Beginning {
        match self.resume {
            None => Beginning::First,
            Some(Resume::Unparsable) => Beginning::Broken(GapReason::Unknown),
            Some(Resume::At(position)) if position.epoch() != log.epoch => {
                Beginning::Broken(GapReason::Epoch)
            }
            // The memory log is the whole log: what lies beyond it was never given.
            Some(Resume::At(position)) if position.sequence() > committed => {
                Beginning::Broken(GapReason::Unknown)
            }
            Some(Resume::At(position)) => Beginning::Resumed(position.sequence()),
        }
    }
}

impl fmt::Debug for SessionBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionBuilder")
            .field("channels", &self.channels)
            .field("resume", &self.resume)
            .finish_non_exhaustive()
    }
}
