//! The measured process: a server with the default settings, told by its input what to do.

use std::error::Error;
use std::future::pending;

use eventcast::{Event, EventService, Hub, Limits, Server, ServiceConfig, TlsConfig};
use tokio::io::{AsyncBufReadExt, BufReader};

/// Prints its addresses, without and with TLS, then obeys `publish CHANNEL` and `count`, one a
/// line, until its input ends. The certificate and its key are in PEM.
pub(crate) fn serve(certificate: &str, key: &str) -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()?
        .block_on(obey(certificate, key))
}

async fn obey(certificate: &str, key: &str) -> Result<(), Box<dyn Error>> {
    // All clients have one address.
    let limits = Limits::new()
        .with_sessions_per_address(usize::MAX)
        .with_opened_per_second(u32::MAX);
    let config = ServiceConfig::new().with_limits(limits);
    let service = EventService::new(Hub::new(), config);
    let server = Server::bind("127.0.0.1:0", service.clone()).await?;
    let tls = TlsConfig::from_pem(certificate.as_bytes(), key.as_bytes())?;
    let encrypted = Server::bind("127.0.0.1:0", service.clone()).await?;
    println!("{} {}", server.local_addr(), encrypted.local_addr());
    tokio::spawn(server.run(pending()));
    tokio::spawn(encrypted.with_tls(tls).run(pending()));

    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match line.split_once(' ') {
            Some(("publish", channel)) => {
                for n in 1..=BURST {
                    service.hub().publish(channel, event(n)).await?;
                }
                println!("published");
            }
            _ => {
                let open = service.subscribers();
                println!("{}", open.sse + open.websocket);
            }
        }
    }
    Ok(())
}

fn event(n: usize) -> Event {
    let end = if n == BURST { LAST } else { "" };
    Event::text(format!("{:.<width$}{end}", "", width = PAYLOAD - end.len()))
}

/// As many as the cores that the published figures were measured on.
const WORKERS: usize = 2;
/// Events of a burst.
pub(crate) const BURST: usize = 64;
/// The bytes of an event.
pub(crate) const PAYLOAD: usize = 128;
/// How the last event of a burst ends.
pub(crate) const LAST: &str = "last";
