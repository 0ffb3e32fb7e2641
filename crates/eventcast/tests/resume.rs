//! Random publishes, cuts after any byte, and resumes, on real connections: one client with three
//! channels changes between all transports and misses nothing, sees nothing twice, and sees
//! everything in the order of the ids.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

mod wire;

use eventcast::{EventService, Hub, Retention, ServiceConfig};
use eventcast_testkit::Ledger;
use proptest::prelude::*;

use wire::client::TRANSPORTS;
use wire::cuts::{CHANNELS, block_on, payload, run, steps};
use wire::{Client, Protocol, Transport, wait_for_server};

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_event_comes_exactly_once(steps in steps(None, 900)) {
        block_on(run(Protocol::Http1, Transport::Sse, &steps, None))?;
    }

    #[test]
    fn what_retention_does_not_cover_is_announced(steps in steps(None, 900)) {
        let few = Retention::new().with_count(3);
        block_on(run(Protocol::Http1, Transport::Sse, &steps, Some(few)))?;
    }
}

/// The first block at every byte: nothing was told yet, or the starting position was.
#[test]
fn a_cut_anywhere_in_the_first_blocks_loses_nothing() {
    for transport in TRANSPORTS {
        for after in 0..700 {
            block_on(async {
                let hub = Hub::new();
                let service = EventService::new(hub.clone(), ServiceConfig::new());
                let mut ledger = Ledger::new();
                let mut client = Client::new(service, Protocol::Http1, &CHANNELS);
                client.connect(transport).await;
                wait_for_server().await;
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
