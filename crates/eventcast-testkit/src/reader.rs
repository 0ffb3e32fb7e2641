//! Reading a session without a runtime.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use eventcast_core::{BatchLimits, Delivery, Session};

/// All that a session has right now.
///
/// # Panics
/// When the session is ready with nothing although it has not ended.
pub fn drain(session: &mut Session) -> Vec<Delivery> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut all = Vec::new();
    loop {
        let before = all.len();
        if session
            .poll_batch(&mut cx, BatchLimits::default(), &mut all)
            .is_pending()
        {
            return all;
        }
        if matches!(all.last(), Some(Delivery::End(_))) {
            return all;
        }
        assert!(all.len() > before, "a session was ready with nothing");
    }
}

/// Polls a future once; `None` when it is pending.
pub fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut cx) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
