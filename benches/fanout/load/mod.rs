//! The load generator: all of a server's clients in one thread.

mod connection;
mod http2;
mod requests;
mod tally;

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::os::fd::AsFd;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use self::connection::Connection;
use self::tally::Tally;
use super::control::{Control, Report};
use super::spec::{LoadSpec, Outcome, Turn};
use super::system::{cpu_micros, now, pin};

/// Connects, prints `ready`, and then takes a turn for each line of its input.
pub(crate) fn load(spec: &LoadSpec) -> Result<(), Box<dyn Error>> {
    pin(spec.core)?;
    let mut load = Load::connect(spec)?;
    println!("ready");
    load.epoll
        .add(io::stdin(), EpollEvent::new(EpollFlags::EPOLLIN, ORDERS))?;
    loop {
        // Between turns pings and heartbeats are read.
        if load.wait(EpollTimeout::NONE)?.orders {
            let mut line = String::new();
            if io::stdin().lock().read_line(&mut line)? == 0 {
                return Ok(());
            }
            let outcome = load.take_turn(serde_json::from_str(&line)?)?;
            println!("{}", serde_json::to_string(&outcome)?);
            io::stdout().flush()?;
        }
    }
}

struct Load {
    spec: LoadSpec,
    epoll: Epoll,
    timer: TimerFd,
    control: Control,
    connections: Vec<Connection>,
    tally: Tally,
    /// Up to where events were asked for.
    asked: u64,
    buffer: Vec<u8>,
    events: Vec<EpollEvent>,
    /// When clients last gave a sign of life.
    alive: u64,
}

/// What a wait brought beside deliveries.
#[derive(Default)]
struct Woken {
    orders: bool,
    tick: bool,
}

