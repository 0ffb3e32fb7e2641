//! Why a client ends, and why it lost a connection.

use std::error::Error;
use std::time::Duration;

use http::StatusCode;

/// Why a client ended for good: no retry mends it. It is the last thing that a
/// [`Client`](crate::Client) yields.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The credentials are missing or not valid (401), also after they were refreshed once.
    #[error("the server does not accept the credentials: {detail}")]
    Unauthorized {
        /// The server's words, for people.
        detail: String,
    },
    /// The server refused: 400 a name or parameter, 403 not allowed, 404 no such path, and every
    /// other status that promises nothing for later.
    #[error("the server refuses the subscription ({status}): {detail}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// The server's words, for people.
        detail: String,
    },
    /// The server closed the session and wants the client to stay away.
    #[error("the server closed the session")]
    Closed,
    /// An event is larger than the client takes; resuming would bring it again. Raise
    /// [`ClientBuilder::with_max_message`](crate::ClientBuilder::with_max_message).
    #[error("the server sends more than {limit} bytes at once")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
}

/// Why a connection was lost or not made. The client comes back by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Interruption {
    /// No connection to the server.
    #[error("the server cannot be reached")]
    Unreachable(#[source] BoxError),
    /// The connection broke, or ended without a word.
    #[error("the connection was cut")]
    Cut(#[source] Option<BoxError>),
    /// Nothing was heard for too long.
    #[error("nothing was heard for {0:?}")]
    Silent(Duration),
    /// Not what the protocol has: a proxy's page, or a server of another kind.
    #[error("the server's answer is not understood: {0}")]
    Garbled(String),
    /// The server refuses for now.
    #[error("the server is not available ({0})")]
    Unavailable(StatusCode),
    /// The server is about to go, or ended the session and lets the client come back.
    #[error("the server ended the session: {0}")]
    Ended(String),
    /// The token could not be had.
    #[error("no token")]
    Token(#[source] BoxError),
    /// The channels changed in a way that needs another connection.
    #[error("the channels changed")]
    Changed,
}

/// Any error.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// What a client was built with is not usable. The caller is at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Not an absolute URL of a known scheme (`http`, `ws`; with the feature `tls` also `https`,
    /// `wss`) whose path ends in `/events`.
    #[error("not the URL of an event service: {0}")]
    Url(String),
    /// A header's name or value, or the token, holds what no header may.
    #[error("not a header")]
    Header,
    /// Not the URL of a proxy that can be used. Its password is left out.
    #[error("not the URL of a proxy: {0}")]
    Proxy(String),
    /// No channel was named.
    #[error("no channel is named")]
    NoChannel,
    /// No transport was named.
    #[error("no transport is named")]
    NoTransport,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] BoxError),
}

/// Why what was asked through a [`Handle`](crate::Handle) was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The server refused; nothing changed. [`is_temporary`](Self::is_temporary) tells whether a
    /// retry helps.
    #[error("the server refuses ({status}): {detail}")]
    Refused {
        /// The status, also when the refusal came over a WebSocket.
        status: StatusCode,
        /// The server's words, for people.
        detail: String,
        /// How long the server wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// There was no answer: whether it took effect is not known.
    #[error("there was no answer")]
    NoAnswer(#[source] BoxError),
    /// The answer is not what the protocol has.
    #[error("the server's answer is not understood: {0}")]
    Garbled(String),
    /// The client has ended, so there is no session to change.
    #[error("the client has ended")]
    Ended,
    /// What was asked cannot be asked: a name that holds what no header may.
    #[error("the request is not valid: {0}")]
    Invalid(String),
}

impl RequestError {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Refused { status, .. } => is_temporary(*status),
            Self::NoAnswer(_) => true,
            _ => false,
        }
    }
}

/// Whether a status says that it may be another one later.
pub(crate) fn is_temporary(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
        )
}
