//! What clients say.

use crate::fanout::spec::{Kind, Shape};

/// What opens a session over HTTP/1.1.
pub(super) fn request(kind: Kind, path: &str) -> String {
    let rest = if kind.is_websocket() {
        "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    } else {
        ""
    };
    format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\n{rest}\r\n")
}

/// The path and query of a group's sessions.
pub(super) fn path(kind: Kind, shape: Shape, group: usize) -> String {
    let options = match kind {
        Kind::Epoll | Kind::Epoll16 | Kind::Notify => return format!("/{group}"),
        Kind::AxumSse | Kind::AxumWs => return "/events".to_owned(),
        Kind::Sse | Kind::SseHyper | Kind::SseHttp2 => "transport=sse",
        Kind::Stream => "transport=stream",
        Kind::Ws | Kind::WsHttp2 => "format=plain",
        Kind::WsJson => "format=json",
        // A poll's session is open when its request is there, which nobody is told.
        Kind::Poll => "transport=poll&start=earliest",
    };
    let channels: String = shape
        .channels_of(group)
        .map(|channel| format!("&channel=c{channel}"))
        .collect();
    format!("/events?{options}{channels}")
}

/// A masked pong without a payload.
pub(super) const PONG: &[u8] = &[0x8a, 0x80, 0, 0, 0, 0];
/// What clients call the server.
pub(super) const HOST: &str = "events.test";
