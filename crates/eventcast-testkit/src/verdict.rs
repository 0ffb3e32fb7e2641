//! What became of a case.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What became of a case of a conformance kit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The implementation does not keep its contract: what was found.
    Failed(String),
    /// It keeps this part of the contract.
    Passed,
    /// Its capabilities rule the case out: which one it lacks.
    Skipped(String),
}

impl Verdict {
    /// Whether the case failed.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        matches!(self, Self::Failed(_))
    }

    /// Whether the case passed.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        matches!(self, Self::Passed)
    }

    /// Whether the case was skipped.
    #[must_use]
    pub fn is_skipped(&self) -> bool {
        matches!(self, Self::Skipped(_))
    }

    /// Runs a case; a panic of the implementation fails it.
    pub fn of(case: impl FnOnce() -> Result<(), String>) -> Self {
        // What a panic may leave half done is not looked at again.
        match catch_unwind(AssertUnwindSafe(case)) {
            Ok(Ok(())) => Self::Passed,
            Ok(Err(found)) => Self::Failed(found),
            Err(panic) => Self::Failed(format!("it panics: {}", panic_message(&*panic))),
        }
    }

    /// Ends a test with the verdict: a failure panics, a skip is printed.
    ///
    /// # Panics
    /// When the case failed.
    #[allow(
        clippy::print_stdout,
        reason = "a skipped case is told to who runs the tests"
    )]
    pub fn conclude(self, case: &str) {
        match self {
            Self::Failed(found) => panic!("{case}: {found}"),
            Self::Passed => {}
            Self::Skipped(reason) => println!("skipped: {case}: {reason}"),
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(found) => write!(f, "failed: {found}"),
            Self::Passed => f.write_str("passed"),
            Self::Skipped(reason) => write!(f, "skipped: {reason}"),
        }
    }
}

/// Fails the case with a message unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}
pub(crate) use ensure;
