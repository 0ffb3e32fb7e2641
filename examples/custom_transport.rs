//! A transport of one's own, over anything that can be written to: here, standard output.
//!
//! Run with
//! ```text
//! cargo run --example custom_transport
//! ```

use std::error::Error;
use std::time::Duration;

use eventcast::{
    Batch, Delivery, End, Event, Format, FormatId, Hub, Start, TokioTimer, Transport, drive,
};
use tokio::io::{AsyncWrite, AsyncWriteExt};

// ---- the transport: one line an event, `id payload`, and a line with `!` for a gap
struct LineFormat;

impl Format for LineFormat {
    fn id(&self) -> FormatId {
        FormatId::new("example.lines")
    }
    fn encode(&self, delivery: &Delivery, out: &mut Vec<u8>) {
        match delivery {
            Delivery::Event(event) => {
                out.extend_from_slice(event.id().text().as_bytes());
                out.push(b' ');
                out.extend_from_slice(event.payload().as_bytes());
                out.push(b'\n');
            }
            Delivery::Gap(gap) => out.extend_from_slice(format!("! {gap}\n").as_bytes()),
            _ => {}
        }
    }
}

struct Lines<W>(W);

impl<W: AsyncWrite + Send + Unpin> Transport for Lines<W> {
    type Error = std::io::Error;
    fn format(&self) -> &dyn Format {
        &LineFormat
    }
    async fn send(&mut self, mut batch: Batch) -> std::io::Result<()> {
        self.0.write_all_buf(&mut batch).await?;
        self.0.flush().await
    }
}
// ---- 30 lines later

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hub = Hub::new();
    for n in 1..=3 {
        hub.publish("news", Event::text(format!("event {n}")))
            .await?;
    }
    let session = hub
        .session()
        .start(Start::Earliest)
        .channel("news")
        .open()?;
    let handle = session.handle();
    let heartbeat = Duration::from_secs(15);
    let connection = tokio::spawn(async move {
        drive(session, Lines(tokio::io::stdout()), &TokioTimer, heartbeat).await
    });

    hub.publish("news", Event::text("event 4, live")).await?;
    tokio::time::sleep(Duration::from_millis(100)).await;
    handle.end(End::Closed);
    let end = connection.await??;
    println!("ended: {end:?}");
    Ok(())
}
