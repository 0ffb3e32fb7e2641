//! Every case of the kit for logs fails a log that has the flaw it is made for.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use eventcast_core::{
    Append, AppendError, Attached, Backplane, BackplaneError, Body, Capabilities, ChannelFacts,
    ChannelName, Durability, Event, Lineage, Page, PageQuery, Position, Record, ReplayStore, Sink,
    Timestamp,
};
use eventcast_testkit::backplane::{Failure, Harness, Log, Restart, cases, judge, report};
use eventcast_testkit::{MemoryLog, MemoryNode};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    Doubles,
    Reorders,
    Loses,
    SkipsOthers,
    LosesAtSeam,
    DoublesAtSeam,
    ForgetsTrim,
    TrimsSilently,
    HalfBatches,
    SplitsBatches,
    IgnoresKeys,
    KeysOverChannels,
    ReusesSequences,
    ForgetsAtKill,
    ForksAtRestart,
    DropsNames,
    BackwardsIsForwards,
    AlwaysComplete,
    LimitIgnored,
    BytesIgnored,
    PrefixIgnored,
    NoCompletionFact,
    OpenAfterCompletion,
    EchoesBroadcasts,
    KeepsSink,
    Hangs,
    OneIdForAll,
    TimesGoBack,
    StalePages,
    FoldsNames,
    FactsBehind,
}

struct BrokenHarness(Flaw);

struct BrokenLog {
    flaw: Flaw,
    log: Arc<Mutex<MemoryLog>>,
}

#[derive(Debug)]
struct Broken {
    flaw: Flaw,
    node: Arc<MemoryNode>,
    kept: Mutex<Option<Arc<dyn Sink>>>,
}

#[derive(Debug)]
struct BrokenSink {
    flaw: Flaw,
    sink: Arc<dyn Sink>,
    count: AtomicU64,
    held: Mutex<Option<Record>>,
}

fn capabilities() -> Capabilities {
    Capabilities::new(Durability::Process)
        .shared()
        .deduplicating(Duration::from_secs(60))
}

#[async_trait::async_trait]
impl Harness for BrokenHarness {
    fn capabilities(&self) -> Capabilities {
        capabilities()
    }

    async fn log(&self) -> Result<Box<dyn Log>, Failure> {
        let log = MemoryLog::with_capabilities(capabilities());
        Ok(Box::new(BrokenLog {
            flaw: self.0,
            log: Arc::new(Mutex::new(log)),
        }))
    }

    fn refused_payload(&self) -> Option<usize> {
        Some(4 << 20)
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(if self.0 == Flaw::None { 10_000 } else { 500 })
    }

    fn time_limit(&self) -> Duration {
        Duration::from_secs(10)
    }
}

#[async_trait::async_trait]
impl Log for BrokenLog {
    async fn node(&self) -> Result<Arc<dyn Backplane>, Failure> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::new(Broken {
            flaw: self.flaw,
            node: log.node(),
            kept: Mutex::new(None),
        }))
    }

    async fn restart(&self, how: Restart) -> Result<(), Failure> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        match self.flaw {
            Flaw::ReusesSequences => *log = MemoryLog::with_capabilities(capabilities()),
            Flaw::ForgetsAtKill if how == Restart::Kill => drop(log.fork(200)),
            Flaw::ForksAtRestart => drop(log.fork(0)),
            _ => {}
        }
        Ok(())
    }
}

impl Broken {
    fn folded(&self, channel: &ChannelName) -> ChannelName {
        if self.flaw == Flaw::FoldsNames {
            let folded = channel.as_str().trim().to_lowercase();
            return ChannelName::new(&folded).expect("a valid name");
        }
        channel.clone()
    }

    async fn store(&self, mut append: Append) -> Result<Vec<Position>, AppendError> {
        let large = |body: &Body| match body {
            Body::Event(event) => event.payload().len() >= 4 << 20,
            Body::Completion(_) => false,
        };
        if let Some(at) = append.bodies.iter().position(large) {
            if self.flaw == Flaw::HalfBatches && at > 0 {
                append.bodies.truncate(at);
                self.node.append(append).await?;
            }
            return Err(AppendError::TooLarge { limit: 4 << 20 });
        }
        for body in &mut append.bodies {
            if let Body::Event(event) = body
                && (self.flaw == Flaw::IgnoresKeys && event.idempotency_key().is_some()
                    || self.flaw == Flaw::DropsNames && event.name().is_some())
            {
                *event = Event::new(event.payload().clone());
            }
        }
        if self.flaw == Flaw::SplitsBatches {
            let mut positions = Vec::new();
            for body in append.bodies.clone() {
                let one = Append {
                    bodies: vec![body],
                    ..append.clone()
                };
                positions.extend(self.node.append(one).await?);
                tokio::task::yield_now().await;
            }
            return Ok(positions);
        }
        self.node.append(append).await
    }
}

