//! `publish`.

use std::io::{self, BufRead as _, Read as _};
use std::time::Duration;

use eventcast_client::{Handle, RequestError};
use eventcast_core::{ChannelName, Event, Payload, Position};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::args::{Data, Kind, Publish};
use crate::connect;
use crate::exit::{Exit, Result};
use crate::output::{Line, Printer};
use crate::signals::signalled;

pub(crate) async fn run(asked: Publish) -> Result {
    let publishing = async {
        let publisher = Publisher {
            handle: connect::builder(&asked.server)?
                .with_retry(Duration::from_millis(200))
                .handle()?,
            printer: Printer::new(asked.shape.output()),
            asked: &asked,
        };
        match asked.lines {
            true => publisher.lines().await,
            false => publisher.once().await,
        }
    };
    tokio::select! {
        done = publishing => done,
        exit = signalled() => Err(exit),
    }
}

struct Publisher<'a> {
    asked: &'a Publish,
    handle: Handle,
    printer: Printer,
}

impl Publisher<'_> {
    async fn once(mut self) -> Result {
        let payload = payload(&self.asked.data).await?;
        let key = match &self.asked.idempotency_key {
            Some(key) => key.clone(),
            None => new_key()?,
        };
        self.publish(payload, &key).await
    }

    /// One event after the other, so that they are stored in the order of the lines.
    async fn lines(mut self) -> Result {
        let key = match &self.asked.idempotency_key {
            Some(key) => key.clone(),
            None => new_key()?,
        };
        let mut lines = read_lines();
        let mut number = 0_u64;
        while let Some(line) = lines.recv().await {
            number += 1;
            let line = line.map_err(|error| Exit::failed(format!("standard input: {error}")))?;
            let at = |exit: Exit| exit.at(format_args!("line {number}"));
            let payload = of_kind(line, self.asked.data.kind).map_err(at)?;
            let key = format!("{key}-{number}");
            self.publish(payload, &key).await.map_err(at)?;
        }
        Ok(())
    }

    async fn publish(&mut self, payload: Payload, key: &str) -> Result {
        let mut event = Event::new(payload);
        event = event
            .with_idempotency_key(key)
            .map_err(|error| Exit::misused(format!("--idempotency-key: {error}")))?;
        if let Some(name) = &self.asked.event {
            event = event
                .named(name.clone())
                .map_err(|error| Exit::misused(format!("--event: {error}")))?;
        }
        for channel in [&self.asked.channel].into_iter().chain(&self.asked.to) {
            let stored = self.stored(channel, &event).await;
            let id = stored.map_err(|exit| exit.at(channel))?.to_string();
            let people = format!("{id}  {channel}");
            let line = Line {
                id: Some(id),
                channel: Some(channel.as_str()),
                ..Line::default()
            };
            let printed = self.printer.line(&line, &people);
            // Nobody reads it; but it is to be published.
            printed
                .and_then(|()| self.printer.flush())
                .or_else(Exit::unless_reader_gone)?;
        }
        Ok(())
    }

    /// Goes on trying for as long as that may help, which the key makes safe.
    async fn stored(&self, channel: &ChannelName, event: &Event) -> Result<Position> {
        let begun = Instant::now();
        loop {
            match self.handle.publish(channel, event).await {
                Ok(id) => return Ok(id),
                Err(error) if error.is_temporary() => {
                    let after = retry_after(&error);
                    if begun.elapsed() + after > self.asked.retry_for {
                        return Err(error.into());
                    }
                    sleep(after).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn retry_after(error: &RequestError) -> Duration {
    let told = match error {
        RequestError::Refused { retry_after, .. } => *retry_after,
        _ => None,
    };
    told.unwrap_or_default().max(PAUSE)
}

/// Each call has waited in itself already.
const PAUSE: Duration = Duration::from_secs(1);

/// The argument, or all of standard input.
pub(crate) async fn payload(data: &Data) -> Result<Payload> {
    let bytes = match data.data.as_deref() {
        None | Some("-") => {
            let read = tokio::task::spawn_blocking(|| {
                let mut bytes = Vec::new();
                io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
            });
            let read = read
                .await
                .map_err(|error| Exit::failed(error.to_string()))?;
            read.map_err(|error| Exit::failed(format!("standard input: {error}")))?
        }
        Some(text) => text.as_bytes().to_vec(),
    };
    of_kind(bytes, data.kind)
}

fn of_kind(bytes: Vec<u8>, kind: Kind) -> Result<Payload> {
    if kind == Kind::Binary {
        return Ok(Payload::binary(bytes));
    }
    match (String::from_utf8(bytes), kind) {
        (Ok(text), Kind::Json) => {
            Payload::json_text(text).map_err(|error| Exit::misused(format!("--type json: {error}")))
        }
        (Ok(text), _) => Ok(Payload::text(text)),
        (Err(error), Kind::Auto) => Ok(Payload::binary(error.into_bytes())),
        (Err(error), _) => Err(Exit::misused(format!("it is not UTF-8: {error}"))),
    }
}

/// The lines of standard input, each without its end.
fn read_lines() -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (sender, lines) = mpsc::channel(16);
    tokio::task::spawn_blocking(move || {
        for line in io::stdin().lock().split(b'\n') {
            let line = line.map(|mut line| {
                if line.ends_with(b"\r") {
                    line.pop();
                }
                line
            });
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

fn new_key() -> Result<String> {
    let bits = || getrandom::u64().map_err(|error| Exit::failed(error.to_string()));
    Ok(format!("{:016x}{:016x}", bits()?, bits()?))
}
