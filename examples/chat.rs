//! A chat: messages go out as requests, come in as events, and survive a reload; a list says who is
//! there, and typing is told without being stored.
//!
//! Run with
//! ```text
//! cargo run --example chat
//! curl -d hello 'http://127.0.0.1:PORT/requests/say?name=ann'
//! curl -N 'http://127.0.0.1:PORT/events?channel=chat&presence&member=ann&start=last:50'
//! curl 'http://127.0.0.1:PORT/channels/chat/presence'
//! ```
//! or open the address in two windows.
//!
//! Names are what people say they are; `axum_app` has a login.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use eventcast::{
    Action, ClientRequest, Denied, ErrorCode, Event, EventService, Hub, HubConfig, Payload,
    Permissions, PresenceConfig, Refusal, RequestHandler, Scope, Server, ServiceConfig,
};
use eventcast_examples::{ctrl_c, not_found, page};
use http::request::Parts;

#[derive(Clone)]
struct Chat {
    hub: Hub,
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
            _ => return Err(not_found()),
        }?;
        Ok(Payload::text("ok"))
    }
}

impl Chat {
    fn publish(&self, event: &str, message: (&str, &str)) -> Result<(), Refusal> {
        let message = Event::json(&message).expect("two texts are JSON");
        let message = message.named(event).expect("a valid name");
        self.hub
            .try_publish("chat", message)
            .map(drop)
            .map_err(unavailable)
    }
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

/// Everybody may read, and see who is there, on the one channel.
fn everybody(_: &Parts) -> Result<Permissions, Denied> {
    let chat = || Scope::channels(|name| name.as_str() == "chat");
    Ok(Permissions::none()
        .allow(Action::Subscribe, chat())
        .allow(Action::History, chat())
        .allow(Action::Presence, chat()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // A page that was cut is back after three seconds at most.
    let presence = PresenceConfig::new().with_leave_grace(Duration::from_secs(4));
    let hub = Hub::with_config(HubConfig::new().with_presence(presence));
    let config = ServiceConfig::new()
        .with_fallback(page(include_str!("pages/chat.html")))
        .with_request_handler(Chat { hub: hub.clone() })
        .with_authenticator(everybody)
        .with_named_members(true);
    let server = Server::bind("127.0.0.1:0", EventService::new(hub, config)).await?;
    println!("http://{}/", server.local_addr());
    server.run(ctrl_c()).await;
    Ok(())
}
