//! Random publishes, cuts after any byte, and resumes, on real connections: one client with three
//! channels changes between Server-Sent Events and WebSocket and misses nothing, sees nothing
//! twice, and sees everything in the order of the ids.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

mod wire;

use eventcast::{Event, EventService, Hub, HubConfig, Retention, ServiceConfig};
use eventcast_testkit::Ledger;
use proptest::prelude::*;

use wire::{Client, Transport};

const CHANNELS: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
enum Step {
    /// Publishes to a channel, so many events at once.
    Publish { channel: usize, count: usize },
    /// Reads everything there is.
    Read,
    /// Cuts the connection after so many more bytes and comes back, maybe over the other
    /// transport.
    Cut { after: usize, transport: Transport },
}

fn step() -> impl Strategy<Value = Step> {
    let transport = prop_oneof![Just(Transport::Sse), Just(Transport::WebSocket)];
    prop_oneof![
        4 => (0..3usize, 1..6usize).prop_map(|(channel, count)| Step::Publish { channel, count }),
        1 => Just(Step::Read),
        3 => (0..900usize, transport).prop_map(|(after, transport)| Step::Cut { after, transport }),
    ]
}

async fn run(steps: &[Step], retention: Retention) -> Result<(usize, usize), TestCaseError> {
    let hub = Hub::with_config(HubConfig::new().with_retention(retention));
    let service = EventService::new(hub.clone(), ServiceConfig::new());
    let mut ledger = Ledger::new();
    let mut number = 0;
    let mut client = Client::new(service, &CHANNELS);
    client.connect(Transport::Sse).await;
    client.read_all().await;
    for step in steps {
        match *step {
            Step::Publish { channel, count } => {
                for _ in 0..count {
                    number += 1;
                    let id = hub.try_publish(CHANNELS[channel], payload(number)).unwrap();
                    ledger.published(CHANNELS[channel], id.sequence());
                }
            }
            Step::Read => client.read_all().await,
            Step::Cut { after, transport } => {
                client.read_up_to(after).await;
                client.connect(transport).await;
            }
        }
    }
    client.read_all().await;
    prop_assert_eq!(client.observer().check(&ledger), Ok(()));
    Ok((client.observer().events(), client.client.gaps))
}

/// Payloads of every kind, with what is awkward on a wire.
fn payload(number: usize) -> Event {
    match number % 4 {
        0 => Event::text(format!("{number}\nid: 1\n\ndata: x")),
        1 => Event::json(&[number]).unwrap().named("json").unwrap(),
        2 => Event::binary(vec![0xff, number as u8, b'\n']),
        _ => Event::text(""),
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    // Paused time: "nothing more comes" is known when every task is idle, without a wait.
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_event_comes_exactly_once(steps in prop::collection::vec(step(), 1..40)) {
        let published: usize = steps
            .iter()
            .map(|step| if let Step::Publish { count, .. } = step { *count } else { 0 })
            .sum();
        let (events, gaps) = block_on(run(&steps, Retention::new()))?;
        prop_assert_eq!((events, gaps), (published, 0));
    }

    #[test]
    fn what_retention_does_not_cover_is_announced(steps in prop::collection::vec(step(), 1..40)) {
        block_on(run(&steps, Retention::new().with_count(3)))?;
    }
}

/// The first block at every byte: nothing was told yet, or the starting position was.
#[test]
fn a_cut_anywhere_in_the_first_blocks_loses_nothing() {
    for transport in [Transport::Sse, Transport::WebSocket] {
        for after in 0..700 {
            block_on(async {
                let hub = Hub::new();
                let service = EventService::new(hub.clone(), ServiceConfig::new());
                let mut ledger = Ledger::new();
                let mut client = Client::new(service, &CHANNELS);
                client.connect(transport).await;
                client.wait_for_server().await;
                for number in 1..=3 {
                    let id = hub.try_publish("b", payload(number)).unwrap();
                    ledger.published("b", id.sequence());
                }
                client.read_up_to(after).await;
                // A client that was told no id yet connects as at first, from the start.
                let told = client.client.last_id().is_some();
                client.connect(Transport::Sse).await;
                client.read_all().await;
                if told {
                    assert_eq!(
                        client.observer().check(&ledger),
                        Ok(()),
                        "{transport:?} {after}"
                    );
                }
            });
        }
    }
}
