//! Sends every WebSocket message back, text as text and binary as binary, up to 16 MiB each.
//!
//! Run with
//! ```text
//! cargo run --release --example echo
//! websocat ws://127.0.0.1:PORT/
//! ```
//! `HOST` and `PORT` in the environment choose where it listens; by default 127.0.0.1 and a free
//! port.

#[path = "hub/echo.rs"]
mod echo;

use std::env;
use std::error::Error;
use std::sync::Arc;

use eventcast::{EventService, Hub, Server, ServiceConfig};

use crate::echo::Echo;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hub = Hub::new();
    let echo = Arc::new(Echo::new(hub.clone()));
    let answering = Arc::clone(&echo);
    let config = ServiceConfig::new().with_fallback(move |request| Some(answering.answer(request)));

    let host = env::var("HOST").unwrap_or_else(|_| "127.0.0.1".to_owned());
    let port = match env::var("PORT") {
        Ok(port) => port.parse()?,
        Err(_) => 0,
    };
    let server = Server::bind((host.as_str(), port), EventService::new(hub, config)).await?;
    println!("ws://{}/", server.local_addr());

    server
        .run(async { tokio::signal::ctrl_c().await.unwrap_or(()) })
        .await;
    echo.end().await;
    Ok(())
}
