//! A hub behind a proxy that leaves, and another one that takes its clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::client::{Client, Seen};
use crate::hub::Hub;
use crate::link::{Door, Protocol, Trouble};
use crate::proxy::{Proxy, Stage};
use crate::random::Random;
use crate::route::Route;
use crate::subscription::Transport;

/// What became of a client.
#[derive(Debug, Default)]
struct Moved {
    /// How many events it had of the hub that left.
    before: u64,
    /// It was told to come back, and not just cut. A poll that is asked while nobody waits goes to
    /// the other hub at once, and is told there.
    told: bool,
    /// Answers that were none, on the way.
    refused: u64,
    took: Duration,
}

pub(crate) async fn deploy(
    stage: &Stage<'_>,
    route: Route,
    hub: impl AsyncFn() -> Result<Hub, String>,
    clients: usize,
    seed: u64,
) -> Result<(), String> {
    let (mut one, two) = (hub().await?, hub().await?);
    let proxy = Proxy::start(stage, route, [&one, &two], "60s").await?;
    let connected = Arc::new(AtomicUsize::new(0));
    let mut running = JoinSet::new();
    let kinds: Vec<_> = Transport::ALL
        .into_iter()
        .flat_map(|transport| Protocol::ALL.map(|protocol| (transport, protocol)))
        .filter(|(transport, protocol)| route.has(*transport, *protocol))
        .collect();
    for n in 0..clients {
        let (transport, protocol) = kinds[n % kinds.len()];
        let client = Client::new(transport, protocol, "deploy");
        let (door, connected) = (proxy.door.clone(), Arc::clone(&connected));
        let random = Random::new(seed + n as u64);
        running.spawn(async move {
            let moving = tokio::time::timeout(LIMIT, follow(client, &door, &connected, random));
            let moved = moving
                .await
                .unwrap_or_else(|_| Err(format!("not done in {LIMIT:?}")));
            moved.map_err(|error| format!("client {n}, {transport} over {protocol}: {error}"))
        });
    }
    while connected.load(Ordering::Relaxed) < clients {
        if let Some(ended) = running.try_join_next() {
            ended.map_err(|error| error.to_string())??;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut random = Random::new(seed);
    one.publisher()
        .await?
        .series("deploy", 0..LENGTH, &mut random)
        .await?;
    one.program.terminate().await?;
    let leaving = Instant::now();
    // The other hub's numbers go on, so that a client which missed some of them is noticed.
    let mut publisher = two.publisher().await?;
    publisher
        .series("deploy", LENGTH..2 * LENGTH, &mut random)
        .await?;
    let (mut told, mut whole, mut refused) = (0, 0, 0);
    let mut slowest = Duration::ZERO;
    while let Some(moved) = running.join_next().await {
        let moved = moved.map_err(|error| error.to_string())??;
        told += usize::from(moved.told);
        whole += usize::from(moved.before == LENGTH);
        refused += moved.refused;
        slowest = slowest.max(moved.took);
    }
    one.program.ends().await?;
    println!(
        "deploy behind {route}: {clients} clients moved in {:.1} s; {told} were told to come back, \
         or poll; {whole} had all {LENGTH} events of the first hub, {refused} answers were \
         refusals; each was told of the other log and got all of it (slowest {:.1} s)",
        leaving.elapsed().as_secs_f64(),
        slowest.as_secs_f64(),
    );
    if told < clients {
        return Err(format!(
            "{} clients were cut without a word",
            clients - told
        ));
    }
    Ok(())
}

/// Reads from one hub and goes on at the other, by the rules for clients.
async fn follow(
    mut client: Client,
    door: &Door,
    connected: &AtomicUsize,
    mut random: Random,
) -> Result<Moved, String> {
    let mut moved = Moved::default();
    let mut is_counted = false;
    let mut is_elsewhere = false;
    moved.told = client.transport == Transport::Poll;
    let mut left_at = None;
    let mut retry = 1_000;
    while client.next < 2 * LENGTH {
        let mut trouble = client.connect(door, usize::MAX).await.err();
        while trouble.is_none() && client.next < 2 * LENGTH {
            match client.see().await {
                Ok(Seen::Position) if !is_counted => {
                    connected.fetch_add(1, Ordering::Relaxed);
                    is_counted = true;
                }
                Ok(Seen::Event) if client.next > LENGTH && !is_elsewhere => {
                    return Err("events of another log came unannounced".to_owned());
                }
                Ok(Seen::Event | Seen::Heartbeat | Seen::Position) => {}
                Ok(Seen::OtherLog) => {
                    if !is_elsewhere {
                        moved.before = client.next;
                    }
                    is_elsewhere = true;
                    client.next = LENGTH;
                }
                Ok(Seen::Draining(after)) => {
                    moved.told = true;
                    retry = after;
                }
                Ok(Seen::End) => break,
                Err(error) => trouble = Some(error),
            }
        }
        match trouble {
            // A 503 from both hubs, in the moment before the second one takes over.
            Some(Trouble::Wrong(what)) if what.contains("503") => moved.refused += 1,
            Some(Trouble::Wrong(what)) => return Err(what),
            Some(Trouble::Cut(_)) | None => {}
        }
        if client.next < 2 * LENGTH {
            left_at.get_or_insert_with(Instant::now);
            let wait = retry / 2 + random.below(retry as usize + 1) as u64;
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
    }
    moved.took = left_at.map(|left| left.elapsed()).unwrap_or_default();
    Ok(moved)
}

/// How many events each of the hubs has.
const LENGTH: u64 = 100;
const LIMIT: Duration = Duration::from_secs(120);
