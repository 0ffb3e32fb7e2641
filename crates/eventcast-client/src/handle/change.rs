//! Adding and removing channels while the client runs.

use eventcast_core::{ChannelSelector, Start};
use http::{Method, StatusCode};
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::Handle;
use super::history::Subscribed;
use crate::error::RequestError;
use crate::message::Answer;
use crate::options;
use crate::state::{Command, Link, Live};

impl Handle {
    /// Adds channels to the client's, all or none; one that is there already stays as it is. They
    /// are named again at every reconnect. With a start, the answer holds what came before; a
    /// pattern takes none. Waits for a connection if there is none, and asks again if that is cut.
    ///
    /// Over a WebSocket the answer comes in the order of the events, so somebody has to poll the
    /// client meanwhile if its queue is full.
    ///
    /// # Errors
    /// [`RequestError`]; the channels are not the client's then. Between two polls no start is
    /// taken: 409, and a retry helps.
    ///
    /// # Cancel safety
    /// Dropped before it is done, the channels may come until the next reconnect.
    pub async fn subscribe(
        &self,
        channels: impl IntoIterator<Item: Into<ChannelSelector>> + Send,
        start: Option<Start>,
    ) -> Result<Subscribed, RequestError> {
        let channels: Vec<ChannelSelector> = channels.into_iter().map(Into::into).collect();
        let start = start.as_ref().map(options::start);
        let (subscribed, asked) = self
            .change("subscribe", &channels, start.as_deref())
            .await?;
        self.context.state.add(&channels);
        self.reconnect_unless(asked);
        Ok(subscribed)
    }

    /// Removes channels from the client's; those that are not there are passed over. Events that
    /// are in the queue still come.
    ///
    /// # Errors
    /// [`RequestError`]; nothing changed then, unless there was no answer.
    ///
    /// # Cancel safety
    /// Dropped before it is done, the channels may stay away until the next reconnect.
    pub async fn unsubscribe(
        &self,
        channels: impl IntoIterator<Item: Into<ChannelSelector>> + Send,
    ) -> Result<Subscribed, RequestError> {
        let channels: Vec<ChannelSelector> = channels.into_iter().map(Into::into).collect();
        let (subscribed, asked) = self.change("unsubscribe", &channels, None).await?;
        self.context.state.remove(&channels);
        self.reconnect_unless(asked);
        Ok(subscribed)
    }

    /// A connection that was made meanwhile has named the channels as they were.
    fn reconnect_unless(&self, asked: u64) {
        let live = self.context.state.live();
        if live
            .borrow()
            .as_ref()
            .is_none_or(|live| live.generation != asked)
        {
            self.context.state.changed.notify_one();
        }
    }

    /// Asks for a change, and tells which connection was asked.
    async fn change(
        &self,
        what: &str,
        channels: &[ChannelSelector],
        start: Option<&str>,
    ) -> Result<(Subscribed, u64), RequestError> {
        let mut live = self.context.state.live();
        let mut tries = self.context.request_attempts;
        loop {
            let Live { generation, link } = match live.wait_for(Option::is_some).await {
                Ok(live) => live.clone().ok_or(RequestError::Ended)?,
                Err(_) => return Err(RequestError::Ended),
            };
            let asked = match link {
                Link::Over => return Err(RequestError::Ended),
                Link::Key(key) => self.ask_by_key(&key, what, channels, start).await,
                Link::Socket(socket) => {
                    let mut body = Map::new();
                    body.insert("type".to_owned(), what.into());
                    let names = channels.iter().map(|name| Value::from(name.as_str()));
                    body.insert("channels".to_owned(), names.collect());
                    if let Some(start) = start {
                        body.insert("start".to_owned(), start.into());
                    }
                    let (answer, answered) = oneshot::channel();
                    let sent = socket.send(Command { body, answer }).await;
                    match (sent, answered.await) {
                        (Ok(()), Ok(answer)) => read(answer),
                        _ => Err(RequestError::NoAnswer("the connection was cut".into())),
                    }
                }
            };
            tries -= 1;
            match asked {
                Ok(subscribed) => return Ok((subscribed, generation)),
                // Asking again is safe, and there will be another connection or an end.
                Err(RequestError::NoAnswer(_)) if tries > 0 => {
                    let gone = |live: &Option<Live>| {
                        live.as_ref()
                            .is_none_or(|live| live.generation != generation)
                    };
                    live.wait_for(gone).await.map_err(|_| RequestError::Ended)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn ask_by_key(
        &self,
        key: &str,
        what: &str,
        channels: &[ChannelSelector],
        start: Option<&str>,
    ) -> Result<Subscribed, RequestError> {
        let method = match what {
            "subscribe" => Method::POST,
            _ => Method::DELETE,
        };
        let names = channels.iter().map(|name| ("channel", name.as_str()));
        let query = names.chain(start.map(|start| ("start", start)));
        let uri = self.context.target.resource("sessions", key, query);
        let uri = uri.map_err(RequestError::Invalid)?;
        let (_, body) = self.ask(method, uri, None, &[]).await?;
        let text = std::str::from_utf8(&body);
        Subscribed::read(text.map_err(|error| RequestError::Garbled(error.to_string()))?)
    }
}

fn read(answer: Answer) -> Result<Subscribed, RequestError> {
    match answer {
        Answer::Done(body) => Subscribed::read(body.get()),
        Answer::Refused { code, message } => Err(RequestError::Refused {
            status: status_of(&code),
            detail: message,
            retry_after: None,
        }),
    }
}

/// The status that a code has over HTTP.
pub(super) fn status_of(code: &str) -> StatusCode {
    match code {
        "forbidden" => StatusCode::FORBIDDEN,
        "not_found" => StatusCode::NOT_FOUND,
        "completed" => StatusCode::CONFLICT,
        "too_large" => StatusCode::PAYLOAD_TOO_LARGE,
        "rate_limited" => StatusCode::TOO_MANY_REQUESTS,
        "internal" => StatusCode::INTERNAL_SERVER_ERROR,
        "unavailable" => StatusCode::SERVICE_UNAVAILABLE,
        "timeout" => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_REQUEST,
    }
}
