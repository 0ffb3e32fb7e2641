//! One run of the hub: connect, publish and cut, settle, compare.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use eventcast_testkit::Ledger;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::hub::Hub;
use crate::publisher::publish;
use crate::reader::{Place, Reader};
use crate::shared::Shared;

pub(crate) struct Round<'a> {
    pub(crate) hub: &'a str,
    pub(crate) seed: u64,
    pub(crate) length: Duration,
    pub(crate) clients: usize,
}

/// What was done so far.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) rounds: u64,
    pub(crate) deliveries: u64,
    /// The same by transport.
    by_transport: [u64; 4],
    changes: u64,
    published: u64,
    cuts: u64,
    gaps: u64,
}

impl Round<'_> {
    pub(crate) async fn run(
        self,
        readers: &mut Option<Vec<Reader>>,
        figures: &mut Figures,
    ) -> Result<(), String> {
        let hub = Hub::start(self.hub, &[]).await?;
        let address = hub.address;
        let shared = Shared::connect(address).await;
        let shared = shared.map_err(|error| format!("cannot connect: {error}"))?;
        let fresh = || {
            (0..self.clients as u64)
                .map(|n| Reader::new(self.seed * 1_000 + n))
                .collect()
        };
        let mut all: Vec<Reader> = readers.take().unwrap_or_else(fresh);
        let mut begun = Vec::new();
        for mut reader in all.drain(..) {
            let place = Place::new(address, &shared);
            begun.push(tokio::spawn(async move {
                reader.begin(place).await.map(|()| reader)
            }));
        }
        let (stop, stopped) = watch::channel(false);
        let mut running = JoinSet::new();
        for task in begun {
            let mut reader = task.await.map_err(|error| error.to_string())??;
            let stopped = stopped.clone();
            running.spawn(async move { reader.go(&stopped).await.map(|()| reader) });
        }
        let ledger = Arc::new(Mutex::new(Ledger::new()));
        let (end, ended) = watch::channel(false);
        let mut publishers = JoinSet::new();
        for n in 0..PUBLISHERS {
            let seed = self.seed * 31 + n;
            publishers.spawn(publish(address, seed, Arc::clone(&ledger), ended.clone()));
        }
        tokio::time::sleep(self.length).await;
        let _ = end.send(true);
        while let Some(published) = publishers.join_next().await {
            let result = published.map_err(|error| error.to_string())?;
            result.map_err(|error| format!("a publisher failed: {error}"))?;
        }
        let _ = stop.send(true);
        let ledger = ledger
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let ledger = Arc::new(ledger);
        let mut settling = JoinSet::new();
        while let Some(reader) = running.join_next().await {
            let mut reader = reader.map_err(|error| error.to_string())??;
            let ledger = Arc::clone(&ledger);
            settling.spawn(async move { reader.settle(&ledger).await.map(|()| reader) });
        }
        while let Some(reader) = settling.join_next().await {
            let mut reader = reader.map_err(|error| error.to_string())??;
            figures.deliveries += std::mem::take(&mut reader.deliveries);
            let by_transport = std::mem::take(&mut reader.by_transport);
            for (sum, of) in figures.by_transport.iter_mut().zip(by_transport) {
                *sum += of;
            }
            figures.changes += std::mem::take(&mut reader.changes);
            figures.cuts += std::mem::take(&mut reader.cuts);
            figures.gaps += std::mem::take(&mut reader.gaps);
            all.push(reader);
        }
        figures.published += ledger.last();
        figures.rounds += 1;
        *readers = Some(all);
        if figures.rounds.is_multiple_of(2) {
            hub.kill().await;
            return Ok(());
        }
        hub.terminate().await
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rounds,
            deliveries,
            by_transport: [poll, sse, stream, websocket],
            changes,
            published,
            cuts,
            gaps,
        } = self;
        write!(
            f,
            "deliveries={deliveries} (poll={poll} sse={sse} stream={stream} websocket={websocket}) \
             changes={changes} published={published} cuts={cuts} gaps={gaps} restarts={rounds}"
        )
    }
}

const PUBLISHERS: u64 = 4;
