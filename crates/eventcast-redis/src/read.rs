//! Pages, and what there is to know of channels.

use eventcast_core::{
    BackplaneError, Body, ChannelFacts, ChannelName, Page, PageQuery, Record, Timestamp,
};

use crate::failure::unreachable;
use crate::link::Link;
use crate::shared::Shared;
use crate::wire;

/// How many records a page has at most.
const MAX_RECORDS: usize = 1000;

type Entry = (String, u64, Vec<u8>);
type Answer = (
    String,
    u64,
    u64,
    u64,
    String,
    u64,
    Vec<u8>,
    String,
    Vec<Entry>,
);

pub(crate) async fn page(
    shared: &Shared,
    link: &Link,
    channel: &ChannelName,
    query: PageQuery,
) -> Result<Page, BackplaneError> {
    let limit = query.limit.clamp(1, MAX_RECORDS);
    let (mut page, facts) = ask(shared, link, channel, query, limit).await?;
    if let Some(end) = facts.completion
        && (query.after..query.until).contains(&(end.position.sequence().wrapping_sub(1)))
    {
        // The end is the channel's last record, and kept apart from the others.
        if query.backwards {
            page.records.insert(0, end);
            if page.records.len() > limit {
                page.records.pop();
                page.complete = false;
            }
        } else if page.complete && page.records.len() < limit {
            page.records.push(end);
        } else {
            page.complete = false;
        }
    }
    Ok(page)
}

pub(crate) async fn facts(
    shared: &Shared,
    link: &Link,
    channel: &ChannelName,
) -> Result<ChannelFacts, BackplaneError> {
    let query = PageQuery {
        after: 0,
        until: 0,
        limit: 0,
        bytes: PageQuery::MAX_BYTES,
        backwards: false,
    };
    Ok(ask(shared, link, channel, query, 0).await?.1)
}

pub(crate) async fn channels(
    shared: &Shared,
    link: &Link,
    prefix: &str,
    after: u64,
    limit: usize,
) -> Result<Vec<ChannelName>, BackplaneError> {
    let mut found = Vec::new();
    let mut cursor = Vec::new();
    while found.len() < limit {
        let mut call = shared.scripts.channels.prepare_invoke();
        call.key(shared.keys.index())
            .key(shared.keys.names())
            .arg(prefix)
            .arg(after)
            .arg(limit - found.len())
            .arg(&cursor[..]);
        let (next, names): (Vec<u8>, Vec<Vec<u8>>) = call
            .invoke_async(&mut link.commands())
            .await
            .map_err(unreachable)?;
        for name in names {
            let name = std::str::from_utf8(&name).ok();
            let name = name.and_then(|name| ChannelName::new(name).ok());
            found.push(name.ok_or_else(garbled)?);
        }
        if next.is_empty() {
            break;
        }
        if next == cursor {
            return Err(garbled());
        }
        cursor = next;
    }
    found.truncate(limit);
    Ok(found)
}

async fn ask(
    shared: &Shared,
    link: &Link,
    channel: &ChannelName,
    query: PageQuery,
    limit: usize,
) -> Result<(Page, ChannelFacts), BackplaneError> {
    let (low, high) = (query.after.saturating_add(1), query.until);
    let (from, to) = match query.backwards {
        true => (high, low),
        false => (low, high),
    };
    // Nothing is after the highest number.
    let limit = if query.after == u64::MAX { 0 } else { limit };
    let mut call = shared.scripts.page.prepare_invoke();
    call.key(shared.keys.log())
        .key(shared.keys.stream(channel))
        .key(shared.keys.channel(channel))
        .arg(format!("{from}-0"))
        .arg(format!("{to}-0"))
        .arg(limit)
        .arg(u8::from(query.backwards))
        .arg(query.bytes.max(1));
    let answer: Answer = call
        .invoke_async(&mut link.commands())
        .await
        .map_err(unreachable)?;
    let (epoch, trim_mark, trim_time, last, end, end_time, end_body, complete, entries) = answer;
    if wire::epoch(&epoch) != Some(link.epoch) {
        link.fail();
        return Err(BackplaneError::new("the log went on under another epoch"));
    }
    let record = |sequence: u64, time: u64, body: Vec<u8>| {
        Some(Record {
            position: shared.known().position(sequence),
            time: Timestamp::from_millis(time),
            channel: channel.clone(),
            body: Body::decode(body.into()).ok()?,
        })
    };
    let mut records = Vec::with_capacity(entries.len());
    let mut before = None;
    for (id, time, body) in entries {
        let sequence: Option<u64> = id.strip_suffix("-0").and_then(|number| number.parse().ok());
        let sequence = sequence.ok_or_else(garbled)?;
        let in_order = before.is_none_or(|before| (before < sequence) != query.backwards);
        if !in_order || !(low..=high).contains(&sequence) || records.len() == limit {
            return Err(garbled());
        }
        before = Some(sequence);
        records.push(record(sequence, time, body).ok_or_else(garbled)?);
    }
    let completion = match end.parse() {
        Ok(sequence) => Some(record(sequence, end_time, end_body).ok_or_else(garbled)?),
        Err(_) if end.is_empty() => None,
        Err(_) => return Err(garbled()),
    };
    let page = Page {
        complete: complete == "1" || records.is_empty(),
        records,
        trim_mark,
    };
    let facts = ChannelFacts {
        trim_mark,
        trimmed_until: Timestamp::from_millis(trim_time),
        last,
        completion,
    };
    Ok((page, facts))
}

fn garbled() -> BackplaneError {
    BackplaneError::new("what the log holds is not readable")
}