#[async_trait::async_trait]
impl ReplayStore for Broken {
    async fn page(
        &self,
        channel: &ChannelName,
        mut query: PageQuery,
    ) -> Result<Page, BackplaneError> {
        match self.flaw {
            Flaw::BackwardsIsForwards => query.backwards = false,
            Flaw::LimitIgnored => query.limit = usize::MAX,
            Flaw::BytesIgnored => query.bytes = usize::MAX,
            Flaw::StalePages => query.until = query.until.min(self.node.log().last() - 1),
            _ => {}
        }
        let mut page = self.node.page(&self.folded(channel), query).await?;
        match self.flaw {
            Flaw::ForgetsTrim => page.trim_mark = 0,
            Flaw::AlwaysComplete => page.complete = true,
            Flaw::TrimsSilently if page.records.len() > 3 && !query.backwards => {
                page.records.remove(0);
            }
            _ => {}
        }
        Ok(page)
    }

    async fn facts(&self, channel: &ChannelName) -> Result<ChannelFacts, BackplaneError> {
        let mut facts = self.node.facts(channel).await?;
        match self.flaw {
            Flaw::NoCompletionFact => facts.completion = None,
            Flaw::FactsBehind => facts.last = facts.last.saturating_sub(1),
            _ => {}
        }
        Ok(facts)
    }

    async fn channels(
        &self,
        prefix: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<ChannelName>, BackplaneError> {
        let prefix = if self.flaw == Flaw::PrefixIgnored {
            ""
        } else {
            prefix
        };
        self.node.channels(prefix, after, limit).await
    }
}

#[async_trait::async_trait]
impl Backplane for Broken {
    fn capabilities(&self) -> Capabilities {
        capabilities()
    }

    async fn attach(&self, sink: Arc<dyn Sink>) -> Result<Attached, BackplaneError> {
        let broken = Arc::new(BrokenSink {
            flaw: self.flaw,
            sink: Arc::clone(&sink),
            count: AtomicU64::new(0),
            held: Mutex::new(None),
        });
        let mut attached = self.node.attach(broken).await?;
        match self.flaw {
            Flaw::LosesAtSeam => attached.committed = attached.committed.saturating_sub(1),
            Flaw::DoublesAtSeam => attached.committed += 1,
            Flaw::KeepsSink => {
                *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(sink);
            }
            _ => {}
        }
        Ok(attached)
    }

    async fn append(&self, mut append: Append) -> Result<Vec<Position>, AppendError> {
        match self.flaw {
            Flaw::Hangs => return std::future::pending().await,
            Flaw::OpenAfterCompletion => match self.store(append).await {
                Err(AppendError::Completed) => Ok(vec![self.node.log().lineage().position(1)]),
                other => other,
            },
            Flaw::OneIdForAll => {
                let count = self.store(append).await?.len();
                Ok(vec![self.node.log().lineage().position(1); count])
            }
            Flaw::FoldsNames => {
                append.channel = self.folded(&append.channel);
                self.store(append).await
            }
            Flaw::KeysOverChannels if append.bodies[0].idempotency_key().is_some() => {
                append.channel = ChannelName::new("a").expect("a valid name");
                self.store(append).await
            }
            _ => self.store(append).await,
        }
    }

    async fn want(&self, channel: &ChannelName, wanted: bool) -> Result<u64, BackplaneError> {
        self.node.want(channel, wanted).await
    }

    async fn broadcast(&self, message: Bytes) -> Result<(), BackplaneError> {
        if self.flaw == Flaw::EchoesBroadcasts {
            return self.node.log().node().broadcast(message).await;
        }
        self.node.broadcast(message).await
    }

    async fn maintain(&self, now: Timestamp) -> Result<(), BackplaneError> {
        self.node.maintain(now).await
    }

    async fn close(&self) -> Result<(), BackplaneError> {
        self.node.close().await
    }
}

impl Sink for BrokenSink {
    fn record(&self, mut record: Record) {
        if self.flaw == Flaw::TimesGoBack {
            let later = u64::MAX / 2 - record.position.sequence();
            record.time = Timestamp::from_millis(later);
        }
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let seventh = count.is_multiple_of(7);
        match self.flaw {
            Flaw::Loses if seventh => {}
            Flaw::SkipsOthers if record.position.sequence().is_multiple_of(2) => {}
            Flaw::Doubles if seventh => {
                self.sink.record(record.clone());
                self.sink.record(record);
            }
            Flaw::Reorders => {
                let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
                if seventh {
                    *held = Some(record);
                } else {
                    self.sink.record(record);
                    if let Some(record) = held.take() {
                        self.sink.record(record);
                    }
                }
            }
            _ => self.sink.record(record),
        }
    }

    fn watermark(&self, sequence: u64) {
        self.sink.watermark(sequence);
    }

    fn stalled(&self) {
        self.sink.stalled();
    }

    fn recovered(&self) {
        self.sink.recovered();
    }

    fn skipped(&self, sequence: u64) {
        self.sink.skipped(sequence);
    }

