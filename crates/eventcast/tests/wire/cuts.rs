//! Random publishes, cuts after any byte, and resumes over this transport or another.

use eventcast::{Event, EventService, Hub, HubConfig, Retention, ServiceConfig};
use eventcast_testkit::Ledger;
use proptest::prelude::*;

use super::client::TRANSPORTS;
use super::{Client, Speech, Transport};

pub(crate) const CHANNELS: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Publishes to a channel, so many events at once.
    Publish { channel: usize, count: usize },
    /// Reads everything there is.
    Read,
    /// Cuts the connection after so many more bytes and comes back, maybe over another transport.
    Cut { after: usize, transport: Transport },
}

/// Steps that come back over this transport half the time, or over any; cuts within so many bytes.
pub(crate) fn steps(mostly: Option<Transport>, bytes: usize) -> impl Strategy<Value = Vec<Step>> {
    let any = prop::sample::select(&TRANSPORTS[..]);
    let transport = (any, any_bool()).prop_map(move |(any, own)| match mostly {
        Some(mostly) if own => mostly,
        _ => any,
    });
    let step = prop_oneof![
        4 => (0..3usize, 1..6usize).prop_map(|(channel, count)| Step::Publish { channel, count }),
        1 => Just(Step::Read),
        3 => (0..bytes, transport).prop_map(|(after, transport)| Step::Cut { after, transport }),
    ];
    prop::collection::vec(step, 1..40)
}

fn any_bool() -> impl Strategy<Value = bool> {
    any::<bool>()
}

/// Takes the steps; the client's view has to be that of the ledger. Without a bound on what is
/// retained every event has to come, and no gap.
pub(crate) async fn run(
    speech: impl Speech,
    first: Transport,
    steps: &[Step],
    retention: Option<Retention>,
) -> Result<(), TestCaseError> {
    let keeps_all = retention.is_none();
    let config = HubConfig::new().with_retention(retention.unwrap_or_default());
    let hub = Hub::with_config(config);
    let service = EventService::new(hub.clone(), ServiceConfig::new());
    let mut ledger = Ledger::new();
    let mut number = 0;
    let mut client = Client::new(service, speech, &CHANNELS);
    client.connect(first).await;
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
    if keeps_all {
        let seen = (client.observer().events(), client.client.gaps);
        prop_assert_eq!(seen, (number, 0));
    }
    Ok(())
}

/// Payloads of every kind, with what is awkward on a wire.
pub(crate) fn payload(number: usize) -> Event {
    match number % 4 {
        0 => Event::text(format!("{number}\nid: 1\n\ndata: x")),
        1 => Event::json(&[number]).unwrap().named("json").unwrap(),
        2 => Event::binary(vec![0xff, number as u8, b'\n']),
        _ => Event::text(""),
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    // Paused time: "nothing more comes" is known when every task is idle, without a wait.
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}
