//! Socket options, where the system has them.

use std::time::Duration;

use tokio::net::TcpStream;

use super::config::ServerConfig;

/// Sets up an accepted socket. Options are for speed and early notice, so a system that refuses
/// one still gets its connection served.
pub(super) fn prepare(stream: &TcpStream, config: &ServerConfig) {
    let _ = stream.set_nodelay(true);
    bound_unsent(stream, config.unsent_bytes());
    // Later than this server's own watch on writes, which can tell a client that is there and takes
    // nothing from one that is gone.
    bound_unacknowledged(stream, config.write_timeout().saturating_mul(5) / 4);
}

#[cfg(any(target_os = "android", target_os = "linux"))]
fn bound_unsent(stream: &TcpStream, bytes: u32) {
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(bytes);
}

#[cfg(not(any(target_os = "android", target_os = "linux")))]
fn bound_unsent(_stream: &TcpStream, _bytes: u32) {}

#[cfg(any(target_os = "android", target_os = "linux"))]
fn bound_unacknowledged(stream: &TcpStream, limit: Duration) {
    // The system counts in milliseconds, in 31 bits, and takes none for its own default.
    let limit = limit.clamp(
        Duration::from_millis(1),
        Duration::from_millis(i32::MAX as u64),
    );
    let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(limit));
}

#[cfg(not(any(target_os = "android", target_os = "linux")))]
fn bound_unacknowledged(_stream: &TcpStream, _limit: Duration) {}
