//! New credentials for a connection that is open.

use http::Method;
use serde_json::Map;
use tokio::sync::oneshot;

use super::Handle;
use super::change::status_of;
use crate::error::RequestError;
use crate::message::Answer;
use crate::state::{Command, Link, Live};

impl Handle {
    /// Asks for a token ([`ClientBuilder::with_token`](crate::ClientBuilder::with_token)) and brings
    /// it to the server before the old one expires, so that the connection goes on without a cut.
    /// Without a connection there is nothing to bring: the next one has a new token anyway. When it
    /// is time is the caller's to know, by the token.
    ///
    /// Who does not ask loses nothing: the server ends the session as the token expires, and the
    /// client comes back with another one, and resumes.
    ///
    /// Over a WebSocket the answer comes in the order of the events, so somebody has to poll the
    /// client meanwhile if its queue is full.
    ///
    /// # Examples
    /// ```no_run
    /// use std::time::Duration;
    /// use eventcast_client::Client;
    ///
    /// # async fn a_token() -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    /// #     Ok("secret".to_owned())
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::builder("http://127.0.0.1:8080/events?channel=news")?
    ///     .with_token(a_token)
    ///     .connect()?;
    /// let handle = client.handle();
    /// // Tokens are good for five minutes here.
    /// tokio::spawn(async move {
    ///     loop {
    ///         tokio::time::sleep(Duration::from_secs(240)).await;
    ///         if let Err(error) = handle.refresh().await {
    ///             eprintln!("the session is to end with its token: {error}");
    ///         }
    ///     }
    /// });
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RequestError`]; the session goes on with what it had, until that expires.
    /// [`Invalid`](RequestError::Invalid) without a function that gives tokens, or if what it gives
    /// cannot be one. [`NoAnswer`](RequestError::NoAnswer) also if it gives none.
    ///
    /// # Cancel safety
    /// Dropped before it is done, the server may have the new token or not.
    pub async fn refresh(&self) -> Result<(), RequestError> {
        let live = self.context.state.live();
        if is_over(live.borrow().as_ref()) {
            return Err(RequestError::Ended);
        }
        let renewed = self.context.credentials.renew().await;
        let token = renewed.map_err(|error| match error.is::<crate::error::BuildError>() {
            true => RequestError::Invalid(error.to_string()),
            false => RequestError::NoAnswer(error),
        })?;
        let token = token.ok_or_else(|| {
            RequestError::Invalid("there is no function that gives tokens".to_owned())
        })?;
        // The one that is open now, which may be another.
        let link = live.borrow().as_ref().map(|live| live.link.clone());
        match link {
            None => Ok(()),
            Some(Link::Over) => Err(RequestError::Ended),
            Some(Link::Key(key)) => {
                let path = format!("{key}/refresh");
                let uri = self.context.target.resource("sessions", &path, []);
                let uri = uri.map_err(RequestError::Invalid)?;
                self.ask(Method::POST, uri, None, &[]).await.map(drop)
            }
            Some(Link::Socket(socket)) => {
                let mut body = Map::new();
                body.insert("type".to_owned(), "refresh".into());
                body.insert("token".to_owned(), token.into());
                let (answer, answered) = oneshot::channel();
                let sent = socket.send(Command { body, answer }).await;
                match (sent, answered.await) {
                    (Ok(()), Ok(Answer::Done(_))) => Ok(()),
                    (Ok(()), Ok(Answer::Refused { code, message })) => Err(RequestError::Refused {
                        status: status_of(&code),
                        detail: message,
                        retry_after: None,
                    }),
                    // The connection was cut, and the next one has a token of its own.
                    _ => Ok(()),
                }
            }
        }
    }
}

fn is_over(live: Option<&Live>) -> bool {
    live.is_some_and(|live| matches!(live.link, Link::Over))
}
