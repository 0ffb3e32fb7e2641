//! A chat: messages go out as requests, come in as events, and survive a reload; a list says who is
//! there, and typing is told without being stored.
//!
//! Run with
//! ```text
//! cargo run --example chat
//! curl -d hello 'http://127.0.0.1:PORT/requests/say?name=ann'
//! curl -N 'http://127.0.0.1:PORT/events?channel=chat&channel=chat/people&start=last:50&slow=conflate'
//! ```
//! or open the address in two windows.
//!
//! Names are what people say they are; `axum_app` has a login.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use eventcast::{
    ClientRequest, ErrorCode, Event, EventService, Hub, HubConfig, Payload, Refusal,
    RequestHandler, Retention, Server, ServiceConfig,
};
use eventcast_examples::{ctrl_c, not_found, page};
use tokio::time::Instant;

/// A client says that it is here every ten seconds; one that vanished is struck off after two more.
const ABSENT: Duration = Duration::from_secs(30);
const MOST_PEOPLE: usize = 500;

#[derive(Clone)]
struct Chat {
    hub: Hub,
    /// By the key of each page's session: the name, and when it was last heard of.
    people: Arc<Mutex<BTreeMap<String, (String, Instant)>>>,
}

#[async_trait]
impl RequestHandler for Chat {
    async fn answer(&self, request: ClientRequest<'_>) -> Result<Payload, Refusal> {
        let bad = |why| Refusal::new(ErrorCode::BadRequest, why);
        let text = request
            .payload
            .as_str()
            .ok_or_else(|| bad("a text is needed"))?;
        let name =
            parameter(request.http.uri.query(), "name").ok_or_else(|| bad("who are you?"))?;
        match request.name {
            "say" if (1..=2_000).contains(&text.len()) => self.publish("said", (name, text)),
            "say" => return Err(bad("1 to 2,000 bytes, please")),
            // Whoever is connected sees it now, or not at all.
            "type" => {
                let event = Event::text(name).named("typing").expect("a valid name");
                self.hub
                    .publish_ephemeral("chat", event)
                    .map_err(unavailable)?;
                Ok(())
            }
            "here" if text.len() <= 64 => self.here(text, name),
            _ => return Err(not_found()),
        }?;
        Ok(Payload::text("ok"))
    }
}

impl Chat {
    fn here(&self, session: &str, name: &str) -> Result<(), Refusal> {
        let now = Instant::now();
        self.change(|people| {
            people.retain(|_, (_, heard)| now.duration_since(*heard) < ABSENT);
            if people.len() < MOST_PEOPLE || people.contains_key(session) {
                people.insert(session.to_owned(), (name.to_owned(), now));
            }
        })
    }

    /// Tells everybody who is there, if that has changed. With its key, and retained once, the list
    /// is state: whoever comes has the newest, and has lost nothing by not having the others.
    fn change(
        &self,
        change: impl FnOnce(&mut BTreeMap<String, (String, Instant)>),
    ) -> Result<(), Refusal> {
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        let before = names(&people);
        change(&mut people);
        let after = names(&people);
        if before == after {
            return Ok(());
        }
        let event = Event::json(&after).expect("names are JSON");
        let event = event
            .named("people")
            .and_then(|event| event.keyed("people"));
        let published = self
            .hub
            .try_publish("chat/people", event.expect("valid names"));
        published.map(drop).map_err(unavailable)
    }

    fn publish(&self, event: &str, message: (&str, &str)) -> Result<(), Refusal> {
        let message = Event::json(&message).expect("two texts are JSON");
        let message = message.named(event).expect("a valid name");
        self.hub
            .try_publish("chat", message)
            .map(drop)
            .map_err(unavailable)
    }
}

fn names(people: &BTreeMap<String, (String, Instant)>) -> Vec<String> {
    let mut names: Vec<_> = people.values().map(|(name, _)| name.clone()).collect();
    names.sort();
    names.dedup();
    names
}

fn unavailable(error: eventcast::PublishError) -> Refusal {
    Refusal::new(ErrorCode::Unavailable, error.to_string())
}

/// A name of 1 to 40 letters: what a page sends needs no decoding then.
fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    let mut pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, _)| *key == name)?;
    let is_plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric());
    ((1..=40).contains(&value.len()) && is_plain).then_some(value)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let one = Retention::new()
        .with_count(1)
        .with_age(Duration::from_secs(86_400));
    let hub = Hub::with_config(HubConfig::new().with_retention_for("chat/people", one));
    let chat = Chat {
        hub: hub.clone(),
        people: Arc::default(),
    };
    let leaving = chat.clone();
    let config = ServiceConfig::new()
        .with_fallback(page(include_str!("pages/chat.html")))
        .with_request_handler(chat)
        // A closed tab is told at once.
        .with_on_disconnect(move |gone| {
            if let Some(session) = &gone.session {
                // A hub that takes no events has told whoever published.
                let _ = leaving.change(|people| drop(people.remove(&**session)));
            }
        });
    let server = Server::bind("127.0.0.1:0", EventService::new(hub, config)).await?;
    println!("http://{}/", server.local_addr());
    server.run(ctrl_c()).await;
    Ok(())
}
