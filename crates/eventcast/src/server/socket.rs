//! Socket options, where the system has them.

use tokio::net::TcpStream;

/// Sets up an accepted socket. Options are for speed and early notice, so a system that refuses
/// one still gets its connection served.
pub(super) fn prepare(stream: &TcpStream, unsent_bytes: u32) {
    let _ = stream.set_nodelay(true);
    bound_unsent(stream, unsent_bytes);
}

#[cfg(any(target_os = "android", target_os = "linux"))]
fn bound_unsent(stream: &TcpStream, bytes: u32) {
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(bytes);
}

#[cfg(not(any(target_os = "android", target_os = "linux")))]
fn bound_unsent(_stream: &TcpStream, _bytes: u32) {}
