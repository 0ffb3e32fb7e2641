//! What a server says of itself.

use std::collections::HashMap;
use std::time::Duration;

use eventcast_core::{BackplaneError, Durability};
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisResult, ServerErrorKind};

use crate::failure::unreachable;

/// How long what is acknowledged may not be on the disk under `appendfsync everysec`: a second, and
/// another while the one before is not done.
const EVERY_SECOND: Duration = Duration::from_secs(2);

/// What the answer to `INFO` says.
#[derive(Debug, PartialEq)]
pub(crate) struct Server {
    /// Its run id, and the replication id of the server whose place it took: another server has
    /// others, as has the same after a restart, or after it was a replica.
    pub(crate) run: String,
    /// It takes writes.
    pub(crate) is_primary: bool,
    /// It was a replica once in this run.
    pub(crate) was_promoted: bool,
    /// It has replicas, one of which may take its place.
    pub(crate) has_replicas: bool,
    /// It removes keys when its memory is full.
    pub(crate) evicts: bool,
}

impl Server {
    pub(crate) fn parse(info: &str) -> Result<Self, BackplaneError> {
        let fields: HashMap<&str, &str> = info
            .lines()
            .filter_map(|line| line.trim_end().split_once(':'))
            .collect();
        let field = |name: &str| fields.get(name).copied().unwrap_or_default();
        let id = |name: &str| {
            let id = field(name);
            id.bytes().all(|byte| byte.is_ascii_alphanumeric()) && (1..=64).contains(&id.len())
        };
        if !id("run_id") || !id("master_replid2") {
            return Err(BackplaneError::new("the server does not tell its run id"));
        }
        let major: u32 = field("redis_version")
            .split('.')
            .next()
            .and_then(|major| major.parse().ok())
            .unwrap_or_default();
        if major < 7 {
            return Err(BackplaneError::new("the server is older than Redis 7"));
        }
        let was_promoted = !field("master_replid2").bytes().all(|byte| byte == b'0');
        // The first replica gives a server another replication id; only its becoming a primary
        // leaves the one that it had as a replica.
        let history = if was_promoted {
            field("master_replid2")
        } else {
            "0"
        };
        let bounded = !matches!(field("maxmemory"), "" | "0");
        Ok(Self {
            run: format!("{}/{history}", field("run_id")),
            is_primary: field("role") == "master",
            was_promoted,
            has_replicas: !matches!(field("connected_slaves"), "" | "0"),
            evicts: bounded && !matches!(field("maxmemory_policy"), "" | "noeviction"),
        })
    }
}

/// What the server's settings promise; `None` when they may not be read.
pub(crate) async fn durability(
    connection: &mut MultiplexedConnection,
) -> Result<Option<Durability>, BackplaneError> {
    let settings: RedisResult<HashMap<String, String>> = redis::cmd("CONFIG")
        .arg("GET")
        .arg("appendonly")
        .arg("appendfsync")
        .query_async(connection)
        .await;
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => {
            return match error.kind() {
                // Not allowed, or there is no such command here.
                ErrorKind::Server(ServerErrorKind::NoPerm | ServerErrorKind::ResponseError) => {
                    Ok(None)
                }
                _ => Err(unreachable(error)),
            };
        }
    };
    let has = |name: &str, value: &str| settings.get(name).is_some_and(|found| found == value);
    if settings.is_empty() {
        return Ok(None);
    }
    Ok(Some(if !has("appendonly", "yes") {
        Durability::Process
    } else if has("appendfsync", "always") {
        Durability::Synced
    } else if has("appendfsync", "everysec") {
        Durability::Interval(EVERY_SECOND)
    } else {
        Durability::Process
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Server\r\nredis_version:7.0.15\r\nrun_id:ab12\r\nrole:master\r\n\
        master_replid:cd34\r\nmaster_replid2:0000\r\nconnected_slaves:0\r\nmaxmemory:100\r\n\
        maxmemory_policy:noeviction\r\n";

    #[test]
    fn what_info_says() {
        let server = Server::parse(INFO).unwrap();
        assert_eq!(server.run, "ab12/0");
        assert!(server.is_primary && !server.was_promoted && !server.has_replicas);
        assert!(!server.evicts);
        let evicting = INFO.replace("noeviction", "allkeys-lru");
        assert!(Server::parse(&evicting).unwrap().evicts);
        let promoted = INFO.replace("replid2:0000", "replid2:ef56");
        let promoted = Server::parse(&promoted).unwrap();
        assert!(promoted.was_promoted);
        assert_eq!(promoted.run, "ab12/ef56");
        let replicated = Server::parse(&INFO.replace("cd34", "ef56")).unwrap();
        assert_eq!(replicated.run, "ab12/0", "a first replica is no other run");
        assert!(Server::parse(&INFO.replace("7.0.15", "6.2.1")).is_err());
        assert!(Server::parse(&INFO.replace("ab12", "a=b,")).is_err());
        assert!(Server::parse("").is_err());
    }
}
