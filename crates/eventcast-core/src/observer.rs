//! What a hub does, told to somebody who counts it.

use crate::delivery::Delivery;
use crate::name::ChannelName;

/// Is told what a hub stores and what its sessions hand out: for metrics.
///
/// It is called by publishers and by the tasks of connections, once a batch and outside the hub's
/// locks, so it has to be quick and must not wait: count, and leave the rest to others.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use eventcast_core::{ChannelName, Delivery, Event, Hub, HubConfig, Observer};
/// use futures_util::StreamExt;
///
/// #[derive(Debug, Default)]
/// struct Counts {
///     stored: AtomicUsize,
///     delivered: AtomicUsize,
/// }
///
/// impl Observer for Counts {
///     fn published(&self, _channel: &ChannelName, events: usize) {
///         self.stored.fetch_add(events, Ordering::Relaxed);
///     }
///
///     fn delivered(&self, deliveries: &[Delivery], _live: bool) {
///         let events = deliveries.iter().filter(|d| matches!(d, Delivery::Event(_)));
///         self.delivered.fetch_add(events.count(), Ordering::Relaxed);
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let counts = Arc::new(Counts::default());
/// let hub = Hub::with_config(HubConfig::new().with_observer(Arc::clone(&counts)));
/// let mut session = hub.subscribe("news")?;
/// hub.publish("news", Event::text("hello")).await?;
/// session.next().await;
/// assert_eq!(counts.stored.load(Ordering::Relaxed), 1);
/// assert_eq!(counts.delivered.load(Ordering::Relaxed), 1);
/// # Ok(())
/// # }
/// ```
pub trait Observer: Send + Sync + 'static {
    /// So many events of one channel are in the log, or were already: a publish that repeats an
    /// idempotency key counts, too. Subscribers are being woken.
    fn published(&self, channel: &ChannelName, events: usize) {
        let _ = (channel, events);
    }

    /// A session hands these to its reader, at least one. `live` says that it had waited for them;
    /// otherwise it replays, or has fallen behind.
    fn delivered(&self, deliveries: &[Delivery], live: bool) {
        let _ = (deliveries, live);
    }
}

impl<O: Observer + ?Sized> Observer for std::sync::Arc<O> {
    fn published(&self, channel: &ChannelName, events: usize) {
        (**self).published(channel, events);
    }

    fn delivered(&self, deliveries: &[Delivery], live: bool) {
        (**self).delivered(deliveries, live);
    }
}
