//! The conformance kit, with a redis-server for each case.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use eventcast_core::{Backplane, Capabilities, Durability};
use eventcast_redis::RedisBackplane;
use eventcast_testkit::backplane::{Failure, Harness, Log, Restart};
use support::{DURABLE, Server};

struct Redis;

struct OneServer(Mutex<Server>);

#[async_trait]
impl Harness for Redis {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Durability::Synced)
            .shared()
            .deduplicating(Duration::from_secs(300))
    }

    async fn log(&self) -> Result<Box<dyn Log>, Failure> {
        Ok(Box::new(OneServer(Mutex::new(Server::start(DURABLE)))))
    }

    fn refused_payload(&self) -> Option<usize> {
        Some(16 << 20)
    }
}

#[async_trait]
impl Log for OneServer {
    async fn node(&self) -> Result<Arc<dyn Backplane>, Failure> {
        let config = self.0.lock().unwrap().config();
        Ok(Arc::new(RedisBackplane::connect(config).await?))
    }

    async fn restart(&self, how: Restart) -> Result<(), Failure> {
        let mut server = self.0.lock().unwrap();
        match how {
            Restart::Clean => server.shut_down(),
            Restart::Kill => server.kill(),
        }
        server.restart();
        Ok(())
    }
}

eventcast_testkit::backplane_conformance!(Redis);
