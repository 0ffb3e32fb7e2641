//! The sessions of one connection: one, or one for each request.

use std::fmt;
use std::sync::{Arc, Mutex};

use eventcast_core::{End, Hub, Session, SessionHandle};

/// Opens the sessions of a client that asks again and again, as a server does at each request; see
/// [`Harness::serve_requests`](super::Harness::serve_requests).
#[derive(Clone)]
pub struct Sessions {
    hub: Hub,
    channels: Vec<String>,
    resumes_at: Option<String>,
    current: Arc<Mutex<SessionHandle>>,
    end_all: Arc<Mutex<Option<EndAll>>>,
}

/// Ends the sessions of a server that opens its own.
type EndAll = Box<dyn Fn(End) + Send>;

/// A session, and how those after it are opened.
pub(super) struct Seat {
    pub(super) session: Session,
    pub(super) sessions: Sessions,
}

impl Sessions {
    /// A session of the same channels that resumes with the id.
    ///
    /// # Panics
    /// When the hub has no room for it, which no case of the kit brings about.
    #[must_use]
    pub fn resume(&self, id: &str) -> Session {
        let builder = self.hub.session().resume(id);
        let names = self.channels.iter().map(String::as_str);
        let builder = names.fold(builder, |builder, name| builder.channel(name));
        let session = builder.open().expect("the kit's hubs have room");
        *self.current.lock().expect(UNPOISONED) = session.handle();
        session
    }

    /// The hub that sessions are of.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The channels of each session.
    #[must_use]
    pub fn channels(&self) -> &[String] {
        &self.channels
    }

    /// The id that the first session goes on from; `None` for one that begins with all that is
    /// retained.
    #[must_use]
    pub fn resumes_at(&self) -> Option<&str> {
        self.resumes_at.as_deref()
    }

    /// For servers that [open their sessions](super::Harness::opens_sessions): how to end them.
    ///
    /// # Panics
    /// When another thread panicked while it ended them.
    pub fn end_with(&self, end_all: impl Fn(End) + Send + 'static) {
        *self.end_all.lock().expect(UNPOISONED) = Some(Box::new(end_all));
    }

    /// Ends the session that is open now.
    pub(super) fn end(&self, end: End) {
        if let Some(end_all) = &*self.end_all.lock().expect(UNPOISONED) {
            return end_all(end);
        }
        self.current.lock().expect(UNPOISONED).end(end);
    }
}

impl Seat {
    pub(super) fn new(
        hub: &Hub,
        channels: &[&str],
        session: Session,
        resumes_at: Option<String>,
    ) -> Self {
        let sessions = Sessions {
            hub: hub.clone(),
            channels: channels.iter().map(|name| (*name).to_owned()).collect(),
            resumes_at,
            current: Arc::new(Mutex::new(session.handle())),
            end_all: Arc::default(),
        };
        Self { session, sessions }
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("channels", &self.channels)
            .finish_non_exhaustive()
    }
}

const UNPOISONED: &str = "no holder of the lock panics";
