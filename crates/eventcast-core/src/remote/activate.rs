//! Making a ring whole: from when on this node is given all of a channel, and whether it has ended.

use std::sync::Arc;

use super::chores::Interest;
use crate::backplane::{BackplaneError, Body, ChannelFacts};
use crate::log::Log;
use crate::name::ChannelName;
use crate::ring::{Completion, Ring};

impl Log {
    /// Has the log give all of a channel to this node, unless it does. Until that is done, nothing
    /// that the ring holds or lacks says anything.
    ///
    /// Two may do it at once; dropping it takes nothing back.
    pub(crate) async fn activate(&self, ring: &Arc<Ring>) -> Result<(), BackplaneError> {
        let Some(remote) = &self.remote else {
            return Ok(());
        };
        let knows_end = {
            let state = ring.state.lock();
            if !state.is_partial() {
                return Ok(());
            }
            state.knows_end()
        };
        let interest = Interest::Channel(ring.name.clone());
        remote.until_released(&interest).await;
        ring.state.lock().want();
        let whole_from = remote.plane.want(&ring.name, true).await?;
        // What is stored up to there, and not given to this node, is what pages are read of.
        self.reached(whole_from).await;
        let facts = match knows_end {
            true => None,
            false => Some(remote.plane.facts(&ring.name).await?),
        };
        let mut dead = crate::ring::Dead::new();
        let mut state = ring.state.lock();
        if let Some(end) = facts.and_then(ending)
            // A later end comes to the ring in its place.
            && end.sequence <= self.committed()
            && state.completion().is_none()
        {
            state.complete(end);
        }
        if state.is_partial() {
            self.take_out(&mut dead, |dead| state.make_whole(whole_from, dead));
        }
        drop(state);
        Ok(())
    }

    /// Has the log give all channels with a prefix to this node, and finds those that have
    /// something after a sequence, at most `limit`.
    pub(crate) async fn look_up(
        &self,
        prefix: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<ChannelName>, BackplaneError> {
        let Some(remote) = &self.remote else {
            return Ok(Vec::new());
        };
        remote
            .until_released(&Interest::Prefix(prefix.into()))
            .await;
        let whole_from = remote.plane.want_prefix(prefix, true).await?;
        self.reached(whole_from).await;
        remote.plane.channels(prefix, after, limit).await
    }
}

fn ending(facts: ChannelFacts) -> Option<Completion> {
    let record = facts.completion?;
    let Body::Completion(outcome) = record.body else {
        return None;
    };
    Some(Completion {
        sequence: record.position.sequence(),
        time: record.time,
        outcome,
    })
}
