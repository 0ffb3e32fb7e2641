//! The conformance kit for logs: what every [`Backplane`](eventcast_core::Backplane) has to do.
//!
//! [`backplane_conformance!`](crate::backplane_conformance) makes one test a case; [`report`] runs
//! them all; each is a function of its own in [`cases`]. A [`Harness`] opens the logs.

pub mod cases;
mod harness;
mod ledger;
mod node;
mod pages;
mod stage;

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

pub use harness::{Failure, Harness, Log, Need, Restart};
pub use stage::Stage;

use crate::verdict::Verdict;

/// Runs one case on a runtime of its own, of two threads and real time, unless the log lacks what
/// it needs. One that does not end within [`Harness::time_limit`] fails.
///
/// # Panics
/// Inside an async runtime.
pub fn judge<F, C>(harness: &Arc<dyn Harness>, needs: &[Need], case: C) -> Verdict
where
    C: FnOnce(Stage) -> F + Send + 'static,
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    if let Some(reason) = harness::ruled_out(&**harness, needs) {
        return Verdict::Skipped(reason);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("two threads can be started");
    let limit = harness.time_limit();
    let harness = Arc::clone(harness);
    let verdict = Verdict::of(|| {
        let case = runtime.spawn(async move { case(Stage::open(harness).await?).await });
        match runtime.block_on(async { tokio::time::timeout(limit, case).await }) {
            Err(_) => Err(format!("it does not end within {limit:?}")),
            Ok(Ok(verdict)) => verdict,
            Ok(Err(error)) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => Err("it was cancelled".to_owned()),
            },
        }
    });
    // What hangs must not hang the verdict.
    runtime.shutdown_timeout(Duration::from_secs(1));
    verdict
}

/// Runs every case and tells each one's verdict, for who wants no test a case.
///
/// # Panics
/// Inside an async runtime.
#[must_use]
pub fn report(harness: &Arc<dyn Harness>) -> Vec<(&'static str, Verdict)> {
    crate::__backplane_cases!(report [harness] [])
}

/// Prints and counts the cases that a log cannot be asked.
#[doc(hidden)]
#[allow(
    clippy::print_stdout,
    reason = "skipped cases are told to who runs the tests"
)]
pub fn count_skipped(harness: &dyn Harness, needs: &[(&str, &[Need])]) -> usize {
    let mut count = 0;
    for (case, needs) in needs {
        if let Some(reason) = harness::ruled_out(harness, needs) {
            println!("skipped: {case}: {reason}");
            count += 1;
        }
    }
    println!("{count} of {} cases skipped", needs.len());
    count
}

/// Makes one `#[test]` of each case that a log has to pass, named for what it proves.
///
/// It takes a [`Harness`]. A case that the log's capabilities rule out prints `skipped: …`, and
/// how many those are has to be said, so that none is left out unnoticed:
/// `backplane_conformance!(MyHarness, skipped = 2)`. For two logs in one file, put each call into a
/// module.
///
/// The crate's documentation has a whole example.
#[macro_export]
macro_rules! backplane_conformance {
    ($harness:expr $(,)?) => {
        $crate::backplane_conformance!($harness, skipped = 0);
    };
    ($harness:expr, skipped = $skipped:expr $(,)?) => {
        $crate::__backplane_cases!(tests[$harness][$skipped]);
    };
}

/// The one list of cases, with what each needs.
#[doc(hidden)]
#[macro_export]
macro_rules! __backplane_cases {
    ($form:ident [$harness:expr] [$($more:expr)?]) => {
        $crate::__backplane_cases! {
            @$form [$harness] [$($more)?]
            a_new_log_is_empty []
            ids_increase_over_channels []
            ids_increase_over_nodes [Shared]
            a_batch_lies_together []
            a_refused_batch_stores_nothing [Limited]
            times_never_go_back []
            what_is_published_comes_back_equal []
            a_dropped_append_is_stored_whole_or_not []
            the_sink_is_given_every_record_once_in_order []
            the_sink_is_given_the_records_of_other_nodes [Shared]
            what_is_seen_is_stored []
            attaching_joins_pages_and_sink_exactly []
            want_tells_from_where_all_is_given []
            closing_lets_go_of_the_sink []
            broadcasts_reach_the_other_nodes_only [Shared]
            pages_forwards_are_exact []
            pages_backwards_are_exact []
            pages_hold_what_was_acknowledged []
            pages_are_bounded_by_bytes []
            pages_are_of_one_channel []
            an_unknown_channel_is_empty []
            channels_are_listed_by_prefix_and_sequence []
            facts_tell_the_last_sequence []
            a_completion_is_a_record_and_a_fact []
            a_completed_channel_takes_nothing []
            retention_by_count_is_told [Retains]
            retention_by_bytes_is_told [Retains]
            retention_by_age_is_told [Retains]
            trimming_one_channel_leaves_the_others [Retains]
            a_key_is_stored_once [Deduplicates]
            a_key_counts_in_its_channel_only [Deduplicates]
            keys_count_within_and_over_batches [Deduplicates]
            a_key_published_at_once_is_stored_once [Deduplicates]
            a_key_is_known_to_other_nodes [Deduplicates Shared]
            a_retry_after_a_dropped_append_is_stored_once [Deduplicates]
            a_clean_restart_keeps_all [Durable]
            a_kill_loses_nothing_acknowledged [Durable]
            no_sequence_is_given_twice_over_restarts [Durable]
            trim_marks_survive_restarts [Durable Retains]
            completions_survive_restarts [Durable]
            keys_survive_restarts [Durable Deduplicates]
        }
    };
    (@report [$harness:expr] [] $($case:ident [$($need:ident)*])*) => {
        vec![$((
            stringify!($case),
            judge($harness, &[$(Need::$need),*], cases::$case),
        )),*]
    };
    (@tests [$harness:expr] [$skipped:expr] $($case:ident [$($need:ident)*])*) => {
        $(
            #[test]
            fn $case() {
                use $crate::backplane::{Harness, Need, cases, judge};
                let needs: &[Need] = &[$(Need::$need),*];
                let harness: std::sync::Arc<dyn Harness> = std::sync::Arc::new($harness);
                judge(&harness, needs, cases::$case).conclude(stringify!($case));
            }
        )*

        #[test]
        fn no_more_cases_are_skipped_than_expected() {
            use $crate::backplane::Need;
            let needs: &[(&str, &[Need])] = &[$((stringify!($case), &[$(Need::$need),*])),*];
            let skipped = $crate::backplane::count_skipped(&$harness, needs);
            assert_eq!(skipped, $skipped, "cases skipped, and said to be");
        }
    };
}
