//! Lets programs and pages on this machine publish and see figures, and nobody else.

use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use eventcast::{Action, Authenticator, Denied, Permissions, Scope};
use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;

/// Everybody may subscribe. Publishing takes a server that listens on loopback only, a request that
/// names a loopback host (or one that was allowed), and no sign of a proxy: a proxy on the same
/// machine would make the whole world local, and a name that a stranger's DNS points here would
/// make his page so.
pub(crate) struct LocalPublish {
    on_loopback: bool,
    hosts: Vec<String>,
}

impl LocalPublish {
    pub(crate) fn new(mut addresses: impl Iterator<Item = SocketAddr>, hosts: Vec<String>) -> Self {
        Self {
            on_loopback: addresses.all(|address| address.ip().is_loopback()),
            hosts,
        }
    }

    fn names_this_machine(&self, request: &Parts) -> bool {
        let host = match request.uri.authority() {
            Some(authority) => Some(authority.clone()),
            None => request
                .headers
                .get(HOST)
                .and_then(|host| Authority::try_from(host.as_bytes()).ok()),
        };
        host.is_some_and(|host| {
            let name = host.host().trim_start_matches('[').trim_end_matches(']');
            name.eq_ignore_ascii_case("localhost")
                || name
                    .parse()
                    .is_ok_and(|address: IpAddr| address.is_loopback())
                || self
                    .hosts
                    .iter()
                    .any(|allowed| allowed.eq_ignore_ascii_case(name))
        })
    }
}

#[async_trait]
impl Authenticator for LocalPublish {
    async fn authenticate(&self, request: &Parts) -> Result<Permissions, Denied> {
        let forwarded = FORWARDING
            .iter()
            .any(|header| request.headers.contains_key(*header));
        if self.on_loopback && !forwarded && self.names_this_machine(request) {
            Ok(Permissions::all().allow(Action::Administer, Scope::everything()))
        } else {
            Ok(Permissions::subscribe().with_patterns(|_| true))
        }
    }
}

const FORWARDING: [&str; 5] = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-real-ip",
];
