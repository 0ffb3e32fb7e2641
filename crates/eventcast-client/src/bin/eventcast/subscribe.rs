//! `subscribe` and `watch`.

use std::future::pending;
use std::time::Duration;

use eventcast_client::{Client, ClientError, Delivery, Interruption};
use eventcast_core::EventName;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::{Instant, sleep_until};

use crate::args::{Server, Shape, Subscribe, Subscription, Watch};
use crate::connect;
use crate::exit::{Exit, Result, chain};
use crate::last_id::LastIdFile;
use crate::output::{Line, Printer, Told, clock};
use crate::signals::stopped;

/// What both commands are asked for.
pub(crate) struct Asked {
    server: Server,
    subscription: Subscription,
    shape: Shape,
    /// Payloads are left out, and the connection's state is told.
    watch: bool,
}

impl From<Subscribe> for Asked {
    fn from(command: Subscribe) -> Self {
        Self {
            server: command.server,
            subscription: command.subscription,
            shape: command.shape,
            watch: false,
        }
    }
}

impl From<Watch> for Asked {
    fn from(command: Watch) -> Self {
        Self {
            server: command.server,
            subscription: command.subscription,
            shape: command.shape,
            watch: true,
        }
    }
}

pub(crate) async fn run(asked: Asked) -> Result {
    let file = asked.subscription.last_id_file.clone();
    let mut file = file.map(LastIdFile::open).transpose()?;
    let resume = file.as_ref().and_then(LastIdFile::id);
    let mut builder = connect::builder(&asked.server)?
        .with_transports(asked.subscription.transport.iter().copied());
    if let Some(start) = &asked.subscription.start {
        builder = builder.start(*start);
    }
    if let Some(policy) = asked.subscription.slow {
        builder = builder.slow(policy);
    }
    for channel in &asked.subscription.channels {
        builder = builder.channel(channel.clone());
    }
    for name in &asked.subscription.events {
        let name = EventName::new(name).map_err(|error| Exit::misused(error.to_string()))?;
        builder = builder.event(&name);
    }
    if let Some(id) = resume.or(asked.subscription.last_id) {
        builder = builder.resume(id);
    }
    let mut client = builder.connect()?;
    let begun = Instant::now();
    let mut reading = Reading {
        printer: Printer::new(asked.shape.output()),
        left: asked.subscription.count,
        without_connection: Some(begun),
        failed: None,
        begun,
        asked,
    };
    let ended = reading.read_all(&mut client, file.as_mut()).await;
    // What was printed last counts as processed once more is asked for; that is not taken out.
    let _ = client.next().now_or_never();
    let flushed = reading.printer.flush();
    if flushed.is_ok()
        && let Some(file) = &mut file
    {
        file.save(client.last_id())?;
    }
    ended.and(flushed)
}

struct Reading {
    asked: Asked,
    printer: Printer,
    /// How many events to go.
    left: Option<u64>,
    /// Since when there is no connection.
    without_connection: Option<Instant>,
    /// The first channel that failed, and why.
    failed: Option<(String, String)>,
    begun: Instant,
}

impl Reading {
    async fn read_all(&mut self, client: &mut Client, mut file: Option<&mut LastIdFile>) -> Result {
        let stopped = stopped();
        let mut stopped = std::pin::pin!(stopped);
        loop {
            let ready = client.next().now_or_never();
            let next = match ready {
                Some(next) => next,
                None => {
                    self.printer.flush()?;
                    if let Some(file) = &mut file {
                        file.save(client.last_id())?;
                    }
                    tokio::select! {
                        next = client.next() => next,
                        exit = &mut stopped => return Err(exit),
                        () = until(self.end()) => return self.time_is_up(),
                        () = until(self.patience()) => return Err(self.given_up(None)),
                    }
                }
            };
            match next {
                None => return self.all_ended(),
                Some(delivery) => {
                    if self.tell(delivery)? {
                        return self.all_ended();
                    }
                }
            }
        }
    }

