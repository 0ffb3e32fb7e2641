//! An event stream, as an `EventSource` reads it or as its text.

use bytes::BytesMut;
use eventcast::sse::{ParsedEvent, Parser};
use serde_json::Value;

use super::client::{Client, Head, take_through, unchunk};
use super::within;

/// An open event stream.
pub(crate) struct EventStream {
    pub(crate) head: Head,
    pub(crate) client: Client,
    /// What is out of its chunks and not looked at yet.
    text: BytesMut,
    parser: Parser,
    ended: bool,
}

impl EventStream {
    /// Reads the head of a response, which has to be an event stream.
    pub(crate) async fn read_from(mut client: Client) -> Self {
        let head = client.head().await;
        assert_eq!(head.status, 200, "{}", head.text);
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        assert_eq!(head.header("transfer-encoding"), Some("chunked"));
        Self {
            head,
            client,
            text: BytesMut::new(),
            parser: Parser::new(),
            ended: false,
        }
    }

    /// The text up to and with `needle`; `None` when the stream ends before.
    async fn try_text_until(&mut self, needle: &str) -> Option<String> {
        within(self.try_text_for_ever(needle)).await
    }

    async fn try_text_for_ever(&mut self, needle: &str) -> Option<String> {
        loop {
            if let Some(taken) = take_through(&mut self.text, needle.as_bytes()) {
                return Some(String::from_utf8(taken.to_vec()).unwrap());
            }
            if self.ended {
                return None;
            }
            let before = self.text.len();
            self.ended = unchunk(&mut self.client.received, &mut self.text);
            if !self.ended && self.text.len() == before {
                assert!(self.client.receive().await, "cut, after {:?}", self.text);
            }
        }
    }

    pub(crate) async fn text_until(&mut self, needle: &str) -> String {
        let text = self.try_text_until(needle).await;
        text.unwrap_or_else(|| panic!("ended before {needle:?}, after {:?}", self.text))
    }

    /// The next block's text, with the comments before it.
    pub(crate) async fn block(&mut self) -> String {
        self.text_until("\n\n").await
    }

    /// The next event, control events too.
    pub(crate) async fn next(&mut self) -> Option<ParsedEvent> {
        let mut event = None;
        while event.is_none() {
            let block = self.try_text_until("\n\n").await?;
            let result = self
                .parser
                .push(block.as_bytes(), |parsed| event = Some(parsed));
            result.unwrap();
        }
        event
    }

    /// The next event of a channel: the opening block is passed over, and nothing else.
    pub(crate) async fn event(&mut self) -> ParsedEvent {
        let mut next = self.next().await;
        if let Some(open) = &next
            && open.event_type() == "eventcast.open"
        {
            next = self.next().await;
        }
        let event = next.expect("the stream goes on");
        assert!(!event.event_type().starts_with("eventcast."), "{event:?}");
        event
    }

    /// The next events' data.
    pub(crate) async fn data(&mut self, count: usize) -> Vec<String> {
        let mut data = Vec::new();
        while data.len() < count {
            data.push(self.event().await.data);
        }
        data
    }

    /// The next block, which has to be this control event: its document, and the last id after it.
    pub(crate) async fn control(&mut self, name: &str) -> (Value, String) {
        let event = self.next().await.expect("the stream goes on");
        assert_eq!(event.event_type(), format!("eventcast.{name}"), "{event:?}");
        let document = serde_json::from_str(&event.data).unwrap();
        (document, event.last_event_id)
    }

    /// The rest of a stream that ends properly, with the terminating chunk.
    pub(crate) async fn rest(&mut self) -> String {
        within(async {
            while !self.ended {
                self.ended = unchunk(&mut self.client.received, &mut self.text);
                assert!(self.ended || self.client.receive().await, "cut");
            }
        })
        .await;
        String::from_utf8(self.text.split().to_vec()).unwrap()
    }
}
