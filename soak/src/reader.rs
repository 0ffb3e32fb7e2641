//! One client: connected, cut, resumed, stalled, over and over.

use std::net::SocketAddr;
use std::time::Duration;

use eventcast_testkit::{Ledger, Observer};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::changes::Changes;
use crate::shared::{Io, Shared};
use crate::wire::{Client, Half, Protocol, TRANSPORTS, Transport, query, speak};

pub(crate) const CHANNELS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Where a round's clients connect to.
#[derive(Clone)]
pub(crate) struct Place {
    address: SocketAddr,
    shared: Shared,
}

impl Place {
    pub(crate) fn new(address: SocketAddr, shared: &Shared) -> Self {
        Self {
            address,
            shared: shared.clone(),
        }
    }
}

/// What a client's connections are.
#[derive(Clone, Copy, Debug)]
enum Link {
    Own(Protocol),
    /// A stream of a connection with others on it.
    Shared,
}

/// A client and how often it was cut.
pub(crate) struct Reader {
    client: Client<Box<dyn Io>>,
    link: Link,
    place: Option<Place>,
    /// What it subscribes to: channels by their names, or all by a pattern.
    selectors: Vec<&'static str>,
    channels: Vec<&'static str>,
    /// For one whose session also has a channel that comes and goes.
    changing: Option<Changes>,
    random: Random,
    pub(crate) cuts: u64,
    pub(crate) changes: u64,
    pub(crate) deliveries: u64,
    pub(crate) by_transport: [u64; 4],
    pub(crate) gaps: u64,
    resumes_another_run: bool,
}

