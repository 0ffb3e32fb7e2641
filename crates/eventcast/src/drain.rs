//! Draining: every session ends at a moment of its own.

use std::time::Duration;

use eventcast_core::{End, SessionHandle};
use tokio::time::{Instant, sleep_until};

use crate::service::EventService;
use crate::spread::Chance;
use crate::trace;

impl EventService {
    /// Sends everybody elsewhere, spread over `window`; what a rolling restart asks for. Done once
    /// no session is open.
    ///
    /// At once `GET /healthz` is answered with 503, and new sessions are refused: an event stream,
    /// a stream or a poll is answered with [`End::Draining`], a WebSocket with a 503. Publishing and
    /// history go on. Each open session ends as [`End::Draining`] at a moment of its own, the
    /// moments being even over the window and the order random, and is told to come back after the
    /// service's [retry](crate::ServiceConfig::with_retry), between half and one and a half times
    /// it. A window of zero ends all of them now.
    ///
    /// A [`Server`](crate::Server) that serves this drains with it, and then ends; so one call ends
    /// all servers of a service. It waits no longer than the window and its
    /// [grace](crate::ServerConfig::with_shutdown_grace).
    ///
    /// It cannot be taken back. A second call changes nothing unless its window is over earlier:
    /// then the sessions that are left end within that.
    ///
    /// A window that is shorter than the load balancer's checks need brings clients back to a
    /// server that refuses them; a long one only holds up the restart.
    ///
    /// # Panics
    /// Outside a tokio runtime, unless the window is zero.
    ///
    /// # Cancel safety
    /// The drain begins with the call. The future only watches: dropping it changes nothing.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use eventcast::{EventService, Hub, ServiceConfig};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let service = EventService::new(Hub::new(), ServiceConfig::new());
    /// service.drain(Duration::from_secs(10)).await;
    /// # }
    /// ```
    pub fn drain(&self, window: Duration) -> impl Future<Output = ()> + Send + use<> {
        let shared = self.shared();
        let window = window.min(LONGEST);
        let begin = Instant::now();
        if let Some(sessions) = shared.registry.begin_drain(begin + window) {
            shared.figures.draining();
            trace::draining(window, sessions.len());
            let pace = Pace {
                sessions,
                begin,
                window,
                retry: shared.config.retry,
            };
            if window.is_zero() {
                pace.end_now();
            } else {
                tokio::spawn(pace.end_in_step());
            }
        }
        let service = self.clone();
        async move { service.sessions_ended().await }
    }
}

struct Pace {
    sessions: Vec<SessionHandle>,
    begin: Instant,
    window: Duration,
    retry: Duration,
}

impl Pace {
    fn end_now(self) {
        let mut chance = Chance::new();
        for session in self.sessions {
            session.end(end(&mut chance, self.retry));
        }
    }

    /// The window has as many parts as there are sessions: each ends somewhere in its own.
    async fn end_in_step(mut self) {
        let mut chance = Chance::new();
        let count = self.sessions.len() as f64;
        self.sessions.sort_by_cached_key(|_| chance.next());
        for (index, session) in self.sessions.into_iter().enumerate() {
            let share = (index as f64 + chance.share()) / count;
            let moment = self.begin + self.window.mul_f64(share.min(1.0));
            if moment > Instant::now() {
                sleep_until(moment).await;
            }
            session.end(end(&mut chance, self.retry));
        }
    }
}

fn end(chance: &mut Chance, retry: Duration) -> End {
    End::Draining {
        retry: Some(chance.around(retry)),
    }
}

/// What an instant can be moved on by without overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
