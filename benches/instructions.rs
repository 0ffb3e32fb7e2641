//! Instructions that the core takes, counted by valgrind: a figure that other work on the machine
//! cannot blur.
//!
//! Run with
//! ```text
//! cargo bench -p eventcast-benches --bench instructions
//! ```
//! It fails where a count is above the limit that stands beside it in the source. Needs valgrind.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to its terminal"
)]

use std::error::Error;
use std::hint::black_box;
use std::pin::Pin;
use std::process::{Command, ExitCode};
use std::task::{Context, Waker};

use eventcast::{
    Batch, BatchLimits, Delivery, Driver, Event, Hub, HubConfig, Retention, Session, TokioTimer,
    sse,
};

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    if let [part, name] = &args[..]
        && part == "--measure"
    {
        return measure(name);
    }
    match count_all() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is counted.
struct Case {
    name: &'static str,
    /// How many of what the count is for are done.
    times: u64,
    /// The highest count that is no regression: what was measured, and a tenth.
    limit: u64,
    run: fn(),
}

const CASES: [Case; 6] = [
    Case {
        name: "publish, 100 subscribers waiting",
        times: TURNS as u64,
        limit: 2_200,
        run: || publish_to(100),
    },
    Case {
        name: "publish, 10,000 subscribers waiting",
        times: TURNS as u64,
        limit: 2_200,
        run: || publish_to(10_000),
    },
    Case {
        name: "dispatch, one of 10,000 subscribers",
        times: (TURNS * 10_000) as u64,
        limit: 200,
        run: || dispatch_to(10_000),
    },
    Case {
        name: "drain, one event and wait again",
        times: (TURNS * 100) as u64,
        limit: 1_000,
        run: || drain(1),
    },
    Case {
        name: "drain, one of 64 events",
        times: (TURNS * 100 * 64) as u64,
        limit: 200,
        run: || drain(64),
    },
    Case {
        name: "drain and gather as SSE, one of 64 events",
        times: (TURNS * 100 * 64) as u64,
        limit: 400,
        run: gather,
    },
];

/// Prints a table; whether every count is within its limit.
fn count_all() -> Result<bool, Box<dyn Error>> {
    println!("| {:<42} | instructions | limit |", "what");
    println!("|{:-<44}|-------------:|------:|", "");
    let mut all_within = true;
    for case in CASES {
        let count = count(case.name)? / case.times;
        println!("| {:<42} | {count:>12} | {:>5} |", case.name, case.limit);
        all_within &= count <= case.limit;
    }
    if !all_within {
        eprintln!("instructions: a count is above its limit");
    }
    Ok(all_within)
}

/// Runs this program under valgrind, which counts what [`counted`] calls and nothing else.
fn count(name: &str) -> Result<u64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*counted*")
        .arg(std::env::current_exe()?)
        .args(["--measure", name])
        .output()
        .map_err(|error| format!("valgrind does not start, is it installed? {error}"))?;
    let report = String::from_utf8_lossy(&output.stderr);
    let collected = report
        .lines()
        .find_map(|line| line.split_once("Collected :"))
        .and_then(|(_, number)| number.trim().parse().ok());
    match collected {
        Some(count) if output.status.success() && count > 0 => Ok(count),
        _ => Err(format!("valgrind counts nothing:\n{report}").into()),
    }
}

fn measure(name: &str) -> ExitCode {
    match CASES.iter().find(|case| case.name == name) {
        Some(case) => {
            (case.run)();
            ExitCode::SUCCESS
        }
        None => ExitCode::FAILURE,
    }
}

/// What is counted. It is found by its name, so it must stay a function of its own.
#[inline(never)]
fn counted<R>(work: impl FnOnce() -> R) -> R {
    black_box(work())
}

/// Sessions that wait for one channel, and the dispatchers, polled by hand.
struct Crowd {
    hub: Hub,
    drivers: Vec<Driver>,
    sessions: Vec<Session>,
}

impl Crowd {
    fn new(count: usize) -> Self {
        let retention = Retention::new().with_count(RETAINED);
        let hub = Hub::with_config(HubConfig::new().with_retention(retention));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let drivers = {
            let _entered = runtime.enter();
            hub.drivers(TokioTimer)
        };
        let sessions = (0..count)
            .map(|_| hub.subscribe("crowd").expect("a valid name"))
            .collect();
        let mut crowd = Self {
            hub,
            // The last one keeps time, which has no place here.
            drivers: drivers.into_iter().take(2).collect(),
            sessions,
        };
        crowd.dispatch();
        crowd.read_all();
        crowd
    }

    fn publish(&self) {
        let published = self.hub.try_publish("crowd", event());
        published.expect("a valid name");
    }

    fn dispatch(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        for driver in &mut self.drivers {
            let _ = Pin::new(driver).poll(&mut cx);
        }
    }

    fn read_all(&mut self) {
        let mut batch = Vec::with_capacity(RETAINED);
        for session in &mut self.sessions {
            read(session, &mut batch);
            batch.clear();
        }
    }
}

fn read(session: &mut Session, batch: &mut Vec<Delivery>) {
    let mut cx = Context::from_waker(Waker::noop());
    let _ = session.poll_batch(&mut cx, BatchLimits::default(), batch);
}

fn publish_to(subscribers: usize) {
    let mut crowd = Crowd::new(subscribers);
    let channel = crowd.hub.channel("crowd").expect("a valid name");
    for _ in 0..TURNS {
        let event = event();
        counted(|| channel.try_publish(event)).expect("a valid event");
        crowd.dispatch();
        crowd.read_all();
    }
}

fn dispatch_to(subscribers: usize) {
    let mut crowd = Crowd::new(subscribers);
    for _ in 0..TURNS {
        crowd.publish();
        counted(|| crowd.dispatch());
        crowd.read_all();
    }
}

fn drain(events: usize) {
    let mut crowd = Crowd::new(100);
    let mut batch = Vec::with_capacity(RETAINED);
    for _ in 0..TURNS {
        for _ in 0..events {
            crowd.publish();
        }
        crowd.dispatch();
        for session in &mut crowd.sessions {
            counted(|| read(session, &mut batch));
            assert_eq!(batch.len(), events);
            batch.clear();
        }
    }
}

fn gather() {
    let mut crowd = Crowd::new(100);
    let mut batch = Vec::with_capacity(RETAINED);
    for _ in 0..TURNS {
        for _ in 0..64 {
            crowd.publish();
        }
        crowd.dispatch();
        // One session has encoded them before.
        for session in &mut crowd.sessions {
            counted(|| {
                read(session, &mut batch);
                let gathered = Batch::encode(&sse::PlainFormat, &batch);
                batch.clear();
                gathered
            });
        }
    }
}

fn event() -> Event {
    Event::text("x".repeat(128))
}

const TURNS: usize = 8;
const RETAINED: usize = 64;
