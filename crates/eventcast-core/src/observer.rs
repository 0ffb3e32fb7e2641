//! What a hub does, told to somebody who counts it.

use std::sync::Arc;
use std::time::Duration;

use crate::delivery::Delivery;
use crate::error::PublishError;
use crate::id::Position;
use crate::log::Log;
use crate::name::ChannelName;

/// Is told what a hub stores, what its sessions hand out, and when a log outside it fails: for metrics.
///
/// It is called by publishers, by the tasks of connections and by the log outside, once a batch and outside the hub's
/// locks, so it has to be quick and must not wait: count, and leave the rest to others.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use std::time::Duration;
/// use eventcast_core::{ChannelName, Delivery, Event, Hub, HubConfig, Observer, Position};
/// use futures_util::StreamExt;
///
/// #[derive(Debug, Default)]
/// struct Counts {
///     stored: AtomicUsize,
///     delivered: AtomicUsize,
/// }
///
/// impl Observer for Counts {
///     fn published(&self, _channel: &ChannelName, events: usize, _took: Duration) {
///         self.stored.fetch_add(events, Ordering::Relaxed);
///     }
///
///     fn delivered(&self, deliveries: &[Delivery], _began: Position) {
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
    /// idempotency key counts, too, and so does a channel's end. Subscribers are being woken. `took` is the time from the call
    /// until then, by [`Clock::elapsed`](crate::Clock::elapsed).
    fn published(&self, channel: &ChannelName, events: usize, took: Duration) {
        let _ = (channel, events, took);
    }

    /// A session hands these to its reader, at least one. Events past `began` were published since
    /// the session was opened; those before it are replayed.
    fn delivered(&self, deliveries: &[Delivery], began: Position) {
        let _ = (deliveries, began);
    }

    /// The log outside the hub refused a publish or a channel's end, or did not answer in time;
    /// what `error` says goes for all of its events.
    fn publish_failed(&self, channel: &ChannelName, error: &PublishError) {
        let _ = (channel, error);
    }

    /// The log outside the hub does not answer any more: once for each time that
    /// [`Hub::health`](crate::Hub::health) became [`Stalled`](crate::Health::Stalled).
    fn log_stalled(&self) {}
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn published(&self, channel: &ChannelName, events: usize, took: Duration) {
        (**self).published(channel, events, took);
    }

    fn delivered(&self, deliveries: &[Delivery], began: Position) {
        (**self).delivered(deliveries, began);
    }

    fn publish_failed(&self, channel: &ChannelName, error: &PublishError) {
        (**self).publish_failed(channel, error);
    }

    fn log_stalled(&self) {
        (**self).log_stalled();
    }
}

/// When a publish began, where somebody wants to know.
pub(crate) struct Began(Option<Duration>);

impl Log {
    /// The one of the settings, and the one that was added.
    pub(crate) fn observers(&self) -> impl Iterator<Item = &Arc<dyn Observer>> {
        self.config.observer.iter().chain(self.observer.get())
    }

    pub(crate) fn begin_publish(&self) -> Began {
        let is_observed = self.observers().next().is_some();
        Began(is_observed.then(|| self.config.clock.elapsed()))
    }

    pub(crate) fn end_publish(&self, began: &Began, channel: &ChannelName, events: usize) {
        if let Began(Some(began)) = began {
            let took = self.config.clock.elapsed().saturating_sub(*began);
            for observer in self.observers() {
                observer.published(channel, events, took);
            }
        }
    }
}
