//! Reads of what is stored: single messages, pages, lists of channels.

use std::collections::{HashSet, VecDeque};
use std::ops::{ControlFlow, Range};

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use async_nats::{Message, jetstream};
use eventcast_core::{
    BackplaneError, Body, ChannelFacts, ChannelName, Page, PageQuery, Record, Timestamp,
};

use crate::failure::because;
use crate::link::Link;
use crate::message::Stored;
use crate::scan::Batch;

/// With this header messages come without payload.
const SIZE: &str = "Nats-Msg-Size";

impl Link {
    pub(crate) async fn first_of(
        &self,
        subject: &str,
        from: u64,
    ) -> Result<Option<Stored>, BackplaneError> {
        let answer = self.stream.get_first_raw_message_by_subject(subject, from);
        self.single(answer.await)
    }

    pub(crate) async fn last_of(&self, subject: &str) -> Result<Option<Stored>, BackplaneError> {
        self.single(self.stream.get_last_raw_message_by_subject(subject).await)
    }

    fn single(
        &self,
        answer: Result<StreamMessage, jetstream::stream::LastRawMessageError>,
    ) -> Result<Option<Stored>, BackplaneError> {
        match answer {
            Ok(message) => Stored::read(
                &self.subjects,
                &message.subject,
                message.sequence,
                Some(&message.headers),
                message.time.unix_timestamp_nanos(),
                message.payload,
            )
            .map(Some),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(because("a message could not be read", error)),
        }
    }

    /// The last message of a channel without messages is at most this one, of the time.
    pub(crate) async fn floor(&self) -> Result<(u64, u64), BackplaneError> {
        let info = self.stream.get_info().await;
        let info = info.map_err(|error| because("the stream is not there", error))?;
        let millis = info.state.first_timestamp.unix_timestamp_nanos() / 1_000_000;
        let floor = info.state.first_sequence.saturating_sub(1);
        Ok((floor, u64::try_from(millis).unwrap_or(0)))
    }

    /// What of a channel is gone: the last sequence and its time.
    async fn trimmed(&self, subject: &str) -> Result<(u64, u64), BackplaneError> {
        let (message, time) = match self.first_of(subject, 1).await? {
            Some(first) => (first.before.message, first.before.time),
            None => self.floor().await?,
        };
        Ok((self.chain.end(message), if message == 0 { 0 } else { time }))
    }

    pub(crate) async fn facts_of(
        &self,
        channel: &ChannelName,
    ) -> Result<ChannelFacts, BackplaneError> {
        let subject = self.subjects.channel(channel);
        let last = self.last_of(&subject).await?;
        let (trim_mark, until) = self.trimmed(&subject).await?;
        let last_record = last
            .as_ref()
            .and_then(|last| last.records(&self.chain).last());
        Ok(ChannelFacts {
            trim_mark,
            trimmed_until: Timestamp::from_millis(until),
            last: last.map_or(trim_mark, |last| self.chain.end(last.sequence)),
            completion: last_record.filter(|r| matches!(r.body, Body::Completion(_))),
        })
    }

    pub(crate) async fn page_of(
        &self,
        channel: &ChannelName,
        query: PageQuery,
    ) -> Result<Page, BackplaneError> {
        let subject = self.subjects.channel(channel);
        let limit = query.limit.max(1);
        let from = self.chain.message_after(query.after);
        let to = self.chain.message_after(query.until);
        let (records, complete) = if query.backwards {
            let mut width = limit as u64 * 2;
            loop {
                let start = from.max(to.saturating_sub(width));
                let newest = self.newest(&subject, start..to, query, limit).await?;
                if newest.is_cut || start == from {
                    let (records, complete) = self.tail(&subject, &newest, query, limit).await?;
                    break (records, complete && !newest.is_cut);
                }
                width = width.saturating_mul(16);
            }
        } else {
            self.head(&subject, from, query, limit).await?
        };
        // After the page: what was trimmed while it was read is below the mark.
        let (trim_mark, _) = self.trimmed(&subject).await?;
        Ok(Page {
            records,
            trim_mark,
            complete,
        })
    }

