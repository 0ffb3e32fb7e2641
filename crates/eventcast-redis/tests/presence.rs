//! Presence over a Redis server.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "support/presence.rs"]
mod presence;
mod support;

use std::sync::Arc;

use eventcast_core::Backplane;
use eventcast_redis::RedisBackplane;
use support::{DURABLE, Server};

struct Log(Server);

impl Log {
    fn start() -> Self {
        Self(Server::start(DURABLE))
    }

    fn connect(&self) -> impl Future<Output = Arc<dyn Backplane>> + Send + use<> {
        let config = self.0.config();
        async move { Arc::new(RedisBackplane::connect(config).await.unwrap()) as Arc<dyn Backplane> }
    }

    fn kill(&mut self) {
        self.0.kill();
    }

    fn restart(&mut self) {
        self.0.restart();
    }

    fn stop(&mut self) {
        self.0.signal("STOP");
    }

    fn go_on(&mut self) {
        self.0.signal("CONT");
    }
}
