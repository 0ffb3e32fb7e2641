//! Counts aloud over WebSocket, as JSON with a name.
//!
//! Run with
//! ```text
//! cargo run --example hello_ws
//! websocat 'ws://127.0.0.1:PORT/events?channel=counter'
//! ```
//! or, in a browser's console: `new WebSocket(url).onmessage = (m) => console.log(m.data)`.

use std::error::Error;
use std::time::Duration;

use eventcast::{AllowedOrigins, Event, EventService, Hub, Server, ServiceConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hub = Hub::new();
    // So that any page's console may connect; a real service names its pages' origins.
    let origins = AllowedOrigins::same_origin().and("*");
    let config = ServiceConfig::new().with_allowed_origins(origins);
    let service = EventService::new(hub.clone(), config);
    let server = Server::bind("127.0.0.1:0", service).await?;
    println!("ws://{}/events?channel=counter", server.local_addr());

    tokio::spawn(async move {
        for n in 1_u64.. {
            let event = Event::json(&[n, n * n]).expect("numbers are JSON");
            let event = event.named("square").expect("a valid name");
            hub.publish("counter", event).await.expect("a valid event");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });

    server
        .run(async { tokio::signal::ctrl_c().await.unwrap_or(()) })
        .await;
    Ok(())
}