impl Reader {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let first = random.below(CHANNELS.len());
        let count = 1 + random.below(5);
        let names = CHANNELS.iter().cycle().skip(first).take(count).copied();
        let (selectors, channels) = match random.below(4) {
            0 => (vec!["*"], CHANNELS.to_vec()),
            _ => (names.clone().collect(), names.collect()),
        };
        let link = match random.below(20) {
            0..10 => Link::Own(Protocol::Http1),
            10..18 => Link::Own(Protocol::Http2),
            _ => Link::Shared,
        };
        let other = CHANNELS.iter().find(|name| !channels.contains(name));
        let changing = other.filter(|_| random.below(3) == 0).copied();
        Self {
            client: Client::new(&selectors, QUIET),
            link,
            place: None,
            selectors,
            channels,
            changing: changing.map(Changes::new),
            random,
            cuts: 0,
            changes: 0,
            deliveries: 0,
            by_transport: [0; 4],
            gaps: 0,
            resumes_another_run: false,
        }
    }

    /// Begins a round, with a new run of the hub, before anything is published.
    pub(crate) async fn begin(&mut self, place: Place) -> Result<(), String> {
        let address = place.address;
        self.place = Some(place);
        self.resumes_another_run = self.client.last_id().is_some();
        self.client.observer = Observer::new(self.channels.iter().copied(), 0);
        self.client.broken.clear();
        self.client.gaps = 0;
        if let Some(changes) = &mut self.changing {
            let key = self.random.below(usize::MAX);
            let session = format!("soak-{key:020}");
            changes.begin(address, &session);
            let names = [&self.selectors[..], &[changes.channel]].concat();
            self.client
                .change_query(format!("{}&session={session}", query(&names)));
            self.client.aside = Some((changes.channel, Vec::new()));
        }
        for _ in 0..100 {
            self.connect().await?;
            self.client.read_all().await?;
            if self.client.last_id().is_some() && self.knows_the_run() {
                return self.see_aside();
            }
        }
        Err(format!("no first block for {:?}", self.selectors))
    }

    /// Reads, is cut, and comes back until told to stop.
    pub(crate) async fn go(&mut self, stop: &watch::Receiver<bool>) -> Result<(), String> {
        while !*stop.borrow() {
            match self.random.below(10) {
                // Falls behind, maybe beyond what is retained.
                0 => tokio::time::sleep(self.pause(2_000)).await,
                // Is away for a while.
                1 => {
                    self.client.detach();
                    tokio::time::sleep(self.pause(1_000)).await;
                }
                2 | 3 => self.change().await?,
                _ => {}
            }
            let bytes = self.random.below(60_000);
            self.client.read_up_to(bytes).await?;
            self.see_aside()?;
            self.cuts += 1;
            self.connect().await?;
        }
        Ok(())
    }

    /// Adds the channel that comes and goes, or removes it, and reads on until that is answered: a
    /// session that is not read is not changed.
    async fn change(&mut self) -> Result<(), String> {
        let Some(changes) = &mut self.changing else {
            return Ok(());
        };
        // The session of this connection is the one that is changed once something has come.
        self.client.read_up_to(2_000).await?;
        if !self.client.heard {
            return Ok(());
        }
        changes.ask();
        while !changes.is_answered() {
            self.client.read_up_to(60_000).await?;
        }
        let aside = self.client.aside.as_mut().map(|(_, seen)| seen);
        self.changes += u64::from(changes.answered(aside.expect("it has one")).await?);
        Ok(())
    }

    fn see_aside(&mut self) -> Result<(), String> {
        match (&mut self.changing, &mut self.client.aside) {
            (Some(changes), Some((_, seen))) => changes.see(seen),
            _ => Ok(()),
        }
    }

    /// Reads the rest and compares all with what was published.
    pub(crate) async fn settle(&mut self, ledger: &Ledger) -> Result<(), String> {
        for attempt in 0..200 {
            self.client.read_all().await?;
            self.see_aside()?;
            if self.check(ledger).is_ok() {
                break;
            }
            if attempt % 20 == 19 {
                self.connect().await?;
            }
        }
        self.check(ledger)?;
        let by_transport = std::mem::take(&mut self.client.deliveries);
        self.deliveries += by_transport.iter().sum::<u64>();
        for (sum, of) in self.by_transport.iter_mut().zip(by_transport) {
            *sum += of;
        }
        self.gaps += self.client.gaps as u64;
        self.client.detach();
        Ok(())
    }

    fn check(&self, ledger: &Ledger) -> Result<(), String> {
        let describe = |violation| {
            let (selectors, id) = (&self.selectors, self.client.last_id());
            let link = self.link;
            format!("{violation:?}, subscribed to {selectors:?} over {link:?}, last id {id:?}")
        };
        self.client.observer.check(ledger).map_err(describe)?;
        match &self.changing {
            Some(changes) => changes.check(ledger),
            None => Ok(()),
        }
    }

    /// After a restart the loss has to be told of everything subscribed to.
    fn knows_the_run(&self) -> bool {
        let told = |selector: &&str| self.client.broken.iter().any(|other| other == selector);
        !self.resumes_another_run || self.selectors.iter().all(told)
    }

    async fn connect(&mut self) -> Result<(), String> {
        let place = self.place.clone().ok_or("there is no hub yet")?;
        let transports: &[Transport] = match self.link {
            // A WebSocket's session has no key, and a poll's is often between two answers.
            _ if self.changing.is_some() => &[Transport::Sse, Transport::Stream],
            // Each poll would be another stream.
            Link::Shared => &[Transport::Sse, Transport::Stream, Transport::WebSocket],
            Link::Own(_) => &TRANSPORTS,
        };
        let transport = transports[self.random.below(transports.len())];
        self.attach(place, transport).await
    }

    async fn attach(&mut self, place: Place, transport: Transport) -> Result<(), String> {
        let ask = self.client.ask(transport);
        match self.link {
            Link::Own(protocol) => {
                let stream = TcpStream::connect(place.address).await;
                let stream = stream.map_err(|error| format!("cannot connect: {error}"))?;
                let half = Half::new(|io, seen| speak(io, protocol, ask, seen));
                self.client.attach(Box::new(stream), half).await;
            }
            Link::Shared => {
                let (stream, half) = place.shared.open(ask);
                self.client.attach(stream, half).await;
            }
        }
        Ok(())
    }

    fn pause(&mut self, longest: usize) -> Duration {
        Duration::from_millis(self.random.below(longest) as u64)
    }
}

/// Marsaglia's xorshift: the same seed, the same choices.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }
}

const QUIET: Duration = Duration::from_millis(50);
