//! What the keys and topics on the server are called.

use eventcast_core::{ChannelName, Key};

/// The names of one namespace. The braces put all keys into one hash slot.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: String,
    database: i64,
}

impl Keys {
    pub(crate) fn new(namespace: &str, database: i64) -> Self {
        Self {
            prefix: format!("{{{namespace}}}:"),
            database,
        }
    }

    /// The hash with the epoch, the last sequence and time, the lineage.
    pub(crate) fn log(&self) -> String {
        self.named("log")
    }

    /// The channels by their last sequences.
    pub(crate) fn index(&self) -> String {
        self.named("index")
    }

    /// The channels by their names.
    pub(crate) fn names(&self) -> String {
        self.named("names")
    }

    /// The channels by the time at which something of them is too old.
    pub(crate) fn expiry(&self) -> String {
        self.named("expiry")
    }

    /// The completed channels of which only the end is left.
    pub(crate) fn ends(&self) -> String {
        self.named("ends")
    }

    /// What keys of streams begin with.
    pub(crate) fn streams(&self) -> String {
        self.named("s:")
    }

    /// What keys of channels' hashes begin with.
    pub(crate) fn channels(&self) -> String {
        self.named("c:")
    }

    pub(crate) fn stream(&self, channel: &ChannelName) -> String {
        format!("{}s:{channel}", self.prefix)
    }

    pub(crate) fn channel(&self, channel: &ChannelName) -> String {
        format!("{}c:{channel}", self.prefix)
    }

    /// Where the sequence of an idempotency key is. Names have no control characters.
    pub(crate) fn published(&self, channel: &ChannelName, key: &Key) -> String {
        format!("{}k:{channel}\0{key}", self.prefix)
    }

    /// Where records are announced. Topics are the same for all databases of a server.
    pub(crate) fn records(&self) -> String {
        format!("{}{}:records", self.prefix, self.database)
    }

    /// Where messages between nodes go.
    pub(crate) fn messages(&self) -> String {
        format!("{}{}:messages", self.prefix, self.database)
    }

    fn named(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}
