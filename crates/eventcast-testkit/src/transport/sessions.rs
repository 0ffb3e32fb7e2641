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
    current: Arc<Mutex<SessionHandle>>,
}

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

    /// Ends the session that is open now.
    pub(super) fn end(&self, end: End) {
        self.current.lock().expect(UNPOISONED).end(end);
    }
}

impl Seat {
    pub(super) fn new(hub: &Hub, channels: &[&str], session: Session) -> Self {
        let sessions = Sessions {
            hub: hub.clone(),
            channels: channels.iter().map(|name| (*name).to_owned()).collect(),
            current: Arc::new(Mutex::new(session.handle())),
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
