//! Counts aloud over Server-Sent Events.
//!
//! Run with
//! ```text
//! cargo run --example hello_sse
//! curl -N 'http://127.0.0.1:PORT/events?channel=counter'
//! ```

use std::error::Error;
use std::time::Duration;

use eventcast::{Event, EventService, Hub, Server, ServiceConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hub = Hub::new();
    let service = EventService::new(hub.clone(), ServiceConfig::new());
    let server = Server::bind("127.0.0.1:0", service).await?;
    println!(
        "curl -N 'http://{}/events?channel=counter'",
        server.local_addr()
    );

    tokio::spawn(async move {
        for n in 1.. {
            let event = Event::text(format!("number {n}"));
            hub.publish("counter", event).await.expect("a valid event");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });

    server
        .run(async { tokio::signal::ctrl_c().await.unwrap_or(()) })
        .await;
    Ok(())
}
