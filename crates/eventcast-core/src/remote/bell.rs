//! Waiting for something that is told to all who wait.

use std::future::poll_fn;
use std::task::{Poll, Waker};

use crate::sync::Mutex;

/// Wakes all who wait when it is rung.
#[derive(Debug, Default)]
pub(crate) struct Bell(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    rung: u64,
    wakers: Vec<Waker>,
}

impl Bell {
    pub(crate) fn ring(&self) {
        let wakers = {
            let mut state = self.0.lock();
            state.rung += 1;
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// How often it was rung.
    pub(crate) fn count(&self) -> u64 {
        self.0.lock().rung
    }

    /// Asks `look`, with how often it was rung, now and each time it is rung. What `look` looks at
    /// has to change before the bell is rung; then no change is missed.
    pub(crate) async fn until<T>(&self, mut look: impl FnMut(u64) -> Option<T>) -> T {
        poll_fn(|cx| {
            let mut state = self.0.lock();
            if let Some(seen) = look(state.rung) {
                return Poll::Ready(seen);
            }
            if !state.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.wakers.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }
}
