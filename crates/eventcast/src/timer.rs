//! Time from tokio.

use std::time::Duration;

use eventcast_core::{Sleep, Timer};

/// Waits on tokio's clock, which tests can pause.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioTimer;

impl Timer for TokioTimer {
    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(duration))
    }
}
