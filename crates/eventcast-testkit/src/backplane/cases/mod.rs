//! What every log has to do, sentence by sentence of its contract.
//!
//! Each case is run by [`judge`](super::judge).
#![allow(
    clippy::missing_errors_doc,
    reason = "the error of each case is what it found"
)]

mod append;
mod keys;
mod pages;
mod restart;
mod sink;
mod trim;

pub use append::{
    a_batch_lies_together, a_dropped_append_is_stored_whole_or_not, a_new_log_is_empty,
    a_refused_batch_stores_nothing, ids_increase_over_channels, ids_increase_over_nodes,
    times_never_go_back, what_is_published_comes_back_equal,
};
pub use keys::{
    a_key_counts_in_its_channel_only, a_key_is_known_to_other_nodes, a_key_is_stored_once,
    a_key_published_at_once_is_stored_once, a_retry_after_a_dropped_append_is_stored_once,
    keys_count_within_and_over_batches,
};
pub use pages::{
    a_completed_channel_takes_nothing, a_completion_is_a_record_and_a_fact,
    an_unknown_channel_is_empty, channels_are_listed_by_prefix_and_sequence,
    facts_tell_the_last_sequence, pages_are_bounded_by_bytes, pages_are_of_one_channel,
    pages_backwards_are_exact, pages_forwards_are_exact, pages_hold_what_was_acknowledged,
};
pub use restart::{
    a_clean_restart_keeps_all, a_kill_loses_nothing_acknowledged, completions_survive_restarts,
    keys_survive_restarts, no_sequence_is_given_twice_over_restarts, trim_marks_survive_restarts,
};
pub use sink::{
    attaching_joins_pages_and_sink_exactly, broadcasts_reach_the_other_nodes_only,
    closing_lets_go_of_the_sink, the_sink_is_given_every_record_once_in_order,
    the_sink_is_given_the_records_of_other_nodes, want_tells_from_where_all_is_given,
    what_is_seen_is_stored,
};
pub use trim::{
    retention_by_age_is_told, retention_by_bytes_is_told, retention_by_count_is_told,
    trimming_one_channel_leaves_the_others,
};

use std::sync::Arc;

use eventcast_core::Backplane;
use tokio::task::JoinHandle;

use super::ledger::Ledger;
use super::node::{body, wide};

type Publishing = JoinHandle<Result<Ledger, String>>;

/// Publishes from a task of its own: `count` batches, over the channels in turn.
fn publish(
    plane: &Arc<dyn Backplane>,
    tag: &'static str,
    channels: &'static [&'static str],
    count: usize,
    batch: usize,
) -> Publishing {
    let plane = Arc::clone(plane);
    tokio::spawn(async move {
        let mut ledger = Ledger::default();
        let mut last = 0;
        for number in 0..count {
            let channel = channels[number % channels.len()];
            let bodies = (0..batch).map(|n| body(&format!("{tag} {number} {n}")));
            let given = ledger
                .publish(&*plane, channel, bodies.collect(), wide())
                .await?;
            if given[0] <= last {
                return Err(format!("{} is given after {last}", given[0]));
            }
            last = given[given.len() - 1];
            // A log that never waits leaves room for the others too, and can be stopped.
            tokio::task::yield_now().await;
        }
        Ok(ledger)
    })
}

/// What all of them published.
async fn joined(tasks: Vec<Publishing>) -> Result<Ledger, String> {
    let mut all = Ledger::default();
    for task in tasks {
        let ledger = task.await.map_err(|error| error.to_string())??;
        all.merge(ledger)?;
    }
    Ok(all)
}
