//! What every transport has to do, sentence by sentence of the delivery contract.
//!
//! Each case is run by [`judge`](super::judge), on a runtime with simulated time.
#![allow(
    clippy::missing_errors_doc,
    reason = "the error of each case is what it found"
)]

mod delivery;
mod ends;
mod faults;
mod gaps;
mod idle;
mod payloads;
mod resume;

pub use delivery::{
    a_batch_is_flushed_at_once, a_batch_is_one_write, a_large_event_arrives_whole,
    events_come_in_order_each_once, the_opening_comes_first_and_at_once,
};
pub use ends::{
    a_completed_channel_is_told_in_its_place, a_dropped_connection_drops_its_session,
    a_failed_write_ends_the_session, a_peer_gone_during_a_write_ends_the_session,
    a_peer_that_is_gone_ends_the_session, the_end_closes_the_connection,
    the_end_is_told_with_its_reason,
};
pub use faults::{pauses_at_every_byte_change_nothing, short_writes_change_nothing};
pub use gaps::{
    a_gap_stands_in_its_place, a_stalled_reader_is_bounded_and_finds_a_gap,
    every_reason_of_a_gap_is_told,
};
pub use idle::{a_quiet_reader_is_told_newer_positions, idle_connections_give_signs_of_life};
pub use payloads::{
    binary_arrives_as_published, json_arrives_as_published, text_arrives_as_published,
};
pub use resume::{
    a_cut_at_any_byte_loses_and_doubles_nothing, a_cut_at_any_byte_of_a_gap_leaves_nothing_untold,
    a_resume_brings_exactly_the_rest,
};