    /// Prints it. Returns whether it was the last thing to wait for.
    fn tell(&mut self, delivery: std::result::Result<Delivery, ClientError>) -> Result<bool> {
        match delivery? {
            Delivery::Event(event) => {
                self.event(Told::from(&event))?;
                if let Some(left) = &mut self.left {
                    *left -= 1;
                    return Ok(*left == 0);
                }
            }
            Delivery::Ephemeral(event) => self.event(Told {
                id: None,
                channel: &event.channel,
                name: event.name.as_ref(),
                payload: &event.payload,
            })?,
            Delivery::Gap(gap) => {
                self.printer.gap(&gap)?;
                if self.asked.subscription.fail_on_gap {
                    return Err(Exit::gap(gap.channel.as_str()));
                }
            }
            Delivery::Completed(end) => {
                self.printer.completed(&end)?;
                if let Some(failure) = end.failure {
                    let failed = (end.channel.to_string(), failure);
                    self.failed.get_or_insert(failed);
                }
                return Ok(self.asked.subscription.until_complete);
            }
            Delivery::Conflated { channel, count } => {
                let channel = channel.as_str();
                let line = Line {
                    kind: Some("conflated"),
                    channel: Some(channel),
                    count: Some(count),
                    ..Line::default()
                };
                let people = format!("--- {channel}: {count} older events were left out ---");
                self.printer.line(&line, &people)?;
            }
            Delivery::Stalled => self.log_state(
                "stalled",
                "the server waits for its log: events may be late",
            )?,
            Delivery::Recovered => self.log_state("recovered", "the server has its log again")?,
            Delivery::Connected {
                transport,
                channels,
            } => {
                self.without_connection = None;
                let line = Line {
                    kind: Some("connected"),
                    transport: Some(transport.as_str()),
                    channels: Some(channels.iter().map(|channel| channel.as_str()).collect()),
                    ..Line::default()
                };
                self.state(&line, &format!("connected, {}", transport.as_str()))?;
            }
            Delivery::Reconnecting { after, cause } => self.reconnecting(after, &cause)?,
            _ => {}
        }
        Ok(false)
    }

    fn log_state(&mut self, kind: &'static str, people: &str) -> Result {
        let line = Line {
            kind: Some(kind),
            ..Line::default()
        };
        self.printer.line(&line, &format!("--- {people} ---"))
    }

    fn event(&mut self, event: Told<'_>) -> Result {
        match self.asked.watch {
            true => self.printer.sight(event, self.begun.elapsed()),
            false => self.printer.event(event),
        }
    }

    fn reconnecting(&mut self, after: Duration, cause: &Interruption) -> Result {
        let since = *self.without_connection.get_or_insert_with(Instant::now);
        let limit = self.asked.subscription.retry_for;
        if limit.is_some_and(|limit| since.elapsed() + after > limit) {
            return Err(self.given_up(Some(cause)));
        }
        let line = Line {
            kind: Some("reconnecting"),
            after: Some(after.as_millis() as u64),
            cause: Some(chain(cause)),
            ..Line::default()
        };
        let seconds = after.as_secs_f64();
        let people = format!("{}; trying again in {seconds:.1} s", chain(cause));
        if !self.asked.watch {
            // In a pipe as well: without a word it looks as if nothing were published.
            return self.printer.aside(&format!("eventcast: {people}"));
        }
        self.state(&line, &people)
    }

    /// The connection's state: part of what a watch is for, otherwise only for people.
    fn state(&mut self, line: &Line<'_>, people: &str) -> Result {
        match (self.asked.watch, self.printer.is_json()) {
            (true, _) => {
                let people = format!("{}  {people}", clock(self.begun.elapsed()));
                self.printer.line(line, &people)
            }
            (false, true) => Ok(()),
            (false, false) => self.printer.aside(&format!("eventcast: {people}")),
        }
    }

    fn end(&self) -> Option<Instant> {
        self.asked
            .subscription
            .max_time
            .map(|time| self.begun + time)
    }

    fn patience(&self) -> Option<Instant> {
        let limit = self.asked.subscription.retry_for;
        // With none, the first attempt has the time that every attempt has.
        let limit = limit.filter(|limit| !limit.is_zero())?;
        Some(self.without_connection? + limit)
    }

    fn given_up(&self, cause: Option<&Interruption>) -> Exit {
        match cause {
            Some(cause) => Exit::from(cause),
            None => Exit::unreachable("no connection within --retry-for"),
        }
    }

    fn time_is_up(&self) -> Result {
        match self.left {
            Some(left) => Err(Exit::unreachable(format!(
                "{left} events were still to come within --max-time"
            ))),
            None => Ok(()),
        }
    }

    fn all_ended(&self) -> Result {
        match &self.failed {
            Some((channel, why)) => Err(Exit::channel_failed(channel, why)),
            None => Ok(()),
        }
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
