//! The ways through a proxy, and the configurations that the documentation shows.

use std::fmt;

use crate::link::Protocol;
use crate::subscription::Transport;

/// A proxy, and what it speaks to the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    NginxHttp1,
    NginxTls,
    HaproxyHttp1,
    HaproxyHttp2,
    HaproxyTls,
}

impl Route {
    pub(crate) const ALL: [Self; 5] = [
        Self::NginxHttp1,
        Self::NginxTls,
        Self::HaproxyHttp1,
        Self::HaproxyHttp2,
        Self::HaproxyTls,
    ];

    pub(crate) fn is_nginx(self) -> bool {
        matches!(self, Self::NginxHttp1 | Self::NginxTls)
    }

    pub(crate) fn to_hub(self) -> &'static str {
        match self {
            Self::NginxHttp1 | Self::HaproxyHttp1 => "HTTP/1.1",
            Self::NginxTls => "HTTP/1.1, TLS",
            Self::HaproxyHttp2 => "HTTP/2",
            Self::HaproxyTls => "HTTP/2, TLS",
        }
    }

    /// Whether clients get this transport over this protocol.
    pub(crate) fn has(self, transport: Transport, protocol: Protocol) -> bool {
        let extended_connect = transport == Transport::WebSocket && protocol == Protocol::Http2;
        !(self.is_nginx() && extended_connect)
    }

    fn proxy(self) -> &'static str {
        if self.is_nginx() { "nginx" } else { "HAProxy" }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} to the hub", self.proxy(), self.to_hub())
    }
}

/// The table of `docs/deploying.md`: what there is, and why the rest is not.
pub(crate) fn table() -> String {
    let mut table = String::from("| proxy | to the hub | ");
    let heads = Transport::ALL.map(|transport| format!("{transport} |"));
    table += &heads.join(" ");
    table += "\n|---|---|---|---|---|---|\n";
    for route in Route::ALL {
        table += &format!("| {} | {} |", route.proxy(), route.to_hub());
        for transport in Transport::ALL {
            let all = Protocol::ALL.iter().all(|p| route.has(transport, *p));
            table += if all {
                " yes |"
            } else {
                " over HTTP/1.1 only (a) |"
            };
        }
        table.push('\n');
    }
    table += "| nginx | HTTP/2 | no (b) | no (b) | no (b) | no (b) |\n";
    table
}
