//! Opening a session: which channels, and from where.

use std::fmt;

use super::cursor::Origin;
use super::join::Attach;
use super::options::{Start, SubscriptionOptions};
use super::reader::Session;
use crate::delivery::GapReason;
use crate::error::SubscribeError;
use crate::hub::Hub;
use crate::id::Position;
use crate::log::Log;
use crate::name::NameError;
use crate::selector::ChannelSelector;

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
    pub(super) hub: Hub,
    pub(super) channels: Vec<(ChannelSelector, SubscriptionOptions)>,
    options: SubscriptionOptions,
    resume: Option<Resume>,
    pub(super) error: Option<NameError>,
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
    /// After this sequence, until the first channels are attached.
    Resumed(u64),
    /// With an id that cannot be honoured; once the first channels are attached, it counts as none.
    Broken(GapReason),
    /// With an id of what was lost at a fork: after it comes what followed.
    Forked(u64),
    /// With an id, and the first channels are attached.
    Continued,
}

impl SessionBuilder {
    pub(crate) fn new(hub: Hub) -> Self {
        Self {
            hub,
            channels: Vec::new(),
            options: SubscriptionOptions::default(),
            resume: None,
            error: None,
        }
    }

    /// Adds a channel, with the [options](Self::options) given last. A channel named twice counts
    /// once. A name that ends in `*` is a [pattern](crate::ChannelPattern): the session has every
    /// channel that fits, those included that are created later.
    ///
    /// A pattern costs nothing for channels that do not fit. Of those that fit, at most
    /// [`HubConfig::with_max_session_channels`](crate::HubConfig::with_max_session_channels) may
    /// have something for the session at once. Where events may be lost with channels that the hub
    /// has forgotten, the pattern itself has the gap.
    pub fn channel(
        mut self,
        channel: impl TryInto<ChannelSelector, Error: Into<NameError>>,
    ) -> Self {
        match channel.try_into().map_err(Into::into) {
            Ok(selector) => self.channels.push((selector, self.options.clone())),
            Err(error) => {
                self.error.get_or_insert(error);
            }
        }
        self
    }

    /// Where channels start that are named after this; a session that resumes ignores it.
    pub fn start(mut self, start: Start) -> Self {
        self.options.start = start;
        self
    }

    /// How channels begin and behave that are named after this.
    pub fn options(mut self, options: SubscriptionOptions) -> Self {
        self.options = options;
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
    pub fn open(mut self) -> Result<Session, SubscribeError> {
        if let Some(error) = self.error {
            return Err(error.into());
        }
        // A name's own options count, not those of a pattern that fits it.
        self.channels
            .sort_by_key(|(selector, _)| matches!(selector, ChannelSelector::Pattern(_)));
        let log = &self.hub.log;
        if log.remote.is_some() {
            return Err(SubscribeError::NeedsAsync);
        }
        let committed = log.committed();
        let beginning = self.beginning(log, committed);
        let mut session = Session::new(&self.hub, committed, beginning);
        session.attach(self.channels.iter().map(|(selector, options)| {
            let (origin, broken) = match beginning {
                Beginning::Resumed(sequence) => (Origin::Sequence(sequence), None),
                Beginning::Broken(GapReason::Epoch) => (Origin::TrimMark, None),
                _ => log.origin(options.start, committed),
            };
            Attach {
                selector,
                options,
                origin,
                broken,
            }
        }))?;
        session.settle_start();
        session.position_last_opening_gap();
        Ok(session)
    }

    pub(super) fn beginning(&self, log: &Log, committed: u64) -> Beginning {
        match self.resume {
            None => Beginning::First,
            Some(Resume::Unparsable) => Beginning::Broken(GapReason::Unknown),
            Some(Resume::At(position)) => match log.honour(position, committed) {
                Ok(sequence) => Beginning::Resumed(sequence),
                Err(reason) => match log.after_fork(position) {
                    Some(sequence) => Beginning::Forked(sequence),
                    None => Beginning::Broken(reason),
                },
            },
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

impl Log {
    /// The sequence of a position of this log, or why it cannot be honoured.
    fn honour(&self, position: Position, committed: u64) -> Result<u64, GapReason> {
        if let Some(remote) = &self.remote {
            // What this node was not given yet may be in the log.
            return match remote.holds(position) {
                true => Ok(position.sequence()),
                false => Err(GapReason::Epoch),
            };
        }
        if position.epoch() != self.epoch {
            Err(GapReason::Epoch)
        } else if position.sequence() > committed {
            // The memory log is the whole log: what lies beyond it was never given.
            Err(GapReason::Unknown)
        } else {
            Ok(position.sequence())
        }
    }

    /// For a position that was lost at a fork: before what followed it.
    fn after_fork(&self, position: Position) -> Option<u64> {
        self.remote.as_ref()?.after_fork(position)
    }

    /// Where a start lies, and why it cannot be honoured, if so.
    pub(crate) fn origin(&self, start: Start, committed: u64) -> (Origin, Option<GapReason>) {
        match start {
            Start::After(position) => match self.honour(position, committed) {
                Ok(sequence) => (Origin::Sequence(sequence), None),
                Err(GapReason::Epoch) => (Origin::TrimMark, Some(GapReason::Epoch)),
                Err(reason) => (Origin::Live(committed), Some(reason)),
            },
            Start::Earliest => (Origin::TrimMark, None),
            Start::Last(count) => (Origin::Last(count), None),
            Start::Live => (Origin::Live(committed), None),
            Start::Since(time) => (Origin::Since(time), None),
        }
    }
}
