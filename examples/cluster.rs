//! Two hubs, as on two machines, share one log on Redis or NATS behind one address. A client whose
//! connection is cut in mid-stream goes on at the other one, with the id that the first gave it.
//!
//! Run with
//! ```text
//! cargo run --example cluster                            # starts a redis-server of its own
//! cargo run --example cluster -- redis://127.0.0.1:6379
//! cargo run --example cluster -- nats://127.0.0.1:4222
//! ```

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use eventcast::{Event, EventService, Hub, HubConfig, Server, ServiceConfig};
use eventcast_client::{Client, Delivery};
use eventcast_nats::{NatsBackplane, NatsConfig};
use eventcast_redis::{RedisBackplane, RedisConfig};
use futures_util::StreamExt;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::watch;

const EVENTS: u32 = 40;
/// After so many events the client's connection is cut.
const CUT_EVERY: u32 = 10;

/// A node: its own connection to the log, its hub, its server.
async fn start(url: &str, namespace: &str) -> Result<(Hub, SocketAddr), Box<dyn Error>> {
    let config = HubConfig::new();
    let hub = if url.starts_with("nats") {
        Hub::open(
            config,
            NatsBackplane::new(NatsConfig::new([url], namespace)),
        )
        .await?
    } else {
        let log = RedisConfig::new(url)?.with_namespace(namespace)?;
        Hub::open(config, RedisBackplane::connect(log).await?).await?
    };
    let config = ServiceConfig::new().with_retry(Duration::from_millis(20));
    let server = Server::bind("127.0.0.1:0", EventService::new(hub.clone(), config)).await?;
    let address = server.local_addr();
    tokio::spawn(server.run(std::future::pending()));
    Ok((hub, address))
}

/// Gives connections to the nodes in turn, and cuts them when told to.
async fn balance(front: TcpListener, nodes: [SocketAddr; 2], cut: watch::Receiver<u32>) {
    for node in nodes.into_iter().cycle() {
        let Ok((mut near, _)) = front.accept().await else {
            return;
        };
        let mut cut = cut.clone();
        cut.mark_unchanged();
        println!("a connection goes to {node}");
        tokio::spawn(async move {
            let Ok(mut far) = TcpStream::connect(node).await else {
                return;
            };
            tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => {}
                _ = cut.changed() => {}
            }
        });
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let own = match std::env::args().nth(1) {
        Some(url) => (url, None),
        None => {
            let redis = Redis::start().await?;
            (redis.url(), Some(redis))
        }
    };
    // Who runs this twice on one server finds no events of before.
    let namespace = format!("cluster-{}", std::process::id());
    let (one, first) = start(&own.0, &namespace).await?;
    let (other, second) = start(&own.0, &namespace).await?;
    let front = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/events?channel=news", front.local_addr()?);
    let (cut, is_cut) = watch::channel(0);
    tokio::spawn(balance(front, [first, second], is_cut));

    let mut client = Client::connect(&format!("{url}&start=earliest"))?;
    let nodes = [one, other];
    let publishing = nodes.clone();
    tokio::spawn(async move {
        for number in 1..=EVENTS {
            let node = &publishing[number as usize % 2];
            let event = Event::text(number.to_string());
            node.publish("news", event).await.expect("the log is there");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let mut expected = 1;
    while expected <= EVENTS {
        match client.next().await.ok_or("the client has ended")?? {
            Delivery::Event(event) => {
                assert_eq!(event.payload.as_str(), Some(&*expected.to_string()));
                if expected.is_multiple_of(CUT_EVERY) {
                    cut.send_replace(expected);
                }
                expected += 1;
            }
            Delivery::Gap(gap) => return Err(format!("something is lost: {gap:?}").into()),
            other => drop(other),
        }
    }
    println!("{EVENTS} events, from two nodes in turn: none is missing and none came twice");
    for node in nodes {
        node.close().await?;
    }
    Ok(())
}

/// A redis-server for this program, on a socket in a folder, which go with it.
struct Redis {
    _child: Child,
    folder: PathBuf,
}

impl Redis {
    async fn start() -> Result<Self, Box<dyn Error>> {
        let name = format!("eventcast-cluster-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder)?;
        let mut child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "yes"])
            .args(["--appendfsync", "always", "--loglevel", "warning"])
            .arg("--dir")
            .arg(&folder)
            .arg("--unixsocket")
            .arg(folder.join("socket"))
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                format!("redis-server is needed, or a URL: apt-get install redis-server ({error})")
            })?;
        while !folder.join("socket").exists() {
            if let Some(status) = child.try_wait()? {
                return Err(format!("redis-server has ended: {status}").into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(Self {
            _child: child,
            folder,
        })
    }

    fn url(&self) -> String {
        format!("redis+unix://{}", self.folder.join("socket").display())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
