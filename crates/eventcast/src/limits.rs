//! How much anybody may have, and who has how much.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::clock::MonotonicClock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use http::StatusCode;

use crate::access::Permissions;
use crate::address::ClientAddress;
use crate::figures::Figures;
use crate::problem::Problem;
use crate::trace;

/// What clients may have of a service; see [`ServiceConfig::with_limits`](crate::ServiceConfig::with_limits).
///
/// Past a limit of its own a client is answered 429, past one of all clients together 503, both with
/// `Retry-After`; over a WebSocket that is open, `rate_limited`. How often that was is in
/// [`EventService::refusals`](crate::EventService::refusals). An `EventSource` gives up on either, so
/// limits are no means to pace honest clients.
///
/// ```
/// use eventcast::{Limits, ServiceConfig};
///
/// let limits = Limits::new().with_sessions(50_000).with_sessions_per_address(100);
/// let config = ServiceConfig::new().with_limits(limits);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Limits {
    pub(crate) sessions: usize,
    pub(crate) of_principal: usize,
    pub(crate) of_address: usize,
    opened: u32,
    messages: u32,
    writes: u32,
    pub(crate) query: usize,
}

impl Limits {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            sessions: 10_000,
            of_principal: 100,
            of_address: 1_000,
            opened: 10_000,
            messages: 500,
            writes: 1_000,
            query: 16 << 10,
        }
    }

    /// No limits at all: for tests, and where something in front has them.
    pub fn unlimited() -> Self {
        Self {
            sessions: usize::MAX,
            of_principal: usize::MAX,
            of_address: usize::MAX,
            opened: u32::MAX,
            messages: u32::MAX,
            writes: u32::MAX,
            query: usize::MAX,
        }
    }

    /// How many sessions may be open together, 10,000 by default: about 25 to 120 MB, as
    /// `docs/benchmarks.md` has it for each kind.
    pub fn with_sessions(mut self, sessions: usize) -> Self {
        self.sessions = sessions;
        self
    }

    /// How many of one [principal](Permissions::principal), 100 by default: tabs and devices.
    pub fn with_sessions_per_principal(mut self, sessions: usize) -> Self {
        self.of_principal = sessions;
        self
    }

    /// How many from one address, 1,000 by default. Whole offices, and phones of a carrier, share
    /// one; behind a proxy everybody does, unless it is
    /// [trusted](crate::ServiceConfig::with_trusted_proxies). The machine's own addresses
    /// (127.0.0.1, ::1) are not counted.
    pub fn with_sessions_per_address(mut self, sessions: usize) -> Self {
        self.of_address = sessions;
        self
    }

    /// How many sessions may be opened in a second, all clients together; 10,000 by default, and as
    /// many at once. A deploy without a [drain](crate::EventService::drain) brings everybody back at
    /// once. Polls count too.
    pub fn with_opened_per_second(mut self, sessions: u32) -> Self {
        self.opened = sessions;
        self
    }

    /// How many messages that have work for the server a WebSocket may send in a second, 500 by
    /// default, and as many at once.
    pub fn with_messages_per_second(mut self, messages: u32) -> Self {
        self.messages = messages;
        self
    }

    /// How many publishes, requests and changes one principal, or else one address, may make in a
    /// second, 1,000 by default, and as many at once; over all of its connections.
    pub fn with_writes_per_second(mut self, writes: u32) -> Self {
        self.writes = writes;
        self
    }

    /// How long a query may be, 16 KiB by default: room for a thousand channels. A longer one is
    /// answered 414.
    pub fn with_query(mut self, bytes: usize) -> Self {
        self.query = bytes;
        self
    }

    /// A WebSocket's own limiter, made with its first message.
    pub(crate) fn of_messages(&self) -> Rate {
        RateLimiter::direct_with_clock(quota(self.messages), MonotonicClock)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

macro_rules! refusals {
    ($($limit:ident $name:ident $help:literal)*) => {
        /// What was refused since the service was made; see
        /// [`EventService::refusals`](crate::EventService::refusals).
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Refusals {
            $(#[doc = $help] pub $name: u64,)*
        }

        impl Refusals {
            /// Each by its name, in the order of names.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }
        }

        /// What is limited.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Limit {
            $($limit),*
        }

        impl Limit {
            pub(crate) const ALL: &[Self] = &[$(Self::$limit),*];

            /// Its name in figures and logs.
            #[cfg(any(feature = "metrics", feature = "tracing"))]
            pub(crate) const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$limit => stringify!($name)),*
                }
            }
        }

        impl Gate {
            pub(crate) fn refusals(&self) -> Refusals {
                let of = |limit: Limit| self.refused[limit as usize].load(Ordering::Relaxed);
                Refusals {
                    $($name: of(Limit::$limit)),*
                }
            }
        }
    };
}

