//! The document that answers a poll, and the body that holds it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use eventcast_core::{Batch, Delivery, End, Position};
use http_body::{Body, Frame, SizeHint};

use crate::format::LineFormat;

/// What was gathered for one answer.
#[derive(Debug, Default)]
pub(crate) struct Document {
    objects: Vec<Bytes>,
    /// Of them, how many say that the log is away, which is no news: the next poll would say so at once
    /// again.
    stalls: usize,
    /// Of them, how many count towards the bounds, and their bytes.
    counted: usize,
    bytes: usize,
    end: Option<End>,
    /// A session asked for its position to be told.
    moved: bool,
}

impl Document {
    pub(crate) fn push(&mut self, delivery: &Delivery) {
        match delivery {
            Delivery::End(end) => self.end = Some(*end),
            // The document's own position comes after it.
            Delivery::Position(_) => self.moved = true,
            Delivery::Heartbeat | Delivery::Open(_) => {}
            _ => {
                let line = delivery.encoded(&LineFormat);
                let object = line.slice(..line.len().saturating_sub(1));
                // A gap's position may be the one before it. An answer that gaps alone filled
                // could bring its client no further, for ever.
                if !matches!(delivery, Delivery::Gap(_)) {
                    self.counted += 1;
                    self.bytes += object.len();
                }
                self.stalls += usize::from(matches!(delivery, Delivery::Stalled));
                self.objects.push(object);
            }
        }
    }

    /// How many objects it holds, gaps aside.
    pub(crate) fn counted(&self) -> usize {
        self.counted
    }

    /// How many bytes they come to, gaps aside.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is something that the client should not wait for.
    pub(crate) fn has_news(&self) -> bool {
        self.moved || self.end.is_some() || self.objects.len() > self.stalls
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// The document, with the position that holds after all that is in it.
    pub(crate) fn into_body(self, position: Option<Position>, key: Option<&str>) -> PollBody {
        let mut batch = Batch::default();
        batch.push(head(position, key));
        for (index, object) in self.objects.into_iter().enumerate() {
            if index > 0 {
                batch.push(Bytes::from_static(b","));
            }
            batch.push(object);
        }
        batch.push(match self.end {
            Some(end) => tail(end).into(),
            None => Bytes::from_static(b"]}"),
        });
        PollBody {
            document: Some(batch),
            end: self.end,
        }
    }
}

fn head(position: Option<Position>, key: Option<&str>) -> Bytes {
    let mut head = String::from("{");
    if let Some(position) = position {
        head += &format!("\"position\":\"{position}\",");
    }
    if let Some(key) = key {
        // A key is its maker's, and may hold anything.
        head += &format!("\"session\":{},", serde_json::Value::from(key));
    }
    head += "\"events\":[";
    head.into()
}

fn tail(end: End) -> String {
    let reason = end.as_str();
    match end {
        End::Draining { retry: Some(retry) } => {
            let millis = retry.as_millis() as u64;
            format!("],\"end\":\"{reason}\",\"retry\":{millis}}}")
        }
        _ => format!("],\"end\":\"{reason}\"}}"),
    }
}

/// The body of an answer to a poll: one JSON document, whose length is known.
#[derive(Debug)]
pub struct PollBody {
    document: Option<Batch>,
    end: Option<End>,
}

impl PollBody {
    /// A body without a document, of no stated length.
    pub(crate) fn ended() -> Self {
        Self {
            document: None,
            end: None,
        }
    }

    /// The end of the session that the document tells; `None` where the client is to ask again.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// The document as a rope of shared bytes, for servers with body types of their own; empty in
    /// the answer to a HEAD.
    #[must_use]
    pub fn into_batch(self) -> Batch {
        self.document.unwrap_or_default()
    }
}

impl Body for PollBody {
    type Data = Batch;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Batch>, Infallible>>> {
        Poll::Ready(self.document.take().map(|batch| Ok(Frame::data(batch))))
    }

    fn is_end_stream(&self) -> bool {
        self.document.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.document {
            Some(batch) => SizeHint::with_exact(batch.remaining() as u64),
            None => SizeHint::default(),
        }
    }
}