    fn forked(&self, lineage: Lineage) {
        self.sink.forked(lineage);
    }

    fn message(&self, message: Bytes) {
        self.sink.message(message);
    }
}

/// One test a flaw: the case made for it fails.
macro_rules! caught {
    ($($test:ident: $flaw:ident by $case:ident;)*) => {
        $(
            #[test]
            fn $test() {
                let harness: Arc<dyn Harness> = Arc::new(BrokenHarness(Flaw::$flaw));
                let verdict = judge(&harness, &[], cases::$case);
                println!("{verdict}");
                assert!(verdict.is_failed(), "{} gets by: {verdict}", stringify!($flaw));
            }
        )*

        const CAUGHT: &[&str] = &[$(stringify!($case)),*];
    };
}

caught! {
    doubles: Doubles by the_sink_is_given_every_record_once_in_order;
    reorders: Reorders by the_sink_is_given_every_record_once_in_order;
    loses: Loses by the_sink_is_given_every_record_once_in_order;
    skips_others: SkipsOthers by the_sink_is_given_the_records_of_other_nodes;
    loses_at_the_seam: LosesAtSeam by attaching_joins_pages_and_sink_exactly;
    doubles_at_the_seam: DoublesAtSeam by attaching_joins_pages_and_sink_exactly;
    forgets_trim: ForgetsTrim by retention_by_count_is_told;
    forgets_trim_by_age: ForgetsTrim by retention_by_age_is_told;
    trims_silently: TrimsSilently by retention_by_bytes_is_told;
    trims_others: TrimsSilently by trimming_one_channel_leaves_the_others;
    forgets_trim_over_restarts: ForgetsTrim by trim_marks_survive_restarts;
    half_batches: HalfBatches by a_refused_batch_stores_nothing;
    splits_batches: SplitsBatches by a_batch_lies_together;
    ignores_keys: IgnoresKeys by a_key_is_stored_once;
    ignores_keys_at_once: IgnoresKeys by a_key_published_at_once_is_stored_once;
    ignores_keys_in_batches: IgnoresKeys by keys_count_within_and_over_batches;
    ignores_keys_of_retries: IgnoresKeys by a_retry_after_a_dropped_append_is_stored_once;
    keys_over_channels: KeysOverChannels by a_key_counts_in_its_channel_only;
    reuses_sequences: ReusesSequences by no_sequence_is_given_twice_over_restarts;
    forgets_keys: ReusesSequences by keys_survive_restarts;
    forgets_completions: ReusesSequences by completions_survive_restarts;
    forgets_at_a_kill: ForgetsAtKill by a_kill_loses_nothing_acknowledged;
    forks_at_a_restart: ForksAtRestart by a_clean_restart_keeps_all;
    drops_names: DropsNames by what_is_published_comes_back_equal;
    backwards_is_forwards: BackwardsIsForwards by pages_backwards_are_exact;
    always_complete: AlwaysComplete by pages_forwards_are_exact;
    limit_ignored: LimitIgnored by pages_forwards_are_exact;
    bytes_ignored: BytesIgnored by pages_are_bounded_by_bytes;
    prefix_ignored: PrefixIgnored by channels_are_listed_by_prefix_and_sequence;
    no_completion_fact: NoCompletionFact by a_completion_is_a_record_and_a_fact;
    open_after_completion: OpenAfterCompletion by a_completed_channel_takes_nothing;
    echoes_broadcasts: EchoesBroadcasts by broadcasts_reach_the_other_nodes_only;
    keeps_its_sink: KeepsSink by closing_lets_go_of_the_sink;
    hangs: Hangs by a_new_log_is_empty;
    one_id_for_all: OneIdForAll by ids_increase_over_channels;
    one_id_for_all_nodes: OneIdForAll by ids_increase_over_nodes;
    times_go_back: TimesGoBack by times_never_go_back;
    splits_dropped_batches: SplitsBatches by a_dropped_append_is_stored_whole_or_not;
    seen_before_stored: StalePages by what_is_seen_is_stored;
    stale_pages: StalePages by pages_hold_what_was_acknowledged;
    loses_what_is_wanted: Loses by want_tells_from_where_all_is_given;
    folds_names: FoldsNames by pages_are_of_one_channel;
    finds_other_names: FoldsNames by an_unknown_channel_is_empty;
    facts_behind: FactsBehind by facts_tell_the_last_sequence;
    ignores_keys_over_nodes: IgnoresKeys by a_key_is_known_to_other_nodes;
}

#[test]
fn every_case_has_a_flaw_that_it_catches() {
    let sound: Arc<dyn Harness> = Arc::new(BrokenHarness(Flaw::None));
    let report = report(&sound);
    for (case, verdict) in &report {
        assert!(verdict.is_passed(), "{case}: {verdict}");
    }
    let cases: BTreeSet<_> = report.into_iter().map(|(case, _)| case).collect();
    assert_eq!(cases, CAUGHT.iter().copied().collect());
}
