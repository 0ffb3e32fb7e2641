//! What several tests need.

use std::sync::Arc;
use std::time::Duration;

use eventcast_core::{Epoch, Event, Hub, HubConfig, Retention, Session, Sleep, Timer};
use eventcast_poll::{PollConfig, poll};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use serde_json::Value;

pub(crate) struct TokioTimer;

impl Timer for TokioTimer {
    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// For answers that must not wait.
pub(crate) struct NoTimer;

impl Timer for NoTimer {
    fn sleep(&self, _: Duration) -> Sleep {
        panic!("a timer is set")
    }
}

/// Keeps 100 events a channel; its ids begin with `00000007-`.
pub(crate) fn hub() -> Hub {
    keeping(100)
}

pub(crate) fn keeping(count: usize) -> Hub {
    let retention = Retention::new().with_count(count).with_bytes(64 << 20);
    let config = HubConfig::new().with_epoch(Epoch::from_bits(7));
    Hub::with_config(config.with_retention(retention))
}

pub(crate) fn publish(hub: &Hub, channel: &str, text: &str) {
    hub.try_publish(channel, Event::text(text)).expect("room");
}

pub(crate) fn resume(hub: &Hub, channels: &[&str], id: &str) -> Session {
    let builder = hub.session().resume(id);
    let builder = channels.iter().fold(builder, |b, name| b.channel(*name));
    builder.open().unwrap()
}

/// The document of an answer that is ready at once.
pub(crate) fn at_once(session: Session) -> String {
    at_once_with(session, PollConfig::new())
}

pub(crate) fn at_once_with(session: Session, config: PollConfig) -> String {
    let answer = poll(session, config, Arc::new(NoTimer));
    // It lets others go on, but waits for nobody.
    let answer = tokio::task::unconstrained(answer);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let response = runtime.unwrap().block_on(answer);
    let document = response.into_body().collect().now_or_never().expect("all");
    String::from_utf8(document.unwrap().to_bytes().to_vec()).expect("UTF-8")
}

pub(crate) fn parse(document: &str) -> Value {
    serde_json::from_str(document).expect(document)
}

/// For waits that never end by themselves.
pub(crate) struct Pending;

impl Timer for Pending {
    fn sleep(&self, _: Duration) -> Sleep {
        Box::pin(std::future::pending())
    }
}
