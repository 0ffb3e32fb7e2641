//! A snapshot that joins a stream: the client gets the state of a database and a position, and
//! subscribes after that position. Nothing is missing between the two.
//!
//! Run with
//! ```text
//! cargo run --example snapshot
//! curl http://127.0.0.1:PORT/snapshot
//! curl -N 'http://127.0.0.1:PORT/events?channel=stock&last_event_id=POSITION'
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use eventcast::{Event, EventService, Hub, Server, ServiceConfig};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Response};

/// The database: how many there are of each article.
type Stock = Arc<Mutex<BTreeMap<&'static str, u64>>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hub = Hub::new();
    let stock = Stock::default();
    let (source, database) = (hub.clone(), Arc::clone(&stock));
    let config = ServiceConfig::new().with_fallback(move |request| {
        let wanted = request.method == Method::GET && request.uri.path() == "/snapshot";
        wanted.then(|| snapshot(&source, &database))
    });
    let server = Server::bind("127.0.0.1:0", EventService::new(hub.clone(), config)).await?;
    println!("http://{}/snapshot", server.local_addr());

    tokio::spawn(async move {
        for n in 1.. {
            let article = ["apples", "pears", "plums"][n as usize % 3];
            // First the database, then the event: who reads a position has all before it.
            stock.lock().expect("nobody panics").insert(article, n);
            // An event carries the new value, not a difference: seeing it twice does no harm.
            let event = Event::json(&(article, n)).expect("a pair is JSON");
            hub.publish("stock", event).await.expect("a valid event");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });

    server
        .run(async { tokio::signal::ctrl_c().await.unwrap_or(()) })
        .await;
    Ok(())
}

/// The position first, then the database. What is published between the two is in both; the other
/// way round it would be in neither.
fn snapshot(hub: &Hub, stock: &Stock) -> Response<Bytes> {
    let position = hub.position();
    let stock = stock.lock().expect("nobody panics");
    let articles: Vec<_> = stock
        .iter()
        .map(|(name, n)| format!("\"{name}\":{n}"))
        .collect();
    let document = format!(
        "{{\"position\":\"{position}\",\"stock\":{{{}}}}}",
        articles.join(",")
    );
    let mut response = Response::new(Bytes::from(document));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
