//! What the server's errors mean.

use std::fmt::Display;

use eventcast_core::BackplaneError;
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// What a failed append says.
#[derive(Debug, PartialEq)]
pub(crate) enum Failure {
    /// Nothing was stored, for want of room.
    Full,
    /// Nothing was stored; these connections are of no use.
    Away,
    /// Nothing was stored; the same may work in a moment.
    Busy,
    /// Nothing was stored, and trying again is of no use.
    Refused,
    /// It is not known whether anything was stored; these connections are of no use.
    Lost,
    /// It is not known whether anything was stored; the connections are good.
    Unclear,
}

pub(crate) fn failure(error: &RedisError) -> Failure {
    match error.kind() {
        ErrorKind::Server(kind) => match kind {
            ServerErrorKind::ReadOnly
            | ServerErrorKind::BusyLoading
            | ServerErrorKind::MasterDown => Failure::Away,
            ServerErrorKind::TryAgain | ServerErrorKind::ClusterDown => Failure::Busy,
            ServerErrorKind::NoPerm
            | ServerErrorKind::NoScript
            | ServerErrorKind::Moved
            | ServerErrorKind::Ask
            | ServerErrorKind::CrossSlot => Failure::Refused,
            _ => Failure::Unclear,
        },
        ErrorKind::Extension => match error.code() {
            Some("OOM" | "MISCONF") => Failure::Full,
            Some("NOAUTH" | "WRONGPASS") => Failure::Away,
            Some("NOREPLICAS" | "BUSY") => Failure::Busy,
            _ => Failure::Unclear,
        },
        ErrorKind::UnexpectedReturnType => Failure::Unclear,
        _ => Failure::Lost,
    }
}

pub(crate) fn unreachable(error: RedisError) -> BackplaneError {
    because("the server could not be reached", error)
}

/// With the client's error as a text, which has in it what is underneath: as a source it would be told
/// twice.
pub(crate) fn because(context: &'static str, error: impl Display) -> BackplaneError {
    BackplaneError::because(context, error.to_string())
}
