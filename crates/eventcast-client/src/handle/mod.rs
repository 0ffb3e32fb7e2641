//! What a client asks of the server beside its stream.

mod change;
mod history;
mod post;
mod presence;
mod refresh;

pub use history::{HistoryPage, Subscribed};
pub use presence::{PresencePage, Present};

use std::fmt;

use crate::connection::Context;

/// Changes a client's channels, publishes, and asks the server. Cheap to clone; it works while the
/// [`Client`](crate::Client) is waited for elsewhere.
///
/// # Examples
/// ```
/// use eventcast_client::{Client, Delivery};
/// use eventcast_core::{ChannelName, Event};
/// use futures_util::StreamExt;
///
/// # use eventcast::{Denied, EventService, Hub, Permissions, Server, ServiceConfig};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let config = ServiceConfig::new()
/// #     .with_authenticator(|_: &http::request::Parts| Ok::<_, Denied>(Permissions::all()));
/// # let server = Server::bind("127.0.0.1:0", EventService::new(Hub::new(), config)).await?;
/// # let address = server.local_addr();
/// # tokio::spawn(server.run(std::future::pending()));
/// let mut client = Client::connect(&format!("http://{address}/events?channel=news"))?;
/// let handle = client.handle();
/// let sport = ChannelName::new("sport")?;
/// handle.subscribe([sport.clone()], None).await?;
/// let id = handle.publish(&sport, &Event::text("1:0")).await?;
/// while let Some(delivery) = client.next().await {
///     if let Delivery::Event(event) = delivery? {
///         assert_eq!(event.id, id);
///         break;
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Handle {
    context: Context,
}

impl Handle {
    pub(crate) fn new(context: Context) -> Self {
        Self { context }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}
