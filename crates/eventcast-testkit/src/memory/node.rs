//! One node's hold of the log.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use eventcast_core::{
    Append, AppendError, Attached, Backplane, BackplaneError, Capabilities, ChannelFacts,
    ChannelName, OutcomeKnown, Page, PageQuery, Position, ReplayStore, Sink, Timestamp,
};

use super::MemoryLog;
use super::faults::AppendFault;
use super::state::{Item, State};

/// One node's hold of a [`MemoryLog`]; see [`MemoryLog::node`].
pub struct MemoryNode {
    log: MemoryLog,
    id: u64,
}

impl MemoryNode {
    pub(super) fn new(log: MemoryLog, id: u64) -> Self {
        Self { log, id }
    }

    /// This node cannot reach the log: its sink is told, its appends and reads wait.
    pub fn stall(&self) {
        self.log.change(|state| state.stall(self.id));
    }

    /// It reaches the log again: its sink is told, and then given what it missed.
    pub fn recover(&self) {
        self.log.change(|state| state.recover(self.id));
    }

    /// Whether the node was told that somebody here reads a channel.
    #[must_use]
    pub fn wants(&self, channel: &str) -> bool {
        let state = self.log.lock();
        let node = state.nodes.get(&self.id);
        node.is_some_and(|node| node.wanted.iter().any(|name| name.as_str() == channel))
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &MemoryLog {
        &self.log
    }

    /// Whether the log can be reached; an error once the node is closed.
    fn reach(&self, state: &State) -> Result<bool, BackplaneError> {
        match state.nodes.get(&self.id) {
            Some(node) => Ok(!node.stalled),
            None => Err(BackplaneError::new("the node is closed")),
        }
    }

    async fn read<T: Send>(
        &self,
        read: impl Fn(&mut State) -> T + Send + Sync,
    ) -> Result<T, BackplaneError> {
        let outcome = self.log.until(|state| match self.reach(state) {
            Err(error) => Some(Err(error)),
            Ok(false) => None,
            Ok(true) if state.failing_reads > 0 => {
                state.failing_reads -= 1;
                Some(Err(BackplaneError::new("a read was told to fail")))
            }
            Ok(true) => Some(Ok(read(state))),
        });
        outcome.await
    }

    fn try_append(&self, append: Append) -> Result<Vec<Position>, AppendError> {
        self.log.change(|state| match state.faults.pop_front() {
            None => state.append(append),
            Some(AppendFault::NotStored) => Err(unavailable(OutcomeKnown::NotStored)),
            Some(AppendFault::UnknownLost) => Err(unavailable(OutcomeKnown::Unknown)),
            Some(AppendFault::UnknownStored) => {
                state.append(append)?;
                Err(unavailable(OutcomeKnown::Unknown))
            }
            Some(AppendFault::Full) => Err(AppendError::Full(BackplaneError::new(
                "an append was told to find no room",
            ))),
        })
    }
}

fn unavailable(outcome: OutcomeKnown) -> AppendError {
    AppendError::Unavailable {
        outcome,
        waited: Duration::ZERO,
        source: BackplaneError::new("an append was told to fail"),
    }
}

/// Counts a page read that waits, even if it is dropped.
struct WaitingPage<'a>(&'a MemoryLog);

impl<'a> WaitingPage<'a> {
    fn new(log: &'a MemoryLog) -> Self {
        log.change(|state| state.waiting_pages += 1);
        Self(log)
    }
}

impl Drop for WaitingPage<'_> {
    fn drop(&mut self) {
        self.0.change(|state| state.waiting_pages -= 1);
    }
}

#[async_trait]
impl ReplayStore for MemoryNode {
    async fn page(&self, channel: &ChannelName, query: PageQuery) -> Result<Page, BackplaneError> {
        if self.log.lock().held_pages {
            let waiting = WaitingPage::new(&self.log);
            let released = |state: &mut State| (!state.held_pages).then_some(());
            self.log.until(released).await;
            drop(waiting);
        }
        self.read(|state| state.page(channel, query)).await
    }

    async fn facts(&self, channel: &ChannelName) -> Result<ChannelFacts, BackplaneError> {
        self.read(|state| state.facts(channel)).await
    }

    async fn channels(
        &self,
        prefix: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<ChannelName>, BackplaneError> {
        self.read(|state| state.names(prefix, after, limit)).await
    }
}

#[async_trait]
impl Backplane for MemoryNode {
    fn capabilities(&self) -> Capabilities {
        self.log.lock().capabilities
    }

    async fn attach(&self, sink: Arc<dyn Sink>) -> Result<Attached, BackplaneError> {
        self.log.change(|state| {
            let Some(node) = state.nodes.get_mut(&self.id) else {
                return Err(BackplaneError::new("the node is closed"));
            };
            if node.sink.is_some() {
                return Err(BackplaneError::new("a sink is attached already"));
            }
            node.sink = Some(sink);
            Ok(Attached {
                lineage: state.lineage.clone(),
                committed: state.last,
                floor: state.floor,
            })
        })
    }

    async fn append(&self, append: Append) -> Result<Vec<Position>, AppendError> {
        let reached = self.log.until(|state| match self.reach(state) {
            Ok(reached) => reached.then_some(Ok(())),
            Err(error) => Some(Err(error)),
        });
        reached.await.map_err(|source| AppendError::Unavailable {
            outcome: OutcomeKnown::NotStored,
            waited: Duration::ZERO,
            source,
        })?;
        let outcome = self.try_append(append);
        let answered = |state: &mut State| (!state.held_answers).then_some(());
        self.log.until(answered).await;
        outcome
    }

    async fn want(&self, channel: &ChannelName, wanted: bool) -> Result<u64, BackplaneError> {
        let outcome = self.log.until(|state| match self.reach(state) {
            Err(error) => Some(Err(error)),
            Ok(false) => None,
            Ok(true) if !state.only_wanted => Some(Ok(0)),
            Ok(true) => {
                let node = state.nodes.get_mut(&self.id)?;
                if wanted {
                    node.wanted.insert(channel.clone());
                } else {
                    node.wanted.remove(channel);
                }
                Some(Ok(state.last))
            }
        });
        outcome.await
    }

    async fn broadcast(&self, message: Bytes) -> Result<(), BackplaneError> {
        let released = |state: &mut State| (!state.held_messages).then_some(());
        self.log.until(released).await;
        self.log.change(|state| {
            if !self.reach(state)? {
                return Err(BackplaneError::new("the log is stalled"));
            }
            for (id, node) in &mut state.nodes {
                if *id != self.id && !node.stalled {
                    node.push(Item::Message(message.clone()));
                }
            }
            Ok(())
        })
    }

    async fn maintain(&self, now: Timestamp) -> Result<(), BackplaneError> {
        self.log.change(|state| {
            let channels: Vec<_> = state.channels.keys().cloned().collect();
            channels.iter().for_each(|channel| state.trim(channel, now));
        });
        Ok(())
    }

    async fn close(&self) -> Result<(), BackplaneError> {
        let closed = self.log.change(|state| state.nodes.remove(&self.id));
        drop(closed);
        Ok(())
    }
}

impl Drop for MemoryNode {
    fn drop(&mut self) {
        let closed = self.log.change(|state| state.nodes.remove(&self.id));
        drop(closed);
    }
}

impl fmt::Debug for MemoryNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryNode")
            .field("log", &self.log)
            .field("id", &self.id)
            .finish()
    }
}
