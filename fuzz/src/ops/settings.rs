//! The settings of a hub, from four bytes.

use std::time::Duration;

use eventcast_core::{HubConfig, Retention};

#[derive(Clone, Copy)]
pub(crate) struct Settings {
    /// Publishers do not dispatch: two futures do.
    pub(crate) driven: bool,
    /// What a channel retains.
    pub(crate) count: usize,
    max_bytes: u64,
    collect_after: Duration,
}

impl Settings {
    pub(crate) fn read([count, bytes, collect, driven]: [u8; 4]) -> Self {
        Self {
            driven: driven % 2 == 1,
            count: 1 + usize::from(count % 8),
            max_bytes: match bytes {
                0..128 => u64::MAX,
                _ => u64::from(bytes) * 40,
            },
            collect_after: Duration::from_millis(u64::from(collect) * 20),
        }
    }

    pub(crate) fn config(self) -> HubConfig {
        let retention = Retention::new().with_count(self.count);
        HubConfig::new()
            .with_retention(retention.with_age(Duration::from_secs(10)))
            .with_max_bytes(self.max_bytes)
            .with_collect_after(self.collect_after)
            .with_shards(2)
    }
}
