//! The conformance kit for transports: it judges what comes over the wire.
//!
//! [`transport_conformance!`](crate::transport_conformance) makes one test a case; [`report`] runs
//! them all; each is a function of its own in [`cases`]. A [`Harness`] connects the transport.

pub mod cases;
mod check;
mod harness;
mod link;
mod pull;
mod seen;
mod sessions;
mod stage;
mod wire;

pub use harness::{Capabilities, Capability, Decoder, Harness, ServerEnd, Serving};
pub use pull::pull;
pub use seen::{Seen, SeenEvent};
pub use sessions::Sessions;

use crate::verdict::Verdict;

/// Runs one case on a runtime of its own with simulated time, unless the wire format lacks what it
/// needs.
///
/// # Panics
/// Inside an async runtime.
pub fn judge(
    harness: &dyn Harness,
    needs: &[Capability],
    case: impl AsyncFnOnce(&dyn Harness) -> Result<(), String>,
) -> Verdict {
    if let Some(reason) = ruled_out(harness, needs) {
        return Verdict::Skipped(reason);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing");
    Verdict::of(|| runtime.block_on(case(harness)))
}

/// Runs every case and tells each one's verdict, for who wants no test a case.
///
/// # Panics
/// Inside an async runtime.
#[must_use]
pub fn report(harness: &dyn Harness) -> Vec<(&'static str, Verdict)> {
    crate::__transport_cases!(report [harness] [])
}

/// Prints and counts the cases that the capabilities rule out.
#[doc(hidden)]
#[allow(
    clippy::print_stdout,
    reason = "skipped cases are told to who runs the tests"
)]
pub fn count_skipped(harness: &dyn Harness, needs: &[(&str, &[Capability])]) -> usize {
    let mut count = 0;
    for (case, needs) in needs {
        if let Some(reason) = ruled_out(harness, needs) {
            println!("skipped: {case}: {reason}");
            count += 1;
        }
    }
    println!("{count} of {} cases skipped", needs.len());
    count
}

/// Why a case with these needs cannot be run.
fn ruled_out(harness: &dyn Harness, needs: &[Capability]) -> Option<String> {
    let capabilities = harness.capabilities();
    if let Some(lack) = needs.iter().find(|need| !capabilities.has(**need)) {
        return Some(format!("the wire format lacks {lack:?}"));
    }
    (needs.contains(&Capability::Json) && cfg!(not(feature = "json")))
        .then(|| "eventcast-testkit's feature `json` is off".to_owned())
}

/// Makes one `#[test]` of each case that a transport has to pass, named for what it proves.
///
/// It takes a [`Harness`]. A case that its [`Capabilities`] rule out prints `skipped: …`, and
/// how many those are has to be said, so that none is left out unnoticed:
/// `transport_conformance!(MyHarness, skipped = 2)`. For two transports in one file, put each call
/// into a module.
///
/// The crate's documentation has a whole example.
#[macro_export]
macro_rules! transport_conformance {
    ($harness:expr $(,)?) => {
        $crate::transport_conformance!($harness, skipped = 0);
    };
    ($harness:expr, skipped = $skipped:expr $(,)?) => {
        $crate::__transport_cases!(tests[$harness][$skipped]);
    };
}

/// The one list of cases, with the capabilities that each needs.
#[doc(hidden)]
#[macro_export]
macro_rules! __transport_cases {
    ($form:ident [$harness:expr] [$($more:expr)?]) => {
        $crate::__transport_cases! {
            @$form [$harness] [$($more)?]
            the_opening_comes_first_and_at_once [Opening]
            events_come_in_order_each_once []
            a_batch_is_flushed_at_once []
            a_batch_is_one_write [OneWrite]
            a_large_event_arrives_whole []
            text_arrives_as_published []
            binary_arrives_as_published [Binary]
            json_arrives_as_published [Json]
            a_gap_stands_in_its_place []
            every_reason_of_a_gap_is_told [Gaps Ids]
            a_resume_brings_exactly_the_rest [Ids]
            a_cut_at_any_byte_loses_and_doubles_nothing [Ids]
            a_cut_at_any_byte_of_a_gap_leaves_nothing_untold [Ids Gaps]
            a_stalled_reader_is_bounded_and_finds_a_gap []
            idle_connections_give_signs_of_life [Heartbeats]
            a_quiet_reader_is_told_newer_positions [Heartbeats Ids]
            the_end_closes_the_connection []
            the_end_is_told_with_its_reason [Ends]
            a_completed_channel_is_told_in_its_place [Completions]
            a_peer_that_is_gone_ends_the_session []
            a_peer_gone_during_a_write_ends_the_session []
            a_failed_write_ends_the_session []
            a_dropped_connection_drops_its_session []
            short_writes_change_nothing []
            pauses_at_every_byte_change_nothing []
        }
    };
    (@report [$harness:expr] [] $($case:ident [$($need:ident)*])*) => {
        vec![$((
            stringify!($case),
            judge($harness, &[$(Capability::$need),*], cases::$case),
        )),*]
    };
    (@tests [$harness:expr] [$skipped:expr] $($case:ident [$($need:ident)*])*) => {
        $(
            #[test]
            fn $case() {
                use $crate::transport::Capability;
                let needs: &[Capability] = &[$(Capability::$need),*];
                let case = $crate::transport::cases::$case;
                $crate::transport::judge(&$harness, needs, case).conclude(stringify!($case));
            }
        )*

        #[test]
        fn no_more_cases_are_skipped_than_expected() {
            use $crate::transport::Capability;
            let needs: &[(&str, &[Capability])] =
                &[$((stringify!($case), &[$(Capability::$need),*])),*];
            let skipped = $crate::transport::count_skipped(&$harness, needs);
            assert_eq!(skipped, $skipped, "cases skipped, and said to be");
        }
    };
}