refusals! {
    Bodies bodies "Bodies and messages because they were too large."
    BodyTimeouts body_timeouts "Bodies that did not arrive in time."
    Channels channels "Subscriptions because a session would have had too many channels."
    Connections connections
        "Connections that a server closed because it had too many, or too many from an address."
    HeadTimeouts head_timeouts
        "Connections that a server closed because no request, handshake or preface arrived in time: \
         those that were kept alive for nothing, too."
    Heads heads "Heads of HTTP/1.1 that were too large; those of HTTP/2 are refused uncounted."
    Messages messages "Messages of WebSockets that sent too many."
    Opened opened "Sessions because too many were opened at once."
    Queries queries "Requests because their query was too long."
    Sessions sessions
        "Sessions because there were too many, in all or of one principal or address."
    Tickets tickets "Tickets because too many were out."
    WriteTimeouts write_timeouts
        "Connections, and streams of HTTP/2, whose client took nothing for too long."
    Writes writes
        "Publishes, requests and changes because a principal or an address sent too many."
}

const LIMITS: usize = Limit::ALL.len();

/// A limit was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limited {
    limit: Limit,
    /// The client's own, which leaves others untouched.
    is_own: bool,
}

impl Limited {
    pub(crate) fn of_all(limit: Limit) -> Self {
        Self {
            limit,
            is_own: false,
        }
    }

    pub(crate) fn of_principal(limit: Limit) -> Self {
        Self {
            limit,
            is_own: true,
        }
    }
}

pub(crate) type Rate =
    RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<std::time::Instant>>;
type Rates = RateLimiter<
    String,
    HashMapStateStore<String>,
    MonotonicClock,
    NoOpMiddleware<std::time::Instant>,
>;

/// The rates of a service, and the count of what it refused.
pub(crate) struct Gate {
    opened: Rate,
    writes: Rates,
    refused: [AtomicU64; LIMITS],
    figures: Figures,
}

impl Gate {
    pub(crate) fn new(limits: &Limits, figures: Figures) -> Self {
        Self {
            opened: RateLimiter::direct_with_clock(quota(limits.opened), MonotonicClock),
            writes: RateLimiter::new(
                quota(limits.writes),
                HashMapStateStore::default(),
                MonotonicClock,
            ),
            refused: Default::default(),
            figures,
        }
    }

    /// A session is to be opened.
    pub(crate) fn open(&self) -> Result<(), Problem> {
        let open = self.opened.check();
        open.map_err(|_| self.refuse(Limited::of_all(Limit::Opened)))
    }

    /// Somebody has work for the server.
    pub(crate) fn write(
        &self,
        permissions: &Permissions,
        address: Option<ClientAddress>,
    ) -> Result<(), Problem> {
        let who = match (permissions.principal(), address) {
            (Some(principal), _) => format!("p{principal}"),
            (None, Some(address)) if !address.is_own() => format!("a{}", address.network()),
            _ => return Ok(()),
        };
        if self.writes.len() >= MAX_WRITERS {
            self.writes.retain_recent();
            if self.writes.len() >= MAX_WRITERS {
                return Err(self.refuse(Limited::of_all(Limit::Writes)));
            }
        }
        let write = self.writes.check_key(&who);
        write.map_err(|_| self.refuse(Limited::of_principal(Limit::Writes)))
    }

    /// Counts a refusal, and puts it into words.
    pub(crate) fn refuse(&self, limited: Limited) -> Problem {
        self.count(limited.limit);
        let (status, whose) = match limited.is_own {
            true => (StatusCode::TOO_MANY_REQUESTS, "of yours"),
            false => (StatusCode::SERVICE_UNAVAILABLE, "in all"),
        };
        let what = match limited.limit {
            Limit::Opened => "sessions are being opened at once",
            Limit::Sessions => "sessions are open",
            Limit::Tickets => "tickets are out",
            _ => "requests came at once",
        };
        Problem::later(status, format!("too many {what}, {whose}"), RETRY_SECONDS)
    }

    pub(crate) fn count(&self, limit: Limit) {
        self.refused[limit as usize].fetch_add(1, Ordering::Relaxed);
        self.figures.refused(limit);
        trace::limited(limit);
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.refusals().fmt(f)
    }
}

fn quota(per_second: u32) -> Quota {
    Quota::per_second(NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN))
}

/// So many principals and addresses are remembered that sent something just now.
const MAX_WRITERS: usize = 20_000;
const RETRY_SECONDS: u64 = 5;
