//! One way from a hub to a client: a transport, through a proxy, over a protocol.

use std::fmt;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};

use crate::client::{Client, Seen};
use crate::hub::Hub;
use crate::link::{Door, Link, Protocol, Trouble};
use crate::random::Random;
use crate::route::Route;
use crate::subscription::Transport;

#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) number: u64,
    pub(crate) route: Route,
    pub(crate) door: Door,
    pub(crate) transport: Transport,
    pub(crate) protocol: Protocol,
}

/// What was measured of a cell that is as it should be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) cuts: u64,
    /// From before a publish until the event has come, the median.
    pub(crate) latency: Duration,
}

impl Cell {
    fn client(&self, channel: &str) -> Client {
        Client::new(self.transport, self.protocol, channel)
    }

    /// Reads the whole series while the connection is cut again and again.
    pub(crate) async fn series(
        &self,
        channel: &str,
        length: u64,
        seed: u64,
    ) -> Result<u64, String> {
        let mut random = Random::new(seed + self.number);
        let mut client = self.client(channel);
        let (mut cuts, mut fruitless, mut last) = (0, 0, String::new());
        let begin = Instant::now();
        while client.next < length {
            if begin.elapsed() > LIMIT {
                let next = client.next;
                return Err(format!(
                    "{next} of {length} events in {LIMIT:?} and {cuts} cuts, the last by: {last}"
                ));
            }
            let before = client.next;
            let bytes = random.below(self.bytes() << fruitless);
            match read_until_cut(&mut client, &self.door, bytes, length).await {
                Ok(()) => {}
                Err(Trouble::Cut(how)) => {
                    cuts += 1;
                    last = how;
                    // The more it is behind, the larger are a poll's answer and a TLS record,
                    // neither of which is of use by half.
                    fruitless = if client.next == before {
                        6.min(fruitless + 1)
                    } else {
                        0
                    };
                }
                Err(Trouble::Wrong(what)) => return Err(what),
            }
        }
        // Whatever else comes is too much.
        client.connect(&self.door, usize::MAX).await.map_err(text)?;
        while let Seen::Event | Seen::Position = client.see().await.map_err(text)? {}
        if client.next == length {
            Ok(cuts)
        } else {
            Err(format!("{} events of {length}", client.next))
        }
    }

    /// After how many bytes at most the connection is cut; greetings need some before the first event.
    fn bytes(&self) -> usize {
        match self.protocol {
            Protocol::Http1 => 6_000,
            Protocol::Http1Tls | Protocol::Http2 => 9_000,
        }
    }

    /// Stays connected for a while, during which there is nothing but heartbeats; then events have
    /// to come at once, over the same connection.
    pub(crate) async fn stays(&self, hub: &Hub, idle: Duration) -> Result<Duration, String> {
        let channel = format!("late-{}-{}", self.number, idle.as_millis());
        let mut publisher = hub.publisher().await?;
        let mut client = self.client(&channel);
        client.connect(&self.door, usize::MAX).await.map_err(text)?;
        let begin = Instant::now();
        let mut heartbeats = 0;
        while heartbeats < 2 || begin.elapsed() < idle {
            match client.see().await.map_err(text)? {
                Seen::Heartbeat => heartbeats += 1,
                Seen::Position => {}
                other => return Err(format!("{other:?} on an idle connection")),
            }
        }
        let mut took = Vec::new();
        for n in 0..EVENTS {
            let begin = Instant::now();
            publisher.publish(&channel, n, 0).await?;
            let arriving = async {
                while client.next == n && client.see().await.map_err(text)? != Seen::End {}
                Ok::<_, String>(())
            };
            arriving.await?;
            if client.next == n {
                return Err(format!("the connection ended before event {n}"));
            }
            took.push(begin.elapsed());
        }
        took.sort_unstable();
        // Not the slowest: this machine may be busy.
        let usual = took[took.len() / 2];
        if usual > AT_ONCE {
            return Err(format!("events are held back: they took {took:?}"));
        }
        Ok(usual)
    }

    /// Is cut off by the proxy, because the hub's heartbeats are further apart than it waits.
    pub(crate) async fn is_cut_off(&self) -> Result<(), String> {
        let mut client = self.client("idle");
        // Longer than the proxy waits.
        client.wait = 15;
        let begin = Instant::now();
        let waiting = async {
            client.connect(&self.door, usize::MAX).await?;
            while client.see().await? != Seen::End {}
            Ok::<_, Trouble>(())
        };
        // However the proxy does it: an end, a broken connection, or the status 504.
        let end = waiting.await;
        let took = begin.elapsed();
        if took < Duration::from_secs(10) {
            Ok(())
        } else {
            Err(format!("the proxy waited {took:?}, then: {end:?}"))
        }
    }

    /// There is nothing to be had here.
    pub(crate) async fn is_none(&self) -> Result<(), String> {
        match self.client("none").connect(&self.door, usize::MAX).await {
            Ok(()) => Err("it exists: the table has to say so".to_owned()),
            Err(_) => Ok(()),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            route,
            transport,
            protocol,
            ..
        } = self;
        write!(f, "{route}, {transport} over {protocol}")
    }
}

async fn read_until_cut(
    client: &mut Client,
    door: &Door,
    bytes: usize,
    length: u64,
) -> Result<(), Trouble> {
    client.connect(door, bytes).await?;
    let begin = Instant::now();
    while client.next < length {
        if begin.elapsed() > LIMIT {
            let next = client.next;
            return Err(Trouble::Wrong(format!(
                "event {next} did not come in {LIMIT:?}"
            )));
        }
        if client.see().await? == Seen::End {
            return Err(Trouble::Cut("it ended".to_owned()));
        }
    }
    Ok(())
}

/// Whose pages may subscribe, and that nobody publishes, through a proxy.
pub(crate) async fn origins(door: &Door, protocol: Protocol) -> Result<(), String> {
    let mut link = Link::open(door, protocol, usize::MAX).await.map_err(text)?;
    let own = link.origin();
    for (origin, wanted) in [
        (own.as_str(), StatusCode::OK),
        ("https://elsewhere.example", StatusCode::FORBIDDEN),
    ] {
        let headers = [("origin", origin)];
        let target = "/events?channel=series";
        let (status, _) = link
            .ask(Method::HEAD, target, &headers, "")
            .await
            .map_err(text)?;
        if status != wanted {
            return Err(format!("a page of {origin} at {own} gets {status}"));
        }
    }
    let published = link.ask(Method::POST, "/channels/series", &[], "x").await;
    let (status, _) = published.map_err(text)?;
    // The example takes events from its own machine only, and the proxy says who asked it.
    if status != StatusCode::FORBIDDEN {
        return Err(format!("publishing through the proxy gets {status}"));
    }
    Ok(())
}

#[allow(clippy::needless_pass_by_value, reason = "it is what map_err passes")]
pub(crate) fn text(trouble: Trouble) -> String {
    trouble.to_string()
}

/// More than a machine needs, less than the kernel waits for more to send: 200 ms.
const AT_ONCE: Duration = Duration::from_millis(150);
/// How many have to come at once.
const EVENTS: u64 = 5;
const LIMIT: Duration = Duration::from_secs(60);
