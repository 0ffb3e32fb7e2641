//! An AI's answer that survives its readers: tokens are produced whether or not somebody listens,
//! a reload in the middle goes on where it was, whoever comes late gets all of it, and at the end
//! nobody reconnects for ever.
//!
//! Run with
//! ```text
//! cargo run --example resumable_answer
//! curl -d 'What is a position?' http://127.0.0.1:PORT/requests/ask
//! curl -N 'http://127.0.0.1:PORT/events?channel=answers/1&start=earliest'
//! ```
//! or open the address, ask, reload while it writes, and open the same page in a second tab.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use eventcast::{
    ClientRequest, ErrorCode, Event, EventService, Hub, Payload, Refusal, RequestHandler, Server,
    ServiceConfig,
};
use eventcast_examples::{ctrl_c, not_found, page};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::Semaphore;

const ANSWER: &str = "An event is published once and kept for a while. A reader is a place in the \
    log, not a queue: it can go away, come back over another connection, and read on from there. \
    So this answer does not care who is looking. Reload this page while it is being written, and \
    not one word is missing or comes twice. Open it in a second tab, and both write the same. \
    Close them all, and it is written to its end all the same; whoever asks for it within ten \
    minutes gets the whole of it, at once.";

/// How many answers may be written at a time.
const MODELS: usize = 16;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hub = Hub::new();
    let config = ServiceConfig::new()
        .with_fallback(page(include_str!("pages/resumable_answer.html")))
        .with_request_handler(Assistant::new(hub.clone()));
    let server = Server::bind("127.0.0.1:0", EventService::new(hub, config)).await?;
    println!("http://{}/", server.local_addr());
    server.run(ctrl_c()).await;
    Ok(())
}

struct Assistant {
    hub: Hub,
    asked: AtomicU64,
    models: Arc<Semaphore>,
}

impl Assistant {
    fn new(hub: Hub) -> Self {
        let models = Arc::new(Semaphore::new(MODELS));
        let asked = AtomicU64::new(0);
        Self { hub, asked, models }
    }
}

#[async_trait]
impl RequestHandler for Assistant {
    /// Names the answer's channel at once; the answer itself takes its time.
    async fn answer(&self, request: ClientRequest<'_>) -> Result<Payload, Refusal> {
        if request.name != "ask" {
            return Err(not_found());
        }
        let model = Arc::clone(&self.models).try_acquire_owned();
        let model =
            model.map_err(|_| Refusal::new(ErrorCode::RateLimited, "all models are busy"))?;
        let name = format!("answers/{}", self.asked.fetch_add(1, Ordering::Relaxed) + 1);
        let answer = self.hub.channel(name.as_str()).expect("a valid name");
        // A task of its own: nobody has to be connected, and the request may go away.
        tokio::spawn(async move {
            let _busy = model;
            answer.publish_all(tokens()).await
        });
        Ok(Payload::text(name))
    }
}

/// What a model's stream of tokens would be. An `Err` would end the answer as failed.
fn tokens() -> impl Stream<Item = Result<Event, Infallible>> {
    stream::iter(ANSWER.split_inclusive(' ')).then(|token| async move {
        tokio::time::sleep(Duration::from_millis(60)).await;
        Ok(Event::text(token))
    })
}
