//! The conformance kit, with a nats-server for each case.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "nats/server.rs"]
#[allow(dead_code, reason = "nobody uses all of it")]
mod server;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use eventcast_core::{Backplane, Capabilities, Durability};
use eventcast_nats::{NatsBackplane, NatsConfig};
use eventcast_testkit::backplane::{Failure, Harness, Log, Restart};
use server::Server;

struct Nats;

struct OneServer(Mutex<Server>);

#[async_trait]
impl Harness for Nats {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Durability::Synced)
            .shared()
            .deduplicating(Duration::from_secs(120))
    }

    async fn log(&self) -> Result<Box<dyn Log>, Failure> {
        Ok(Box::new(OneServer(Mutex::new(Server::start()))))
    }

    /// A message has its headers beside it.
    fn largest_payload(&self) -> usize {
        1 << 19
    }

    /// The stream's limits are for all channels; `nats/log.rs` has what they remove.
    fn retains_as_told(&self) -> bool {
        false
    }

    fn refused_payload(&self) -> Option<usize> {
        Some(16 << 20)
    }
}

#[async_trait]
impl Log for OneServer {
    async fn node(&self) -> Result<Arc<dyn Backplane>, Failure> {
        let url = self.0.lock().unwrap().url();
        // It is killed, not cut off from power.
        let config = NatsConfig::new([url], "test").with_synced_server();
        Ok(Arc::new(NatsBackplane::new(config)))
    }

    async fn restart(&self, _: Restart) -> Result<(), Failure> {
        let mut server = self.0.lock().unwrap();
        server.kill();
        server.run();
        Ok(())
    }
}

eventcast_testkit::backplane_conformance!(Nats, skipped = 5);
