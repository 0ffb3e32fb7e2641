//! A deploy that nobody notices: an instance of the hub drains, another one takes over, and every
//! client is told so and goes on. A load balancer of a few lines stands in front, as nginx or
//! HAProxy would; see `docs/deploying.md` for theirs.
//!
//! Run with
//! ```text
//! cargo run --example graceful_deploy
//! ```

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use eventcast::{Event, EventService, Hub, Server, ServerConfig, ServiceConfig};
use eventcast_client::{Client, Delivery, Loss};
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

const CLIENTS: usize = 20;
/// How long the goodbyes take: in production longer than the load balancer takes to notice.
const WINDOW: Duration = Duration::from_secs(1);

/// An instance: its service, where it listens, what stops it, and when it has stopped.
struct Instance {
    service: EventService,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    stopped: JoinHandle<()>,
}

async fn start() -> Result<Instance, Box<dyn Error>> {
    let config = ServiceConfig::new().with_retry(Duration::from_millis(200));
    let service = EventService::new(Hub::new(), config);
    let server = Server::bind("127.0.0.1:0", service.clone()).await?;
    let server = server.with_config(ServerConfig::new().with_drain_window(WINDOW));
    let address = server.local_addr();
    let (stop, stopping) = oneshot::channel();
    // In a program of its own this is SIGTERM.
    let stopped = tokio::spawn(server.run(async { stopping.await.unwrap_or(()) }));
    Ok(Instance {
        service,
        address,
        stop,
        stopped,
    })
}

async fn publish(instance: &Instance, text: &str) -> Result<(), Box<dyn Error>> {
    instance
        .service
        .hub()
        .publish("news", Event::text(text))
        .await?;
    Ok(())
}

/// Forwards new connections to the present instance, and leaves those that are open alone.
async fn balance(front: TcpListener, present: watch::Receiver<SocketAddr>) {
    while let Ok((mut near, _)) = front.accept().await {
        let address = *present.borrow();
        tokio::spawn(async move {
            if let Ok(mut far) = TcpStream::connect(address).await {
                // Either side may cut it: that is what the clients are made for.
                let _ = copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
}

/// What one client is told from the first event to the last.
async fn watch(url: String) -> Result<(u32, u32), Box<dyn Error + Send + Sync>> {
    let (mut events, mut gaps) = (0, 0);
    let mut client = Client::connect(&url)?;
    while let Some(delivery) = client.next().await {
        match delivery? {
            Delivery::Event(event) if event.payload.as_str() == Some("the last") => break,
            Delivery::Event(_) => events += 1,
            // The other instance is another log: load the state anew. What it retains follows.
            Delivery::Gap(gap) if gap.reason == Loss::Epoch => gaps += 1,
            other => drop(other),
        }
    }
    Ok((events, gaps))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let old = start().await?;
    let (present, followed) = watch::channel(old.address);
    let front = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!(
        "http://{}/events?channel=news&start=earliest",
        front.local_addr()?
    );
    tokio::spawn(balance(front, followed));
    publish(&old, "before the deploy").await?;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| tokio::spawn(watch(url.clone())))
        .collect();
    while old.service.subscribers().websocket < CLIENTS {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("{CLIENTS} clients at the old instance");

    let new = start().await?;
    present.send(new.address)?;
    println!("the new instance is in front; the old one says goodbye over {WINDOW:?}");
    let _ = old.stop.send(());
    publish(&new, "during the deploy").await?;
    old.stopped.await?;
    println!("the old instance has stopped");
    publish(&new, "the last").await?;

    let mut told = 0;
    for seen in try_join_all(clients).await? {
        let (events, gaps) = seen.map_err(|error| error.to_string())?;
        assert_eq!(events, 2, "the event before, and the one during the deploy");
        told += gaps;
    }
    println!("{told} of {CLIENTS} clients were told of the new log, and none missed an event");
    Ok(())
}
