//! How a connection, or an attempt at one, ended.

use std::time::Duration;

use crate::error::{ClientError, Interruption};
use crate::exchange::{Refused, Unread};

#[derive(Debug)]
pub(crate) enum Ended {
    /// Every channel has ended.
    Completed,
    /// Nothing mends it.
    Final(ClientError),
    /// The server goes, and says when to come back.
    Draining { retry: Option<Duration> },
    /// The server answered with another status.
    Refused(Refused),
    /// It broke, or never was.
    Broken(Interruption),
    /// Nobody reads the queue any more.
    Gone,
}

impl Ended {
    pub(crate) fn unread(unread: Unread, limit: usize) -> Self {
        match unread {
            Unread::TooLarge => Self::Final(ClientError::TooLarge { limit }),
            Unread::Failed(interruption) => Self::Broken(interruption),
        }
    }
}

impl From<Interruption> for Ended {
    fn from(interruption: Interruption) -> Self {
        Self::Broken(interruption)
    }
}
