//! Pages, and what there is to know of channels.

use eventcast_core::{
    BackplaneError, ChannelFacts, ChannelName, Lineage, Page, PageQuery, Record, Timestamp,
};
use fjall::Readable;

use crate::channel::{self, Channel};
use crate::failure::unreadable;
use crate::store::{Store, garbled};

/// How many records a page has at most.
const MAX_RECORDS: usize = 1000;

pub(crate) fn page(
    store: &Store,
    lineage: &Lineage,
    name: &ChannelName,
    query: PageQuery,
) -> Result<Page, BackplaneError> {
    let snapshot = store.snapshot();
    let channel = match store.channel(&snapshot, name)? {
        Some(channel) => channel,
        None => unknown(store)?,
    };
    let mut page = Page {
        trim_mark: channel.trim,
        complete: true,
        ..Page::default()
    };
    let from = query.after.max(channel.trim).saturating_add(1);
    if from > query.until || query.after == u64::MAX {
        return Ok(page);
    }
    let end = end(&channel, lineage, name)?;
    let end = end.filter(|end| (from..=query.until).contains(&end.position.sequence()));
    let range = channel::record_key(name, from)..=channel::record_key(name, query.until);
    let mut stored = snapshot.range(&store.records, range);
    let next = || match query.backwards {
        true => stored.next_back(),
        false => stored.next(),
    };
    // The end is the channel's last record, and kept apart from the others.
    let records = std::iter::from_fn(next).map(|entry| {
        let (key, value) = entry.into_inner().map_err(unreadable)?;
        let record = channel::decode_record(&key, value.into());
        let (sequence, time, _, body) = record.ok_or_else(garbled)?;
        channel::record(lineage, name, sequence, time, body).ok_or_else(garbled)
    });
    let (first, last) = match query.backwards {
        true => (end, None),
        false => (None, end),
    };
    let records = first.map(Ok).into_iter().chain(records).chain(last.map(Ok));
    let (limit, mut room) = (query.limit.clamp(1, MAX_RECORDS), query.bytes.max(1));
    for record in records {
        let record = record?;
        if page.records.len() == limit || room == 0 {
            page.complete = false;
            break;
        }
        room = room.saturating_sub(size(&record));
        page.records.push(record);
    }
    Ok(page)
}

pub(crate) fn facts(
    store: &Store,
    lineage: &Lineage,
    name: &ChannelName,
) -> Result<ChannelFacts, BackplaneError> {
    let channel = match store.channel(&store.snapshot(), name)? {
        Some(channel) => channel,
        None => unknown(store)?,
    };
    Ok(ChannelFacts {
        trim_mark: channel.trim,
        trimmed_until: Timestamp::from_millis(channel.trim_time),
        last: channel.last,
        completion: end(&channel, lineage, name)?,
    })
}

pub(crate) fn channels(
    store: &Store,
    prefix: &str,
    after: u64,
    limit: usize,
) -> Result<Vec<ChannelName>, BackplaneError> {
    let mut found = Vec::new();
    for entry in store.snapshot().prefix(&store.channels, prefix) {
        if found.len() == limit {
            break;
        }
        let (name, channel) = entry.into_inner().map_err(unreadable)?;
        let channel = Channel::decode(channel.into()).ok_or_else(garbled)?;
        let is_kept = channel.count > 0 || channel.end.is_some();
        if is_kept && channel.last > after {
            let name = std::str::from_utf8(&name).ok();
            let name = name.and_then(|name| ChannelName::new(name).ok());
            found.push(name.ok_or_else(garbled)?);
        }
    }
    Ok(found)
}

fn unknown(store: &Store) -> Result<Channel, BackplaneError> {
    Ok(store.head()?.unwrap_or_default().new_channel())
}

fn end(
    channel: &Channel,
    lineage: &Lineage,
    name: &ChannelName,
) -> Result<Option<Record>, BackplaneError> {
    let record = |end: &channel::End| {
        let body = end.body.clone();
        channel::record(lineage, name, end.sequence, end.time, body).ok_or_else(garbled)
    };
    channel.end.as_ref().map(record).transpose()
}

fn size(record: &Record) -> usize {
    match &record.body {
        eventcast_core::Body::Event(event) => event.payload().len() + 64,
        eventcast_core::Body::Completion(_) => 64,
    }
}
