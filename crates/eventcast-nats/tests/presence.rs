//! Presence over a nats-server.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../../eventcast-redis/tests/support/presence.rs"]
mod presence;
#[path = "nats/server.rs"]
#[allow(dead_code, reason = "nobody uses all of it")]
mod server;

use std::sync::Arc;

use eventcast_core::Backplane;
use eventcast_nats::{NatsBackplane, NatsConfig};
use server::Server;

struct Log(Server);

impl Log {
    fn start() -> Self {
        Self(Server::start())
    }

    fn connect(&self) -> impl Future<Output = Arc<dyn Backplane>> + Send + use<> {
        let config = NatsConfig::new([self.0.url()], "test").with_synced_server();
        async move { Arc::new(NatsBackplane::new(config)) as Arc<dyn Backplane> }
    }

    fn kill(&mut self) {
        self.0.kill();
    }

    fn restart(&mut self) {
        self.0.run();
    }

    fn stop(&mut self) {
        self.0.stop();
    }

    fn go_on(&mut self) {
        self.0.resume();
    }
}
