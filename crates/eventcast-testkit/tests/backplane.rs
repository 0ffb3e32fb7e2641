//! The log in memory passes the kit for logs, as one that outlives its nodes.

use std::sync::Arc;
use std::time::Duration;

use eventcast_core::{Backplane, Capabilities, Durability};
use eventcast_testkit::MemoryLog;
use eventcast_testkit::backplane::{Failure, Harness, Log, Restart};

struct Memory {
    only_wanted: bool,
}

struct Kept(MemoryLog);

#[async_trait::async_trait]
impl Harness for Memory {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Durability::Process)
            .shared()
            .deduplicating(Duration::from_secs(60))
    }

    async fn log(&self) -> Result<Box<dyn Log>, Failure> {
        let log = MemoryLog::with_capabilities(self.capabilities());
        Ok(Box::new(Kept(if self.only_wanted {
            log.leaving_out_unwanted()
        } else {
            log
        })))
    }
}

#[async_trait::async_trait]
impl Log for Kept {
    async fn node(&self) -> Result<Arc<dyn Backplane>, Failure> {
        Ok(self.0.node())
    }

    async fn restart(&self, _how: Restart) -> Result<(), Failure> {
        Ok(())
    }
}

mod all_records {
    eventcast_testkit::backplane_conformance!(super::Memory { only_wanted: false }, skipped = 1);
}

mod wanted_records {
    eventcast_testkit::backplane_conformance!(super::Memory { only_wanted: true }, skipped = 1);
}
