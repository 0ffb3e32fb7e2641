//! A client, as its user holds it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use eventcast_core::Position;
use futures_core::Stream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::builder::ClientBuilder;
use crate::delivery::Delivery;
use crate::error::{BuildError, ClientError};
use crate::feed::Item;
use crate::handle::Handle;
use crate::state::State;

/// Events of a server, over whatever transport gets through, for as long as they come.
///
/// It is a [`Stream`] that reconnects by itself and resumes where it was: each retained event comes
/// once and in order, and every loss is a [`Gap`](crate::Delivery::Gap). It ends with `None` when
/// every channel is completed. What no retry mends is its last item, an error.
///
/// A task of its own holds the connection. It runs ahead of the user by a bounded queue; behind
/// that it does not read, and the server's policy for slow readers applies. Dropping the client
/// ends the task and its connection.
///
/// # Examples
/// ```
/// use eventcast_client::{Client, Delivery};
/// use futures_util::StreamExt;
///
/// # use eventcast::{Event, EventService, Hub, Server, ServiceConfig};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let hub = Hub::new();
/// # hub.try_publish("news", Event::text("hello"))?;
/// # let service = EventService::new(hub, ServiceConfig::new());
/// # let server = Server::bind("127.0.0.1:0", service).await?;
/// # let address = server.local_addr();
/// # tokio::spawn(server.run(std::future::pending()));
/// let url = format!("http://{address}/events?channel=news&start=earliest");
/// let mut client = Client::connect(&url)?;
/// while let Some(delivery) = client.next().await {
///     match delivery? {
///         Delivery::Event(event) => {
///             assert_eq!(event.payload.as_str(), Some("hello"));
///             break;
///         }
///         Delivery::Gap(gap) => println!("{} lost events: load it anew", gap.channel),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
/// A `next` that is dropped before it is done has taken nothing.
#[must_use = "a client that is dropped is closed"]
pub struct Client {
    queue: mpsc::Receiver<Item>,
    state: Arc<State>,
    handle: Handle,
    /// The place after the last item, once the user is done with that.
    pending: Option<Position>,
    task: AbortHandle,
}

impl Client {
    /// Connects to the URL of an event service, such as
    /// `https://example.com/events?channel=news&start=earliest`, with the default settings. Its
    /// query is that of a subscription; `last_event_id` resumes.
    ///
    /// It returns at once; what becomes of it is in the stream.
    ///
    /// # Errors
    /// [`BuildError`] when the URL is not usable.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn connect(url: &str) -> Result<Self, BuildError> {
        Self::builder(url)?.connect()
    }

    /// A client in the making.
    ///
    /// # Errors
    /// [`BuildError`] when the URL is not usable.
    pub fn builder(url: &str) -> Result<ClientBuilder, BuildError> {
        ClientBuilder::new(url)
    }

    /// The id after the last item that was processed: to keep, and to resume by in another process
    /// ([`ClientBuilder::resume`]). An item counts as processed when the next one is asked for.
    #[must_use]
    pub fn last_id(&self) -> Option<Position> {
        self.state.processed()
    }

    /// What changes the channels, publishes, and asks, also while the client is waited for.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    pub(crate) fn new(
        queue: mpsc::Receiver<Item>,
        state: Arc<State>,
        handle: Handle,
        task: AbortHandle,
    ) -> Self {
        Self {
            queue,
            state,
            handle,
            pending: None,
            task,
        }
    }
}

impl Stream for Client {
    type Item = Result<Delivery, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(position) = self.pending.take() {
                self.state.set_processed(position);
            }
            let Some(item) = ready!(self.queue.poll_recv(cx)) else {
                return Poll::Ready(None);
            };
            self.pending = item.position;
            if let Some(content) = item.content {
                return Poll::Ready(Some(content));
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
        self.state.end();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("last_id", &self.last_id())
            .finish_non_exhaustive()
    }
}
