//! Reading pages, each checked against what a page may be.

use eventcast_core::{Backplane, Page, PageQuery, Record};

use super::node::name;
use crate::verdict::ensure;

/// All of a channel, with the highest trim mark told.
pub(super) struct All {
    pub(super) records: Vec<Record>,
    pub(super) trim_mark: u64,
}

impl All {
    pub(super) fn sequences(&self) -> Vec<u64> {
        let records = self.records.iter();
        records.map(|record| record.position.sequence()).collect()
    }
}

/// Everything after a sequence, page by page.
pub(super) async fn read(
    plane: &dyn Backplane,
    channel: &str,
    after: u64,
    until: u64,
) -> Result<All, String> {
    let query = PageQuery {
        after,
        until,
        limit: 100,
        bytes: PageQuery::MAX_BYTES,
        backwards: false,
    };
    read_with(plane, channel, query).await
}

/// Everything in a range, page by page in the direction and with the limit of the query.
pub(super) async fn read_with(
    plane: &dyn Backplane,
    channel: &str,
    mut query: PageQuery,
) -> Result<All, String> {
    let mut all = All {
        records: Vec::new(),
        trim_mark: 0,
    };
    loop {
        let page = one(plane, channel, query).await?;
        all.trim_mark = all.trim_mark.max(page.trim_mark);
        let last = page.records.last().map(|record| record.position.sequence());
        all.records.extend(page.records);
        let Some(last) = last.filter(|_| !page.complete) else {
            return Ok(all);
        };
        if query.backwards {
            query.until = last - 1;
        } else {
            query.after = last;
        }
    }
}

/// One page.
pub(super) async fn one(
    plane: &dyn Backplane,
    channel: &str,
    query: PageQuery,
) -> Result<Page, String> {
    let page = plane.page(&name(channel), query).await;
    let page = page.map_err(|error| format!("no page of {channel}: {error:?}"))?;
    let records = page.records.iter();
    let sequences: Vec<_> = records.map(|record| record.position.sequence()).collect();
    let what = format!("the page of {channel} for {query:?}");
    ensure!(
        sequences.len() <= query.limit,
        "{what} holds {} records",
        sequences.len()
    );
    let payloads = page.records.iter().map(Record::payload_len);
    let but_last: usize = payloads.take(sequences.len().saturating_sub(1)).sum();
    ensure!(
        but_last < query.bytes.max(1),
        "{what} goes on after {but_last} bytes of payloads"
    );
    ensure!(
        page.complete || !sequences.is_empty(),
        "{what} is neither complete nor has it a record"
    );
    let sorted = sequences.is_sorted_by(|a, b| if query.backwards { a > b } else { a < b });
    ensure!(sorted, "{what} is out of order: {sequences:?}");
    let within = |s: &u64| (query.after + 1..=query.until).contains(s);
    ensure!(
        sequences.iter().all(within),
        "{what} holds others: {sequences:?}"
    );
    ensure!(
        sequences.iter().all(|s| *s > page.trim_mark),
        "{what} has the trim mark {} and holds {sequences:?}",
        page.trim_mark
    );
    ensure!(
        page.records.iter().all(|r| r.channel.as_str() == channel),
        "{what} holds records of another channel"
    );
    Ok(page)
}
