//! How connections end.

use eventcast_core::{End, GapReason};

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WsEnd {
    /// In plain mode a gap was due, which it cannot carry: closed with [`CloseCode::Gap`].
    Gap(GapReason),
    /// The peer closed, with this code if it sent one, and was answered.
    PeerClosed {
        /// The peer's close code; 1002 as well when the code it sent is not allowed on the wire.
        code: Option<u16>,
    },
    /// Nothing came from the peer for [`WsConfig::dead_after`](crate::WsConfig::dead_after).
    PeerTimeout,
    /// The connection was cut without a closing handshake.
    PeerVanished,
    /// The session ended, and the peer was told so with a close code.
    Session(End),
    /// The peer broke the rules and was told so with this close code.
    Violation {
        /// The code sent.
        code: CloseCode,
    },
    /// The peer took nothing for [`WsConfig::write_timeout`](crate::WsConfig::write_timeout).
    WriteStalled,
}

/// The codes with which this side closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseCode {
    /// 4000: plain mode met a gap.
    Gap,
    /// 1001: the session was closed; coming back is of no use for now.
    GoingAway,
    /// 1007: a text message or close reason is not UTF-8.
    InvalidData,
    /// 1000: every channel is completed; coming back is of no use.
    Normal,
    /// 1008: what the client was allowed has expired, or was revoked, and it may come back with other
    /// credentials; or it sent too much, and went on when it was told so.
    Policy,
    /// 1002: a frame breaks RFC 6455.
    ProtocolError,
    /// 1012: the server is going away or making room; come back later.
    ServiceRestart,
    /// 1009: a message is larger than the server takes.
    TooLarge,
    /// 1013: the client was slower than retention and asked to be disconnected then; it may come
    /// back and resume.
    TryAgainLater,
    /// 1003: a message of a kind that the connection's mode has no use for.
    Unsupported,
}

impl CloseCode {
    /// The code on the wire.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Gap => 4000,
            Self::GoingAway => 1001,
            Self::InvalidData => 1007,
            Self::Normal => 1000,
            Self::Policy => 1008,
            Self::ProtocolError => 1002,
            Self::ServiceRestart => 1012,
            Self::TooLarge => 1009,
            Self::TryAgainLater => 1013,
            Self::Unsupported => 1003,
        }
    }
}
