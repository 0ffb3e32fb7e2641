//! Every case fails a transport that has the flaw it is made for.

mod lines;

use std::collections::BTreeSet;

use eventcast_testkit::transport::{cases, judge, report};
use lines::{Flaw, LinesHarness};

/// One test a flaw: the case made for it fails.
macro_rules! caught {
    ($($(#[$condition:meta])? $test:ident: $flaw:ident by $case:ident;)*) => {
        $(
            $(#[$condition])?
            #[test]
            fn $test() {
                let verdict = judge(&LinesHarness(Flaw::$flaw), &[], cases::$case);
                println!("{verdict}");
                assert!(verdict.is_failed(), "{} gets by: {verdict}", stringify!($flaw));
            }
        )*

        const CAUGHT: &[&str] = &[$(stringify!($case)),*];
    };
}

caught! {
    no_opening: NoOpening by the_opening_comes_first_and_at_once;
    swaps: Swaps by events_come_in_order_each_once;
    drops: Drops by events_come_in_order_each_once;
    doubles: Doubles by events_come_in_order_each_once;
    ends_early: EndsEarly by events_come_in_order_each_once;
    never_flushes: NeverFlushes by a_batch_is_flushed_at_once;
    writes_each_chunk: WritesEachChunk by a_batch_is_one_write;
    cuts_large_events: CutsLargeEvents by a_large_event_arrives_whole;
    trims_text: TrimsText by text_arrives_as_published;
    loses_names: LosesNames by text_arrives_as_published;
    binary_as_text: BinaryAsText by binary_arrives_as_published;
    #[cfg(feature = "json")]
    reformats_json: ReformatsJson by json_arrives_as_published;
    ignores_gaps: IgnoresGaps by a_gap_stands_in_its_place;
    tells_gaps_late: GapsLate by a_gap_stands_in_its_place;
    one_reason_for_all: OneReasonForAll by every_reason_of_a_gap_is_told;
    id_of_the_previous: IdOfThePrevious by a_resume_brings_exactly_the_rest;
    id_before_data: IdBeforeData by a_cut_at_any_byte_loses_and_doubles_nothing;
    id_before_gap: IdBeforeData by a_cut_at_any_byte_of_a_gap_leaves_nothing_untold;
    holds_without_bound: HoldsWithoutBound by a_stalled_reader_is_bounded_and_finds_a_gap;
    ignores_the_gap_of_a_stall: IgnoresGaps by a_stalled_reader_is_bounded_and_finds_a_gap;
    silent_when_idle: SilentWhenIdle by idle_connections_give_signs_of_life;
    chatters: Chatters by idle_connections_give_signs_of_life;
    position_untold: PositionUntold by a_quiet_reader_is_told_newer_positions;
    stays_open: StaysOpen by the_end_closes_the_connection;
    end_untold: EndUntold by the_end_is_told_with_its_reason;
    completion_untold: CompletionUntold by a_completed_channel_is_told_in_its_place;
    hangs_when_peer_is_gone: HangsWhenPeerIsGone by a_peer_that_is_gone_ends_the_session;
    hangs_in_a_write: HangsWhenPeerIsGone by a_peer_gone_during_a_write_ends_the_session;
    ignores_write_errors: IgnoresWriteErrors by a_failed_write_ends_the_session;
    runs_detached: Detached by a_dropped_connection_drops_its_session;
    ignores_short_writes: IgnoresShortWrites by short_writes_change_nothing;
    gives_up_on_pending: GivesUpOnPending by pauses_at_every_byte_change_nothing;
}

#[test]
fn every_case_has_a_flaw_that_it_catches() {
    let report = report(&LinesHarness(Flaw::None));
    let skipped = report.iter().filter(|(_, verdict)| verdict.is_skipped());
    assert_eq!(skipped.count(), usize::from(cfg!(not(feature = "json"))));
    let cases: BTreeSet<_> = report.into_iter().map(|(case, _)| case).collect();
    assert_eq!(cases, CAUGHT.iter().copied().collect());
}
