//! One client: connected, cut, resumed, stalled, over and over.

use std::net::SocketAddr;
use std::time::Duration;

use eventcast_testkit::{Ledger, Observer};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::wire::{Client, Transport};

pub(crate) const CHANNELS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// A client and how often it was cut.
pub(crate) struct Reader {
    client: Client<TcpStream>,
    /// What it subscribes to: channels by their names, or all by a pattern.
    selectors: Vec<&'static str>,
    channels: Vec<&'static str>,
    random: Random,
    pub(crate) cuts: u64,
    pub(crate) deliveries: u64,
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
        Self {
            client: Client::new(&selectors, QUIET),
            selectors,
            channels,
            random,
            cuts: 0,
            deliveries: 0,
            gaps: 0,
            resumes_another_run: false,
        }
    }

    /// Begins a round, with a new run of the hub, before anything is published.
    pub(crate) async fn begin(&mut self, address: SocketAddr) -> Result<(), String> {
        self.resumes_another_run = self.client.last_id().is_some();
        self.client.observer = Observer::new(self.channels.iter().copied(), 0);
        self.client.broken.clear();
        self.client.gaps = 0;
        for _ in 0..100 {
            self.connect(address).await?;
            self.client.read_all().await;
            if self.client.last_id().is_some() && self.knows_the_run() {
                return Ok(());
            }
        }
        Err(format!("no first block for {:?}", self.selectors))
    }

    /// Reads, is cut, and comes back until told to stop.
    pub(crate) async fn go(
        &mut self,
        address: SocketAddr,
        stop: &watch::Receiver<bool>,
    ) -> Result<(), String> {
        while !*stop.borrow() {
            match self.random.below(10) {
                // Falls behind, maybe beyond what is retained.
                0 => tokio::time::sleep(self.pause(2_000)).await,
                // Is away for a while.
                1 => {
                    self.client.detach();
                    tokio::time::sleep(self.pause(1_000)).await;
                }
                _ => {}
            }
            let bytes = self.random.below(60_000);
            self.client.read_up_to(bytes).await;
            self.cuts += 1;
            self.connect(address).await?;
        }
        Ok(())
    }

    /// Reads the rest and compares all with what was published.
    pub(crate) async fn settle(
        &mut self,
        address: SocketAddr,
        ledger: &Ledger,
    ) -> Result<(), String> {
        for attempt in 0..200 {
            self.client.read_all().await;
            if self.check(ledger).is_ok() {
                break;
            }
            if attempt % 20 == 19 {
                self.connect(address).await?;
            }
        }
        self.check(ledger)?;
        self.deliveries += self.client.observer.events() as u64;
        self.gaps += self.client.gaps as u64;
        self.client.detach();
        Ok(())
    }

    fn check(&self, ledger: &Ledger) -> Result<(), String> {
        let describe = |violation| {
            let (selectors, id) = (&self.selectors, self.client.last_id());
            format!("{violation:?}, subscribed to {selectors:?}, last id {id:?}")
        };
        self.client.observer.check(ledger).map_err(describe)
    }

    /// After a restart the loss has to be told of everything subscribed to.
    fn knows_the_run(&self) -> bool {
        let told = |selector: &&str| self.client.broken.iter().any(|other| other == selector);
        !self.resumes_another_run || self.selectors.iter().all(told)
    }

    async fn connect(&mut self, address: SocketAddr) -> Result<(), String> {
        let transport = match self.random.below(2) {
            0 => Transport::Sse,
            _ => Transport::WebSocket,
        };
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| format!("cannot connect: {error}"))?;
        self.client.attach(stream, transport).await;
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
