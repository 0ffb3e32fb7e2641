//! One channel, as one client saw it.

use eventcast_testkit::Observer;

/// One channel, as the client saw it.
pub(super) struct View {
    pub(super) begin: u64,
    pub(super) observer: Observer,
    pub(super) ends_with_gap: bool,
    pub(super) told_end: bool,
}

impl View {
    pub(super) fn new(channel: &str, begin: u64) -> Self {
        Self {
            begin,
            observer: Observer::new([channel], begin),
            ends_with_gap: false,
            told_end: false,
        }
    }
}
