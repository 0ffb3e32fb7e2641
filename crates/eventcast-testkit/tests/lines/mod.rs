//! A transport of lines, sound or with one flaw, and its harness.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "helpers of tests, of which each file uses a part"
)]

mod format;
mod transport;

use std::time::Duration;

use eventcast_core::{PayloadKind, Session, Sleep, Timer, drive};
use eventcast_testkit::transport::{Decoder, Harness, Seen, SeenEvent, ServerEnd, Serving};

use transport::Lines;

/// What is wrong with a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    None,
    BinaryAsText,
    Chatters,
    CompletionUntold,
    CutsLargeEvents,
    Detached,
    Doubles,
    Drops,
    EndUntold,
    EndsEarly,
    GapsLate,
    GivesUpOnPending,
    HangsWhenPeerIsGone,
    HoldsWithoutBound,
    IdBeforeData,
    IdOfThePrevious,
    IgnoresGaps,
    IgnoresShortWrites,
    IgnoresWriteErrors,
    LosesNames,
    NeverFlushes,
    NoOpening,
    OneReasonForAll,
    PositionUntold,
    ReformatsJson,
    SilentWhenIdle,
    StaysOpen,
    Swaps,
    TrimsText,
    WritesEachChunk,
}

pub struct TokioTimer;

impl Timer for TokioTimer {
    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(duration))
    }
}

pub struct LinesHarness(pub Flaw);

impl Harness for LinesHarness {
    fn serve(&self, session: Session, io: ServerEnd) -> Serving {
        let flaw = self.0;
        let heartbeat = match flaw {
            Flaw::Chatters => HEARTBEAT / 100,
            Flaw::SilentWhenIdle => HEARTBEAT * 1_000,
            _ => HEARTBEAT,
        };
        let connection = async move {
            let lines = Lines::new(io, flaw);
            let ended = drive(session, lines, &TokioTimer, heartbeat).await;
            let peer_gone = !matches!(ended, Ok(Some(_)));
            match flaw {
                Flaw::HangsWhenPeerIsGone if peer_gone => std::future::pending().await,
                _ => {}
            }
        };
        if flaw == Flaw::Detached {
            let task = tokio::spawn(connection);
            return Box::pin(async move { task.await.unwrap() });
        }
        Box::pin(connection)
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::<LinesDecoder>::default()
    }

    fn heartbeat(&self) -> Duration {
        HEARTBEAT
    }
}

#[derive(Default)]
struct LinesDecoder(Vec<u8>);

impl Decoder for LinesDecoder {
    fn decode(&mut self, bytes: &[u8], seen: &mut Vec<Seen>) -> Result<(), String> {
        self.0.extend_from_slice(bytes);
        while let Some(end) = self.0.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.0.drain(..=end).collect();
            let line = String::from_utf8(line).map_err(|error| error.to_string())?;
            seen.push(
                parse(line.trim_end_matches('\n'))
                    .ok_or_else(|| format!("a line of {} bytes", line.len()))?,
            );
        }
        Ok(())
    }
}

fn parse(line: &str) -> Option<Seen> {
    let optional = |field: &str| (field != "-").then(|| field.to_owned());
    let fields: Vec<_> = line.split(' ').collect();
    Some(match fields.as_slice() {
        ["alive"] => Seen::Heartbeat,
        ["completed", id, channel, failure] => Seen::Completed {
            channel: optional(channel),
            failure: optional(failure).map(|text| String::from_utf8(from_hex(&text)).unwrap()),
            id: optional(id),
        },
        ["end", reason] => Seen::End {
            reason: (*reason).to_owned(),
        },
        ["event", id, channel, name, kind, payload] => Seen::Event(SeenEvent {
            id: optional(id),
            channel: optional(channel),
            name: optional(name).map(|name| String::from_utf8(from_hex(&name)).unwrap()),
            kind: Some(match *kind {
                "binary" => PayloadKind::Binary,
                "json" => PayloadKind::Json,
                _ => PayloadKind::Text,
            }),
            payload: from_hex(payload),
        }),
        ["gap", id, channel, reason, missed] => Seen::Gap {
            channel: optional(channel),
            reason: (*reason).to_owned(),
            missed: missed.parse().ok(),
            id: optional(id),
        },
        ["open", id, channels] => Seen::Open {
            id: optional(id),
            channels: Some(channels.split(',').map(str::to_owned).collect()),
        },
        ["position", id] => Seen::Position {
            id: (*id).to_owned(),
        },
        _ => return None,
    })
}

fn from_hex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

const HEARTBEAT: Duration = Duration::from_secs(15);
