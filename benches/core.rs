//! What the core and the codecs cost, without a network.
//!
//! Run with
//! ```text
//! cargo bench -p eventcast-benches --bench core
//! ```

use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use criterion::{BatchSize, Bencher, Criterion, SamplingMode, Throughput};
use eventcast::{
    BatchLimits, ChannelName, Delivery, Epoch, Event, Format, Hub, HubConfig, Position, Retention,
    Session, Start, StoredEvent, Timestamp, TokioTimer, sse, ws,
};

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    publish(&mut criterion);
    drain(&mut criterion);
    encode(&mut criterion);
    parse(&mut criterion);
    criterion.final_summary();
}

fn publish(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish");

    let channel = hub().channel("alone").expect("a valid name");
    group.bench_function("no subscriber", |bencher| {
        bencher.iter_batched(
            event,
            |event| channel.try_publish(event),
            BatchSize::SmallInput,
        );
    });

    // Time for the publishes alone: what comes between them takes some hundred times as long.
    group.measurement_time(Duration::from_millis(10));
    group.sampling_mode(SamplingMode::Flat);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .expect("a runtime");
    let _entered = runtime.enter();

    group.bench_function("1000 waiting", |bencher| {
        let hub = hub();
        let mut drivers = hub.drivers(TokioTimer);
        publish_to_waiting(bencher, &hub, || {
            let mut cx = Context::from_waker(Waker::noop());
            for driver in &mut drivers {
                let _ = Pin::new(driver).poll(&mut cx);
            }
        });
    });

    // With what it takes to wake another thread.
    group.bench_function("1000 waiting, drivers spawned", |bencher| {
        let hub = hub();
        for driver in hub.drivers(TokioTimer) {
            runtime.spawn(driver);
        }
        publish_to_waiting(bencher, &hub, || {});
    });

    group.bench_function("1000 waiting, no drivers", |bencher| {
        publish_to_waiting(bencher, &hub(), || {});
    });
    group.finish();
}

/// Times the publish alone: before each, all sessions read what there is and wait again.
fn publish_to_waiting(bencher: &mut Bencher<'_>, hub: &Hub, mut dispatch: impl FnMut()) {
    let mut sessions: Vec<_> = (0..1_000)
        .map(|_| hub.subscribe("crowd").expect("a valid name"))
        .collect();
    let channel = hub.channel("crowd").expect("a valid name");
    let mut published = 0;
    bencher.iter_batched(
        || {
            dispatch();
            for session in &mut sessions {
                wait_after(session, published);
            }
            dispatch();
            published = 1;
            event()
        },
        |event| channel.try_publish(event),
        BatchSize::PerIteration,
    );
}

/// Reads so many deliveries, as they are dispatched, and then waits for more.
fn wait_after(session: &mut Session, mut count: usize) {
    let mut batch = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        let waits = session
            .poll_batch(&mut cx, BatchLimits::default(), &mut batch)
            .is_pending();
        count -= batch.len();
        batch.clear();
        match (waits, count) {
            (true, 0) => return,
            // A driver is still at work on its thread.
            (true, _) => thread::yield_now(),
            (false, _) => {}
        }
    }
}

fn drain(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("drain");
    group.throughput(Throughput::Elements(BATCH as u64));
    let hub = hub();
    for _ in 0..BATCH {
        hub.try_publish("log", event()).expect("a valid name");
    }
    let mut cx = Context::from_waker(Waker::noop());
    let mut batch = Vec::with_capacity(BATCH);
    group.bench_function("64 events, one session", |bencher| {
        bencher.iter_batched_ref(
            || {
                let session = hub.session().start(Start::Earliest).channel("log");
                session.open().expect("a valid name")
            },
            |session| {
                let _ = session.poll_batch(&mut cx, BatchLimits::default(), &mut batch);
                assert_eq!(batch.len(), BATCH);
                batch.clear();
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode 128 bytes");
    let formats: [(&str, &dyn Format); 4] = [
        ("SSE plain", &sse::PlainFormat),
        ("SSE JSON", &sse::JsonFormat),
        ("WebSocket plain", &ws::PlainFormat),
        ("WebSocket JSON", &ws::JsonFormat),
    ];
    let delivery = delivery(1);
    for (name, format) in formats {
        let mut out = Vec::with_capacity(1 << 10);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                format.encode(black_box(&delivery), &mut out);
            });
        });
    }
    // What every connection but the first does.
    let _ = delivery.encoded(&sse::PlainFormat);
    group.bench_function("SSE plain, encoded before", |bencher| {
        bencher.iter(|| black_box(&delivery).encoded(&sse::PlainFormat));
    });
    group.finish();
}

fn parse(criterion: &mut Criterion) {
    let mut stream = Vec::new();
    for sequence in 1..=BATCH {
        sse::PlainFormat.encode(&delivery(sequence as u64), &mut stream);
    }
    let mut group = criterion.benchmark_group("parse SSE");
    group.throughput(Throughput::Bytes(stream.len() as u64));
    let mut parser = sse::Parser::new();
    group.bench_function("64 events of 128 bytes", |bencher| {
        bencher.iter(|| {
            let mut count = 0;
            let result = parser.push(black_box(&stream), |_| count += 1);
            assert!(result.is_ok() && count == BATCH);
        });
    });
    group.finish();
}

/// A hub that keeps little, so that memory does not grow while it is measured.
fn hub() -> Hub {
    Hub::with_config(HubConfig::new().with_retention(Retention::new().with_count(BATCH)))
}

fn event() -> Event {
    Event::text("x".repeat(128))
}

/// An event in a log.
fn delivery(sequence: u64) -> Delivery {
    let stored = StoredEvent::new(
        Position::new(Epoch::from_bits(7), sequence),
        Timestamp::default(),
        ChannelName::new("bench").expect("a valid name"),
        event(),
    );
    Delivery::Event(Arc::new(stored))
}

const BATCH: usize = 64;
