//! How the program ends.

use std::error::Error;
use std::fmt::Write as _;
use std::io;

use eventcast_client::{BuildError, ClientError, Interruption, RequestError};
use http::StatusCode;

/// What a command comes to.
pub(crate) type Result<T = ()> = std::result::Result<T, Exit>;

/// An end before everything was done, or a reason to stop that is no error.
#[derive(Debug)]
pub(crate) struct Exit {
    pub(crate) code: u8,
    pub(crate) why: Option<String>,
}

const FAILED: u8 = 1;
const MISUSED: u8 = 2;
const GAP: u8 = 3;
const DENIED: u8 = 4;
const UNREACHABLE: u8 = 5;
const REFUSED: u8 = 6;
const CHANNEL_FAILED: u8 = 7;

/// For `--help`.
pub(crate) const CODES: &str = "\
Exit codes:
  0    done; also if the reader of the output has gone away
  1    an error that is none of these
  2    wrong usage
  3    events were lost, and --fail-on-gap was given
  4    the server does not accept the credentials, or does not allow it (401, 403)
  5    no connection, no answer, or nothing within --retry-for or --max-time
  6    the server refuses: no such path or request, a completed channel, a bad name
  7    a channel ended, and its publisher says that it failed
  130  interrupted (SIGINT), 143 terminated (SIGTERM)";

impl Exit {
    fn new(code: u8, why: impl Into<String>) -> Self {
        let why = Some(why.into());
        Self { code, why }
    }

    /// All is well, and the output has no reader any more.
    pub(crate) fn done() -> Self {
        Self { code: 0, why: None }
    }

    /// What is to be done all the same goes on.
    pub(crate) fn unless_reader_gone(self) -> Result {
        match (self.code, &self.why) {
            (0, None) => Ok(()),
            _ => Err(self),
        }
    }

    pub(crate) fn failed(why: impl Into<String>) -> Self {
        Self::new(FAILED, why)
    }

    pub(crate) fn misused(why: impl Into<String>) -> Self {
        Self::new(MISUSED, why)
    }

    pub(crate) fn gap(channel: &str) -> Self {
        Self::new(GAP, format!("events of {channel} were lost"))
    }

    pub(crate) fn unreachable(why: impl Into<String>) -> Self {
        Self::new(UNREACHABLE, why)
    }

    pub(crate) fn channel_failed(channel: &str, why: &str) -> Self {
        Self::new(CHANNEL_FAILED, format!("{channel} failed: {why}"))
    }

    pub(crate) fn signal(number: u8) -> Self {
        Self {
            code: 128 + number,
            why: None,
        }
    }

    /// Says where it happened.
    pub(crate) fn at(mut self, place: impl std::fmt::Display) -> Self {
        self.why = self.why.map(|why| format!("{place}: {why}"));
        self
    }
}

impl From<BuildError> for Exit {
    fn from(error: BuildError) -> Self {
        Self::misused(chain(&error))
    }
}

impl From<ClientError> for Exit {
    fn from(error: ClientError) -> Self {
        let code = match &error {
            ClientError::Unauthorized { .. } => DENIED,
            ClientError::Refused { status, .. } => of_status(*status),
            ClientError::Closed => UNREACHABLE,
            _ => FAILED,
        };
        Self::new(code, chain(&error))
    }
}

impl From<RequestError> for Exit {
    fn from(error: RequestError) -> Self {
        let code = match &error {
            RequestError::Refused { status, .. } => of_status(*status),
            RequestError::NoAnswer(_) => UNREACHABLE,
            _ => FAILED,
        };
        Self::new(code, chain(&error))
    }
}

impl From<&Interruption> for Exit {
    fn from(cause: &Interruption) -> Self {
        Self::unreachable(chain(cause))
    }
}

/// Of standard output and the files that are named.
impl From<io::Error> for Exit {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::done(),
            _ => Self::failed(error.to_string()),
        }
    }
}

fn of_status(status: StatusCode) -> u8 {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => DENIED,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => UNREACHABLE,
        status if status.is_server_error() => UNREACHABLE,
        _ => REFUSED,
    }
}

/// An error with its causes, each said once.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !said.contains(&next) {
            let _ = write!(said, ": {next}");
        }
        cause = error.source();
    }
    said
}