    async fn head(
        &self,
        subject: &str,
        from: u64,
        query: PageQuery,
        limit: usize,
    ) -> Result<(Vec<Record>, bool), BackplaneError> {
        let mut records = Vec::new();
        let mut room = query.bytes.max(1);
        let mut complete = true;
        let batch = Batch::up_to(limit, query.bytes);
        self.scan(subject, from_sequence(from), batch, |message| {
            for record in self.stored(message)?.records(&self.chain) {
                let sequence = record.position.sequence();
                if sequence > query.until {
                    return Ok(ControlFlow::Break(()));
                }
                if sequence > query.after && (records.len() == limit || room == 0) {
                    complete = false;
                    return Ok(ControlFlow::Break(()));
                }
                if sequence > query.after {
                    room = room.saturating_sub(record.payload_len());
                    records.push(record);
                }
            }
            if records.len() == limit || room == 0 {
                // What follows is not fetched to find out whether it is wanted.
                complete = message.info().is_ok_and(|info| info.pending == 0);
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        })
        .await?;
        Ok((records, complete))
    }

    /// Which of a channel's messages a page from the newest back needs, by their sizes alone: so many
    /// before the end of the range, which itself may hold some of it.
    async fn newest(
        &self,
        subject: &str,
        range: Range<u64>,
        query: PageQuery,
        limit: usize,
    ) -> Result<Newest, BackplaneError> {
        let mut sizes: VecDeque<(u64, usize)> = VecDeque::new();
        let mut newer = 0;
        let mut is_cut = false;
        let start = from_sequence(range.start);
        self.scan(subject, start, Batch::HEADERS, |message| {
            let sequence = message.info().map_or(0, |info| info.stream_sequence);
            if sequence >= range.end {
                return Ok(ControlFlow::Break(()));
            }
            let headers = message.headers.as_ref();
            let size = headers.and_then(|h| h.get(SIZE)?.as_str().parse().ok());
            newer += if sizes.is_empty() {
                0
            } else {
                size.unwrap_or(0)
            };
            sizes.push_back((sequence, size.unwrap_or(0)));
            while sizes.len() > limit || newer >= query.bytes.max(1) {
                sizes.pop_front();
                newer -= sizes.front().map_or(0, |(_, size)| *size);
                is_cut = true;
            }
            Ok(ControlFlow::Continue(()))
        })
        .await?;
        Ok(Newest {
            first: sizes.front().map_or(range.end, |(first, _)| *first),
            count: sizes.len() + 1,
            is_cut,
        })
    }

    async fn tail(
        &self,
        subject: &str,
        newest: &Newest,
        query: PageQuery,
        limit: usize,
    ) -> Result<(Vec<Record>, bool), BackplaneError> {
        let mut records: VecDeque<Record> = VecDeque::new();
        // Of all but the oldest, which may be larger than there is room for.
        let mut newer = 0;
        let mut complete = true;
        let batch = Batch::up_to(newest.count, query.bytes);
        self.scan(subject, from_sequence(newest.first), batch, |message| {
            for record in self.stored(message)?.records(&self.chain) {
                let sequence = record.position.sequence();
                if sequence > query.until {
                    return Ok(ControlFlow::Break(()));
                }
                if sequence > query.after {
                    newer += if records.is_empty() {
                        0
                    } else {
                        record.payload_len()
                    };
                    records.push_back(record);
                }
                while records.len() > limit || newer >= query.bytes.max(1) {
                    records.pop_front();
                    newer -= records.front().map_or(0, Record::payload_len);
                    complete = false;
                }
            }
            Ok(ControlFlow::Continue(()))
        })
        .await?;
        Ok((records.into_iter().rev().collect(), complete))
    }

    pub(crate) async fn channels_of(
        &self,
        prefix: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<ChannelName>, BackplaneError> {
        let from = self.chain.message_after(after);
        // One message of each channel is less to read than all, unless there are few.
        let few = self.last.saturating_sub(from) < 1_000 && from > 1;
        let start = if few {
            from_sequence(from)
        } else {
            DeliverPolicy::LastPerSubject
        };
        let mut names = HashSet::new();
        if limit == 0 {
            return Ok(Vec::new());
        }
        self.scan(
            &self.subjects.starting(prefix),
            start,
            Batch::HEADERS,
            |message| {
                let sequence = message.info().map_or(0, |info| info.stream_sequence);
                if sequence >= from
                    && let Some(name) = self.subjects.name(&message.subject)
                    && name.as_str().starts_with(prefix)
                {
                    names.insert(name);
                }
                Ok(if names.len() == limit {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                })
            },
        )
        .await?;
        Ok(names.into_iter().collect())
    }

    pub(crate) fn stored(&self, message: &jetstream::Message) -> Result<Stored, BackplaneError> {
        let info = message
            .info()
            .map_err(|error| because("a message is garbled", error))?;
        let nanos = info.published.unix_timestamp_nanos();
        let sequence = info.stream_sequence;
        let Message {
            subject,
            headers,
            payload,
            ..
        } = &message.message;
        let (headers, payload) = (headers.as_ref(), payload.clone());
        Stored::read(&self.subjects, subject, sequence, headers, nanos, payload)
    }
}

/// Where a page from the newest back begins.
#[derive(Debug)]
struct Newest {
    first: u64,
    /// How many messages there are from there on.
    count: usize,
    /// Whether there are others before it.
    is_cut: bool,
}

fn from_sequence(sequence: u64) -> DeliverPolicy {
    DeliverPolicy::ByStartSequence {
        start_sequence: sequence.max(1),
    }
}
