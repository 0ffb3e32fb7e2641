//! What is printed: JSON lines, lines for people, or payloads.

use std::io::{self, IsTerminal as _, Stdout, Write};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eventcast_client::{Completed, Event, Gap, Loss};
use eventcast_core::{ChannelName, EventName, Payload, PayloadKind, Position};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::args::Output;
use crate::exit::Exit;

type Written = Result<(), Exit>;

/// Standard output, and how it is written to.
pub(crate) struct Printer {
    out: io::BufWriter<Stdout>,
    output: Output,
}

/// An object as the protocol has it, its members in this order.
#[derive(Default, Serialize)]
#[serde(default)]
pub(crate) struct Line<'a> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) transport: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) channels: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) event: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) missed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) count: Option<u64>,
    /// In ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) encoding: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<Box<RawValue>>,
}

/// An event of the log, or one without an id.
#[derive(Clone, Copy)]
pub(crate) struct Told<'a> {
    pub(crate) id: Option<Position>,
    pub(crate) channel: &'a ChannelName,
    pub(crate) name: Option<&'a EventName>,
    pub(crate) payload: &'a Payload,
}

impl<'a> From<&'a Event> for Told<'a> {
    fn from(event: &'a Event) -> Self {
        Self {
            id: Some(event.id),
            channel: &event.channel,
            name: event.name.as_ref(),
            payload: &event.payload,
        }
    }
}

impl Printer {
    pub(crate) fn new(output: Output) -> Self {
        let output = match output {
            Output::Auto if io::stdout().is_terminal() => Output::Human,
            Output::Auto => Output::Json,
            chosen => chosen,
        };
        Self {
            out: io::BufWriter::new(io::stdout()),
            output,
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.output == Output::Json
    }

    /// So that what is there is seen before anything is waited for.
    pub(crate) fn flush(&mut self) -> Written {
        Ok(self.out.flush()?)
    }

    /// A line of JSON, or else one for people.
    pub(crate) fn line(&mut self, line: &Line<'_>, people: &str) -> Written {
        match self.output {
            Output::Json => self.json(line),
            Output::Data => self.aside(people),
            _ => {
                let people = harmless(people);
                Ok(writeln!(self.out, "{people}")?)
            }
        }
    }

    /// A line for people, beside the output.
    pub(crate) fn aside(&mut self, people: &str) -> Written {
        self.flush()?;
        // There may be nobody to tell.
        let _ = writeln!(io::stderr(), "{}", harmless(people));
        Ok(())
    }

    fn json(&mut self, line: &Line<'_>) -> Written {
        let json = serde_json::to_writer(&mut self.out, line);
        json.map_err(io::Error::from)?;
        Ok(self.out.write_all(b"\n")?)
    }

    /// An event with its payload.
    pub(crate) fn event(&mut self, event: Told<'_>) -> Written {
        let Told { payload, .. } = event;
        match self.output {
            Output::Data => {
                self.out.write_all(payload.as_bytes())?;
                Ok(self.out.write_all(b"\n")?)
            }
            Output::Json => {
                let mut line = event.line();
                (line.encoding, line.data) = data(payload)?;
                self.json(&line)
            }
            _ => {
                let shown = match payload.as_str() {
                    Some(text) => text.replace('\n', "\n    "),
                    None => format!("({} bytes, binary)", payload.len()),
                };
                let head = event.head();
                let shown = harmless(&shown);
                Ok(writeln!(self.out, "{head}  {shown}")?)
            }
        }
    }

    /// An event without its payload.
    pub(crate) fn sight(&mut self, event: Told<'_>, since: Duration) -> Written {
        let bytes = event.payload.len();
        let mut line = event.line();
        line.bytes = Some(bytes);
        let people = format!("{}  {}  {bytes} bytes", clock(since), event.head());
        self.line(&line, &people)
    }

    pub(crate) fn gap(&mut self, gap: &Gap) -> Written {
        let channel = gap.channel.as_str();
        let reason = reason(gap.reason);
        let lost = match gap.missed {
            Some(1) => "1 event was lost".to_owned(),
            Some(missed) => format!("{missed} events were lost"),
            None => "events were lost".to_owned(),
        };
        let line = Line {
            kind: Some("gap"),
            channel: Some(channel),
            reason: Some(reason),
            missed: gap.missed,
            ..Line::default()
        };
        self.line(&line, &format!("--- {channel}: {lost} ({reason}) ---"))
    }

    pub(crate) fn completed(&mut self, end: &Completed) -> Written {
        let channel = end.channel.as_str();
        let outcome = match end.failure {
            Some(_) => "failed",
            None => "complete",
        };
        let line = Line {
            kind: Some("completed"),
            channel: Some(channel),
            outcome: Some(outcome),
            reason: end.failure.as_deref(),
            ..Line::default()
        };
        let people = match &end.failure {
            Some(failure) => format!("--- {channel} failed: {failure} ---"),
            None => format!("--- {channel} is complete ---"),
        };
        self.line(&line, &people)
    }

    /// A payload alone.
    pub(crate) fn reply(&mut self, payload: &Payload) -> Written {
        if self.is_json() {
            let (encoding, data) = data(payload)?;
            return self.json(&Line {
                kind: Some("reply"),
                encoding,
                data,
                ..Line::default()
            });
        }
        match payload.as_str() {
            Some(text) if self.output == Output::Human => writeln!(self.out, "{}", harmless(text))?,
            _ => {
                self.out.write_all(payload.as_bytes())?;
                self.out.write_all(b"\n")?;
            }
        }
        Ok(())
    }
}

impl<'a> Told<'a> {
    fn line(&self) -> Line<'a> {
        Line {
            kind: self.id.is_none().then_some("ephemeral"),
            id: self.id.map(|id| id.to_string()),
            channel: Some(self.channel.as_str()),
            event: self.name.map(EventName::as_str),
            ..Line::default()
        }
    }

    /// What stands before the payload for people.
    fn head(&self) -> String {
        let id = self.id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        let name = self.name.map(|name| format!("  {name}"));
        format!("{id}  {}{}", self.channel, name.unwrap_or_default())
    }
}

/// How far into a watch.
pub(crate) fn clock(since: Duration) -> String {
    format!("{:>9.3} s", since.as_secs_f64())
}

fn reason(loss: Loss) -> &'static str {
    match loss {
        Loss::Trimmed => "trimmed",
        Loss::Slow => "slow",
        Loss::Epoch => "epoch",
        Loss::Unknown => "unknown",
        _ => "other",
    }
}

type Data = (Option<&'static str>, Option<Box<RawValue>>);

/// A payload as the envelope has it.
fn data(payload: &Payload) -> Result<Data, Exit> {
    let text = payload.as_str().unwrap_or_default();
    let (encoding, data) = match payload.kind() {
        PayloadKind::Text => (None, to_raw_value(text)),
        PayloadKind::Binary => {
            let base64 = STANDARD.encode(payload.as_bytes());
            (Some("base64"), to_raw_value(&base64))
        }
        PayloadKind::Json => {
            let is_string = text.trim_start().starts_with('"');
            let value = RawValue::from_string(text.to_owned());
            (is_string.then_some("json"), value)
        }
    };
    let data = data.map_err(|error| Exit::failed(error.to_string()))?;
    Ok((encoding, Some(data)))
}

/// What others published, without what a terminal would obey.
fn harmless(text: &str) -> String {
    text.replace(
        |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t'),
        "\u{fffd}",
    )
}
