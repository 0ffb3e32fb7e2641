//! The conformance kit for replay buffers.
//!
//! [`replay_conformance!`](crate::replay_conformance) makes one test a case; [`report`] runs them
//! all; each is a function of its own in [`cases`].

pub mod cases;
mod events;
mod hub;
mod model;

use eventcast_core::ReplayBuffer;

use crate::verdict::Verdict;

/// Makes empty buffers: a closure such as `|| MyBuffer::default()`.
pub trait Factory: Clone + Send + Sync + 'static {
    /// What it makes.
    type Buffer: ReplayBuffer + 'static;

    /// A new, empty buffer.
    fn make(&self) -> Self::Buffer;
}

impl<F, B> Factory for F
where
    F: Fn() -> B + Clone + Send + Sync + 'static,
    B: ReplayBuffer + 'static,
{
    type Buffer = B;

    fn make(&self) -> B {
        self()
    }
}

/// Runs every case and tells each one's verdict, for who wants no test a case.
///
/// ```
/// use eventcast_core::MemoryBuffer;
/// use eventcast_testkit::replay;
///
/// let report = replay::report(&MemoryBuffer::default);
/// assert!(report.iter().all(|(_, verdict)| verdict.is_passed()), "{report:?}");
/// ```
pub fn report<F: Factory>(factory: &F) -> Vec<(&'static str, Verdict)> {
    crate::__replay_cases!(report factory)
}

/// Makes one `#[test]` of each case that a [`ReplayBuffer`] has to
/// pass, named for what it proves.
///
/// It takes what makes an empty buffer. For two buffers in one file, put each call into a module.
///
/// ```
/// use eventcast_core::MemoryBuffer;
///
/// eventcast_testkit::replay_conformance!(|| MemoryBuffer::default());
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! replay_conformance {
    ($factory:expr $(,)?) => {
        $crate::__replay_cases!(tests $factory);
    };
}

/// The one list of cases, for [`report`] and [`replay_conformance!`](crate::replay_conformance).
#[doc(hidden)]
#[macro_export]
macro_rules! __replay_cases {
    ($form:ident $argument:expr) => {
        $crate::__replay_cases! {
            @$form [$argument]
            events_come_back_in_the_order_of_their_pushes
            get_0_is_the_oldest_and_get_len_is_none
            pop_removes_the_oldest_and_the_others_move_down
            rank_agrees_with_a_linear_scan
            nothing_is_lost_but_by_pop
            reading_changes_nothing
            a_popped_event_is_let_go
            a_drained_buffer_takes_events_again
            buffers_of_one_factory_share_nothing
            random_pushes_and_pops_agree_with_a_model
            a_hub_resumes_after_an_id
            a_hub_tells_what_was_trimmed
        }
    };
    (@report [$factory:expr] $($case:ident)*) => {
        vec![$((stringify!($case), Verdict::of(|| cases::$case($factory)))),*]
    };
    (@tests [$factory:expr] $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                let result = $crate::replay::cases::$case(&$factory);
                result.unwrap_or_else(|found| panic!("{found}"));
            }
        )*
    };
}