impl Load {
    fn connect(spec: &LoadSpec) -> Result<Self, Box<dyn Error>> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK)?;
        epoll.add(timer.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
        let control = Control::connect(&spec.control)?;
        let each = spec.kind.sessions();
        let mut connections = Vec::new();
        // Not more at once than a listener's queue holds.
        while connections.len() * each < spec.shape.sessions {
            let first = connections.len();
            while connections.len() < first + AT_ONCE
                && connections.len() * each < spec.shape.sessions
            {
                let session = connections.len() * each;
                connections.push(Connection::open(spec, session)?);
            }
            for connection in &mut connections[first..] {
                connection.await_opening()?;
            }
        }
        for (index, connection) in connections.iter().enumerate() {
            let interest = EpollEvent::new(EpollFlags::EPOLLIN, index as u64);
            epoll.add(connection.stream(), interest)?;
        }
        Ok(Self {
            tally: Tally::new(spec.shape),
            spec: spec.clone(),
            epoll,
            timer,
            control,
            connections,
            asked: 0,
            buffer: vec![0; 256 << 10],
            events: vec![EpollEvent::empty(); 512],
            alive: now(),
        })
    }

    /// Reads what there is, or waits for it.
    fn wait(&mut self, timeout: EpollTimeout) -> Result<Woken, Box<dyn Error>> {
        let mut woken = Woken::default();
        let count = match self.epoll.wait(&mut self.events, timeout) {
            Ok(count) => count,
            Err(nix::Error::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        for event in &self.events[..count] {
            match event.data() {
                ORDERS => woken.orders = true,
                TIMER => {
                    woken.tick = true;
                    self.timer.wait()?;
                }
                index => {
                    let connection = &mut self.connections[index as usize];
                    connection.read(&mut self.buffer, &mut self.tally)?;
                }
            }
        }
        if let Some(error) = self.tally.error.take() {
            return Err(format!("{}: {error}", self.spec.kind.name()).into());
        }
        Ok(woken)
    }

    fn take_turn(&mut self, turn: Turn) -> Result<Outcome, Box<dyn Error>> {
        self.give_signs_of_life()?;
        match turn {
            Turn::Paced {
                ticks,
                events,
                seconds,
            } => {
                self.pace(ticks, events, WARM_UP)?;
                self.drain()?;
                self.measure(|load| load.pace(ticks, events, seconds))
            }
            Turn::Flat { window, seconds } => {
                self.run_flat(window, WARM_UP)?;
                self.drain()?;
                self.measure(|load| load.run_flat(window, seconds))
            }
            Turn::Fill { events } => self.measure(|load| load.fill(events)),
            Turn::CatchUp { events, clients } => self.catch_up(events, clients),
        }
    }

    fn measure(
        &mut self,
        run: impl FnOnce(&mut Self) -> Result<(), Box<dyn Error>>,
    ) -> Result<Outcome, Box<dyn Error>> {
        let before = Mark::take(self)?;
        self.tally.latency.reset();
        run(self)?;
        self.drain()?;
        let after = Mark::take(self)?;
        Ok(Outcome {
            latency_p50: self.tally.latency.value_at_quantile(0.5),
            latency_p99: self.tally.latency.value_at_quantile(0.99),
            ..after.since(&before)
        })
    }

    fn ask_for(&mut self, events: u64) -> io::Result<()> {
        self.asked += events;
        self.tally.expect(self.asked);
        self.control.publish_up_to(self.asked)
    }

    fn pace(&mut self, ticks: f64, events: u64, seconds: f64) -> Result<(), Box<dyn Error>> {
        let period = std::time::Duration::from_secs_f64(1.0 / ticks);
        let interval = Expiration::Interval(period.into());
        self.timer.set(interval, TimerSetTimeFlags::empty())?;
        let (start, mut done) = (now(), 0);
        let total = (seconds * ticks).round() as u64;
        while done < total {
            if self.wait(EpollTimeout::NONE)?.tick {
                // A tick that was missed is made up for.
                let elapsed = (now() - start) as f64 / 1e9;
                let due = ((elapsed * ticks + 0.001) as u64).min(total);
                if due > done {
                    self.ask_for((due - done) * events)?;
                    done = due;
                }
            }
        }
        self.timer.unset()?;
        Ok(())
    }

    fn run_flat(&mut self, window: u64, seconds: f64) -> Result<(), Box<dyn Error>> {
        let end = now() + (seconds * 1e9) as u64;
        let grain = self.spec.kind.grain();
        while now() < end {
            let allowed = (self.tally.slowest() + window) / grain * grain;
            if allowed > self.asked {
                self.ask_for(allowed - self.asked)?;
            }
            self.wait(EpollTimeout::from(PATIENCE_MILLIS))?;
        }
        Ok(())
    }

    /// Waits until everybody has everything.
    fn drain(&mut self) -> Result<(), Box<dyn Error>> {
        let mut last = (self.tally.received, now());
        while self.tally.received < self.tally.expected {
            self.wait(EpollTimeout::from(100_u8))?;
            if self.tally.received > last.0 {
                last = (self.tally.received, now());
            } else if now() - last.1 > u64::from(PATIENCE_MILLIS) * 1_000_000 {
                let missing = self.tally.expected - self.tally.received;
                let name = self.spec.kind.name();
                return Err(format!("{name}: {missing} deliveries do not come").into());
            }
        }
        Ok(())
    }

    /// Publishes so many events, as slowly as the slowest takes them.
    fn fill(&mut self, events: u64) -> Result<(), Box<dyn Error>> {
        let end = self.asked + events;
        while self.asked < end {
            self.ask_for((end - self.asked).min(32))?;
            self.drain()?;
        }
        Ok(())
    }

    /// New clients, one after the other, that want what is retained, and leave when they have it.
    fn catch_up(&mut self, events: u64, clients: usize) -> Result<Outcome, Box<dyn Error>> {
        let before = Mark::take(self)?;
        let mut wall = 0;
        for _ in 0..clients {
            wall += connection::catch_up(&self.spec, events, &mut self.buffer)?;
        }
        let after = Mark::take(self)?;
        Ok(Outcome {
            deliveries: events * clients as u64,
            wall_micros: wall / 1_000,
            ..after.since(&before)
        })
    }

    /// WebSocket clients would answer pings; one that is silent counts as dead.
    fn give_signs_of_life(&mut self) -> io::Result<()> {
        if self.spec.kind.is_websocket() && now() - self.alive > 5_000_000_000 {
            self.alive = now();
            for connection in &mut self.connections {
                connection.pong()?;
            }
        }
        Ok(())
    }
}

/// What can be told at a moment.
struct Mark {
    time: u64,
    asked: u64,
    received: u64,
    client_micros: u64,
    report: Report,
}

impl Mark {
    fn take(load: &mut Load) -> io::Result<Self> {
        let (user, system) = cpu_micros();
        Ok(Self {
            time: now(),
            asked: load.asked,
            received: load.tally.received,
            client_micros: user + system,
            report: load.control.report()?,
        })
    }

    fn since(&self, before: &Self) -> Outcome {
        Outcome {
            published: self.asked - before.asked,
            deliveries: self.received - before.received,
            wall_micros: (self.time - before.time) / 1_000,
            server_user_micros: self.report.user_micros - before.report.user_micros,
            server_system_micros: self.report.system_micros - before.report.system_micros,
            client_micros: self.client_micros - before.client_micros,
            publish_p50: self.report.publish_p50,
            publish_p99: self.report.publish_p99,
            ..Outcome::default()
        }
    }
}

const ORDERS: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;
/// Connections that are opened together: fewer than a listener's queue holds.
const AT_ONCE: usize = 100;
/// Before a turn is measured, in seconds.
const WARM_UP: f64 = 0.3;
/// A server that sends nothing for so long has lost something.
const PATIENCE_MILLIS: u16 = 20_000;
