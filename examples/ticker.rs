//! A ticker: whoever opens it has the newest price of every symbol at once, then what changes.
//!
//! Each event has its symbol as its key. A reader that conflates gets only the newest event of a
//! key while it is behind; one that starts at the earliest event is behind, so it begins with one
//! event a symbol. Slow readers and those that come back are served the same way.
//!
//! Run with
//! ```text
//! cargo run --example ticker
//! curl -N 'http://127.0.0.1:PORT/events?channel=prices&start=earliest&slow=conflate'
//! ```
//! or open the address.

use std::error::Error;
use std::time::Duration;

use eventcast::{Event, EventService, Hub, HubConfig, Retention, Server, ServiceConfig};
use eventcast_examples::{ctrl_c, page};

const SYMBOLS: &[&str] = &["ACME", "BOLT", "CORE", "DUSK", "ECHO", "FERN"];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Enough to have a price of every symbol; nobody here wants old ones.
    let retention = Retention::new().with_count(1_000);
    let hub = Hub::with_config(HubConfig::new().with_retention_for("prices", retention));
    let config = ServiceConfig::new().with_fallback(page(include_str!("pages/ticker.html")));
    let server = Server::bind("127.0.0.1:0", EventService::new(hub.clone(), config)).await?;
    println!("http://{}/", server.local_addr());

    tokio::spawn(market(hub));
    server.run(ctrl_c()).await;
    Ok(())
}

/// Prices in cents, by a random walk that is the same every time.
async fn market(hub: Hub) {
    let mut prices = [12_050_u32, 8_400, 23_175, 4_260, 9_999, 15_730];
    let mut dice: u32 = 7;
    loop {
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let which = (dice >> 8) as usize % SYMBOLS.len();
        prices[which] = prices[which].saturating_add(dice >> 25).max(200) - 60;
        let trade = (SYMBOLS[which], prices[which]);
        let event = Event::json(&trade).expect("a pair is JSON");
        let event = event.keyed(SYMBOLS[which]).expect("a valid key");
        hub.publish("prices", event).await.expect("a valid event");
        tokio::time::sleep(Duration::from_millis(120)).await;
    }
}
