//! A replay buffer of one's own: blocks of 256 events. It never moves events that it has, so no
//! publish waits while a long history is copied to a larger place, and it gives memory back block
//! by block. The last lines are its test: the conformance kit.
//!
//! Run with
//! ```text
//! cargo run --example replay_buffer
//! cargo test --example replay_buffer
//! ```

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;

use eventcast::{Delivery, Event, Hub, HubConfig, ReplayBuffer, Retention, Start, StoredEvent};
use futures_util::StreamExt;

const BLOCK: usize = 256;

/// All blocks but the last are full; the first may have lost some at its beginning.
#[derive(Debug, Default)]
struct Blocks {
    blocks: VecDeque<Vec<Option<Arc<StoredEvent>>>>,
    /// How many of the first block are gone.
    gone: usize,
    len: usize,
}

/// What is retained is the hub's decision: it pushes, pops the oldest, and reads by index. It does
/// all that under the channel's lock, so nothing here may wait.
impl ReplayBuffer for Blocks {
    fn push(&mut self, event: Arc<StoredEvent>) {
        if self.blocks.back().is_none_or(|block| block.len() == BLOCK) {
            self.blocks.push_back(Vec::with_capacity(BLOCK));
        }
        let last = self.blocks.back_mut().expect("one was added");
        last.push(Some(event));
        self.len += 1;
    }

    fn pop(&mut self) -> Option<Arc<StoredEvent>> {
        let first = self.blocks.front_mut()?;
        let oldest = first.get_mut(self.gone)?.take();
        self.gone += 1;
        self.len -= 1;
        if self.gone == first.len() {
            self.blocks.pop_front();
            self.gone = 0;
        }
        oldest
    }

    fn get(&self, index: usize) -> Option<Arc<StoredEvent>> {
        let place = self.gone.checked_add(index)?;
        self.blocks.get(place / BLOCK)?.get(place % BLOCK)?.clone()
    }

    fn len(&self) -> usize {
        self.len
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let retention = Retention::new().with_count(1_000);
    let config = HubConfig::new().with_retention(retention);
    let hub = Hub::with_config(config.with_replay_buffer(|channel| {
        println!("a buffer for {channel}");
        Box::<Blocks>::default()
    }));
    for n in 1..=1_200 {
        hub.publish("log", Event::text(format!("line {n}"))).await?;
    }

    // Somebody who saw line 150 comes back: 50 lines are gone, and said to be.
    let first = hub.history("log", eventcast::HistoryQuery::oldest_first().with_limit(1))?;
    let epoch = first.position.epoch();
    let seen = eventcast::Position::new(epoch, 150);
    let mut session = hub
        .session()
        .start(Start::Earliest)
        .channel("log")
        .resume(&seen.to_string())
        .open()?;
    for _ in 0..2 {
        match session.next().await {
            Some(Delivery::Gap(gap)) => println!("{gap}"),
            Some(Delivery::Event(event)) => println!("{:?}", event.payload().as_str()),
            other => return Err(format!("not expected: {other:?}").into()),
        }
    }
    Ok(())
}

#[cfg(test)]
eventcast_testkit::replay_conformance!(Blocks::default);
