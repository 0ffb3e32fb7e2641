//! Event streams and newline-delimited JSON, read as lines.

use std::collections::VecDeque;

use serde_json::{Value, json};

/// What a subscription brings.
#[derive(Debug)]
pub(crate) enum Step {
    /// A sign of life and nothing else.
    Heartbeat,
    /// An object as WebSockets have it: an event, or with a `type`.
    Message(Value),
}

/// Joins chunks to lines, and those to messages.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    unread: Vec<u8>,
    /// Of an event stream's block that is not over yet.
    block: Option<Block>,
}

#[derive(Debug, Default)]
struct Block {
    event: String,
    data: String,
    id: Option<String>,
}

impl Lines {
    /// Of newline-delimited JSON.
    pub(crate) fn ndjson() -> Self {
        Self::default()
    }

    /// Of an event stream.
    pub(crate) fn sse() -> Self {
        Self {
            block: Some(Block::default()),
            ..Self::default()
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8], steps: &mut VecDeque<Step>) -> Result<(), String> {
        self.unread.extend_from_slice(bytes);
        while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            let line = std::str::from_utf8(&line[..end]).map_err(|error| error.to_string())?;
            let step = match &mut self.block {
                Some(block) => block.line(line)?,
                None if line.is_empty() => Some(Step::Heartbeat),
                None => Some(Step::Message(parse(line)?)),
            };
            steps.extend(step);
        }
        Ok(())
    }
}

impl Block {
    fn line(&mut self, line: &str) -> Result<Option<Step>, String> {
        if line.is_empty() {
            return std::mem::take(self).message().map(Some);
        }
        match line.split_once(':') {
            Some(("", "")) => return Ok(Some(Step::Heartbeat)),
            Some(("event", name)) => name.trim_start().clone_into(&mut self.event),
            Some(("data", text)) => self.data.push_str(text.trim_start()),
            Some(("id", id)) => self.id = Some(id.trim_start().to_owned()),
            _ => {}
        }
        Ok(None)
    }

    fn message(self) -> Result<Step, String> {
        let mut message = parse(&self.data)?;
        if let Some(kind) = self.event.strip_prefix("eventcast.") {
            message["type"] = json!(kind);
        }
        if let Some(id) = self.id {
            message["id"] = json!(id);
        }
        Ok(Step::Message(message))
    }
}

pub(crate) fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON: {text}: {error}"))
}
