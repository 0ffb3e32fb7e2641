//! Every case for replay buffers fails a buffer that has the flaw it is made for.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use eventcast_core::{ReplayBuffer, StoredEvent};
use eventcast_testkit::Verdict;
use eventcast_testkit::replay::{cases, report};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    /// Every fifth push vanishes.
    LosesOnPush,
    /// It never holds more than a thousand.
    Evicts,
    PopsNewest,
    /// `pop` hands the oldest out and leaves it where it is, last.
    Rotates,
    RankOneTooHigh,
    /// `rank` counts the event itself as after it.
    RankExclusive,
    /// Each event goes before the one pushed last.
    Reorders,
    /// Past the end comes the newest again.
    GetsPastTheEnd,
    /// What was read is gone.
    ReadsOnce,
    KeepsPopped,
    /// Once drained it takes nothing.
    StaysDrained,
    /// All buffers are one.
    Shares,
    /// A ring that forgets its newest at every hundredth pop.
    SlipsNowAndThen,
}

#[derive(Debug)]
struct Broken {
    flaw: Flaw,
    events: Arc<Mutex<VecDeque<Arc<StoredEvent>>>>,
    popped: Vec<Arc<StoredEvent>>,
    pushes: usize,
    pops: usize,
}

impl Broken {
    fn new(flaw: Flaw, shared: &Arc<Mutex<VecDeque<Arc<StoredEvent>>>>) -> Self {
        let events = match flaw {
            Flaw::Shares => Arc::clone(shared),
            _ => Arc::default(),
        };
        Self {
            flaw,
            events,
            popped: Vec::new(),
            pushes: 0,
            pops: 0,
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut VecDeque<Arc<StoredEvent>>) -> T) -> T {
        act(&mut self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ReplayBuffer for Broken {
    fn push(&mut self, event: Arc<StoredEvent>) {
        self.pushes += 1;
        let (flaw, pushes, pops) = (self.flaw, self.pushes, self.pops);
        self.with(|events| match flaw {
            Flaw::LosesOnPush if pushes.is_multiple_of(5) => {}
            Flaw::StaysDrained if pops > 0 && events.is_empty() => {}
            Flaw::Evicts if events.len() == 1_000 => {
                events.pop_front();
                events.push_back(event);
            }
            Flaw::Reorders if !events.is_empty() => events.insert(events.len() - 1, event),
            _ => events.push_back(event),
        });
    }

    fn pop(&mut self) -> Option<Arc<StoredEvent>> {
        self.pops += 1;
        let (flaw, pops) = (self.flaw, self.pops);
        let popped = self.with(|events| match flaw {
            Flaw::PopsNewest => events.pop_back(),
            Flaw::Rotates if events.len() > 1 => {
                events.rotate_left(1);
                events.back().cloned()
            }
            Flaw::SlipsNowAndThen if pops.is_multiple_of(400) => {
                events.pop_back();
                events.pop_front()
            }
            _ => events.pop_front(),
        });
        if flaw == Flaw::KeepsPopped {
            self.popped.extend(popped.clone());
        }
        popped
    }

    fn get(&self, index: usize) -> Option<Arc<StoredEvent>> {
        let flaw = self.flaw;
        self.with(|events| match flaw {
            Flaw::GetsPastTheEnd => events.get(index).or_else(|| events.back()).cloned(),
            Flaw::ReadsOnce if index == 19 => events.remove(index),
            _ => events.get(index).cloned(),
        })
    }

    fn len(&self) -> usize {
        self.with(|events| events.len())
    }

    fn rank(&self, sequence: u64) -> usize {
        let flaw = self.flaw;
        self.with(|events| {
            let rank = events.partition_point(|event| match flaw {
                Flaw::RankExclusive => event.sequence() < sequence,
                _ => event.sequence() <= sequence,
            });
            match flaw {
                Flaw::RankOneTooHigh => rank + 1,
                _ => rank,
            }
        })
    }
}

/// One test a flaw: the case made for it fails.
macro_rules! caught {
    ($($test:ident: $flaw:ident by $case:ident;)*) => {
        $(
            #[test]
            fn $test() {
                let shared = Arc::default();
                let factory = move || Broken::new(Flaw::$flaw, &shared);
                let verdict = Verdict::of(|| cases::$case(&factory));
                println!("{verdict}");
                assert!(verdict.is_failed(), "{} gets by: {verdict}", stringify!($flaw));
            }
        )*

        const CAUGHT: &[&str] = &[$(stringify!($case)),*];
    };
}

caught! {
    loses_on_push: LosesOnPush by events_come_back_in_the_order_of_their_pushes;
    reorders: Reorders by events_come_back_in_the_order_of_their_pushes;
    gets_past_the_end: GetsPastTheEnd by get_0_is_the_oldest_and_get_len_is_none;
    pops_newest: PopsNewest by pop_removes_the_oldest_and_the_others_move_down;
    rotates: Rotates by pop_removes_the_oldest_and_the_others_move_down;
    rank_one_too_high: RankOneTooHigh by rank_agrees_with_a_linear_scan;
    rank_exclusive: RankExclusive by rank_agrees_with_a_linear_scan;
    evicts: Evicts by nothing_is_lost_but_by_pop;
    reads_once: ReadsOnce by reading_changes_nothing;
    keeps_popped: KeepsPopped by a_popped_event_is_let_go;
    stays_drained: StaysDrained by a_drained_buffer_takes_events_again;
    shares: Shares by buffers_of_one_factory_share_nothing;
    slips_now_and_then: SlipsNowAndThen by random_pushes_and_pops_agree_with_a_model;
    resumes_one_too_far: RankOneTooHigh by a_hub_resumes_after_an_id;
    trims_the_newest: PopsNewest by a_hub_tells_what_was_trimmed;
}

#[test]
fn a_sound_one_passes_and_every_case_has_a_flaw_that_it_catches() {
    let shared = Arc::default();
    let report = report(&move || Broken::new(Flaw::None, &shared));
    for (case, verdict) in &report {
        assert!(verdict.is_passed(), "{case}: {verdict}");
    }
    let cases: BTreeSet<_> = report.into_iter().map(|(case, _)| case).collect();
    assert_eq!(cases, CAUGHT.iter().copied().collect());
}
