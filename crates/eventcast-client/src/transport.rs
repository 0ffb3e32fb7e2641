//! The ways to a server, and which of them is taken.

/// A way to be told events. All of them tell the same events with the same ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// WebSocket (RFC 6455) over HTTP/1.1, in JSON mode.
    WebSocket,
    /// Server-Sent Events.
    Sse,
    /// A response of JSON lines that does not end.
    Stream,
    /// One request after another, each answered once there is something. The slowest, and the one
    /// that passes everything which HTTP passes.
    Poll,
}

impl Transport {
    /// The order of [`ClientBuilder::with_transports`](crate::ClientBuilder::with_transports),
    /// unless it is called.
    pub const DEFAULT_ORDER: [Self; 4] = [Self::WebSocket, Self::Sse, Self::Stream, Self::Poll];

    /// What the query's `transport` calls it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Sse => "sse",
            Self::Stream => "stream",
            Self::Poll => "poll",
        }
    }
}

/// Which transport is taken next: the first that works is kept.
#[derive(Debug)]
pub(crate) struct Choice {
    order: Vec<Transport>,
    current: usize,
    /// The current one has worked since it was chosen.
    proven: bool,
    /// Attempts in a row of the current one that came to nothing.
    failures: u32,
}

impl Choice {
    pub(crate) fn new(order: Vec<Transport>) -> Self {
        Self {
            order,
            current: 0,
            proven: false,
            failures: 0,
        }
    }

    pub(crate) fn current(&self) -> Transport {
        self.order[self.current]
    }

    /// There is no other to be tried before it is the first one's turn again.
    pub(crate) fn is_last(&self) -> bool {
        self.current + 1 == self.order.len()
    }

    pub(crate) fn worked(&mut self) {
        self.proven = true;
        self.failures = 0;
    }

    /// The server was there but the transport did not get through. Returns whether another one is
    /// to be tried at once, that is, without having begun the order anew.
    pub(crate) fn blocked(&mut self) -> bool {
        self.failures += 1;
        if self.proven && self.failures < FORGET_AFTER {
            return false;
        }
        let at_once = !self.is_last();
        self.current = (self.current + 1) % self.order.len();
        self.proven = false;
        self.failures = 0;
        at_once
    }
}

/// A transport that has worked is not given up for a server that is restarted.
const FORGET_AFTER: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_worked_is_kept_until_it_fails_thrice() {
        let mut choice = Choice::new(vec![Transport::WebSocket, Transport::Sse]);
        assert!(choice.blocked());
        assert_eq!(choice.current(), Transport::Sse);
        choice.worked();
        assert!(!choice.blocked());
        assert!(!choice.blocked());
        assert_eq!(choice.current(), Transport::Sse);
        assert!(!choice.blocked(), "the round is over: a pause first");
        assert_eq!(choice.current(), Transport::WebSocket);
    }
}
