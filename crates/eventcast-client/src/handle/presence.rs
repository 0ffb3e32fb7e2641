//! Who is on a channel.

use eventcast_core::{ChannelName, MemberId, Payload, PresenceQuery};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::Handle;
use super::change::status_of;
use crate::error::{Interruption, RequestError};
use crate::message::{Answer, garbled};
use crate::state::{Command, Link, Live};

/// A member of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Present {
    /// Its id.
    pub id: MemberId,
    /// What it says of itself.
    pub state: Option<Payload>,
    /// How many connections it has; none while it may yet come back.
    pub connections: usize,
}

/// Some members of a channel, and how many there are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresencePage {
    /// In the order of their ids.
    pub list: Vec<Present>,
    /// Where the next page begins, if there is one: for [`PresenceQuery::after`].
    pub next: Option<MemberId>,
    /// How many members there are in all.
    pub members: usize,
    /// How many connections they have.
    pub connections: usize,
    /// The number of the last event that told changes of this channel, by the node that answered.
    pub revision: u64,
    /// That node.
    pub node: String,
}

impl Handle {
    /// A page of who is on a channel. A channel that nobody is on is an empty page.
    ///
    /// # Errors
    /// [`RequestError`].
    ///
    /// # Cancel safety
    /// Dropped before it is done, nothing has changed.
    pub async fn presence(
        &self,
        channel: &ChannelName,
        query: PresenceQuery,
    ) -> Result<PresencePage, RequestError> {
        let limit = query.limit().to_string();
        let after = query.position().map(|after| ("after", after.as_str()));
        let query = [("limit", limit.as_str())].into_iter().chain(after);
        let page = format!("{channel}/presence");
        let uri = self.context.target.resource("channels", &page, query);
        let uri = uri.map_err(RequestError::Invalid)?;
        let (_, body) = self.ask(Method::GET, uri, None, &[]).await?;
        let page = serde_json::from_slice(&body).map_err(garbled);
        page.and_then(PresencePage::read)
            .map_err(|error| RequestError::Garbled(error.to_string()))
    }

    /// Sets what this client's member says of itself on a channel that it has
    /// [entered](crate::ClientBuilder::presence), or takes it away. The next connection has the
    /// state that the server remembers, as long as it does.
    ///
    /// # Errors
    /// [`RequestError`]: refused with 404 or 409 where the client has not entered the channel, or
    /// has no connection now.
    ///
    /// # Cancel safety
    /// Dropped before it is done, the state may be set or not.
    pub async fn update(
        &self,
        channel: &ChannelName,
        state: Option<&Payload>,
    ) -> Result<(), RequestError> {
        let live = self.context.state.live().borrow().clone();
        match live.map(|Live { link, .. }| link) {
            None => Err(RequestError::NoAnswer("there is no connection".into())),
            Some(Link::Over) => Err(RequestError::Ended),
            Some(Link::Key(key)) => {
                let path = format!("{key}/presence");
                let query = [("channel", channel.as_str())];
                let uri = self.context.target.resource("sessions", &path, query);
                let uri = uri.map_err(RequestError::Invalid)?;
                self.ask(Method::POST, uri, state, &[]).await.map(drop)
            }
            Some(Link::Socket(socket)) => {
                let mut body = Map::new();
                body.insert("type".to_owned(), "update".into());
                body.insert("channel".to_owned(), channel.as_str().into());
                if let Some(state) = state {
                    body.insert("state".to_owned(), value(state)?);
                }
                let (answer, answered) = oneshot::channel();
                let sent = socket.send(Command { body, answer }).await;
                match (sent, answered.await) {
                    (Ok(()), Ok(Answer::Done(_))) => Ok(()),
                    (Ok(()), Ok(Answer::Refused { code, message })) => Err(RequestError::Refused {
                        status: status_of(&code),
                        detail: message,
                        retry_after: None,
                    }),
                    _ => Err(RequestError::NoAnswer("the connection was cut".into())),
                }
            }
        }
    }
}

/// A state is text or JSON; the server would refuse anything else.
fn value(state: &Payload) -> Result<Value, RequestError> {
    let text = state.as_str().ok_or_else(|| RequestError::Refused {
        status: StatusCode::BAD_REQUEST,
        detail: "a state is text or JSON".to_owned(),
        retry_after: None,
    })?;
    match state.kind() {
        eventcast_core::PayloadKind::Json => {
            serde_json::from_str(text).map_err(|error| RequestError::Invalid(error.to_string()))
        }
        _ => Ok(text.into()),
    }
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    list: Vec<Listed<'a>>,
    next: Option<String>,
    members: usize,
    connections: usize,
    revision: u64,
    node: String,
}

#[derive(Deserialize)]
struct Listed<'a> {
    member: String,
    #[serde(borrow)]
    state: Option<&'a RawValue>,
    connections: usize,
}

impl PresencePage {
    fn read(page: Page<'_>) -> Result<Self, Interruption> {
        let id = |id: &str| MemberId::new(id).map_err(garbled);
        let present = |listed: Listed<'_>| {
            let state = listed.state.map(RawValue::get);
            let state = state.map(|json| match serde_json::from_str::<String>(json) {
                Ok(text) => Ok(Payload::text(text)),
                Err(_) => Payload::json_text(json).map_err(garbled),
            });
            Ok(Present {
                id: id(&listed.member)?,
                state: state.transpose()?,
                connections: listed.connections,
            })
        };
        let list = page.list.into_iter().map(present);
        Ok(Self {
            list: list.collect::<Result<_, Interruption>>()?,
            next: page.next.as_deref().map(id).transpose()?,
            members: page.members,
            connections: page.connections,
            revision: page.revision,
            node: page.node,
        })
    }
}
