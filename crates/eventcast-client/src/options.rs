//! Subscription options as the query and the messages write them.

use eventcast_core::{SlowPolicy, Start};

pub(crate) fn start(start: &Start) -> String {
    match start {
        Start::After(id) => format!("after:{id}"),
        Start::Earliest => "earliest".to_owned(),
        Start::Last(count) => format!("last:{count}"),
        Start::Since(time) => format!("since:{}", time.as_millis()),
        // Live, the default, and what this version does not know.
        _ => "live".to_owned(),
    }
}

pub(crate) fn slow(policy: SlowPolicy) -> String {
    match policy {
        SlowPolicy::Conflate => "conflate",
        SlowPolicy::Disconnect => "disconnect",
        // The default, and what this version does not know.
        _ => "gap",
    }
    .to_owned()
}
