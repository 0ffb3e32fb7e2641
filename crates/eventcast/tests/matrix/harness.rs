//! A cell as the kit wants it.

use std::time::Duration;

use eventcast::{EventService, ServiceConfig, Session};
use eventcast_testkit::transport::{
    Capabilities, Capability, Decoder, Harness, Seen, ServerEnd, Serving, Sessions,
};
use proptest::test_runner::Config;

use crate::link::Severed;
use crate::speech::Speaks;
use crate::wire::{Ask, Half, Speech, Transport};

pub(crate) struct Cell(pub(crate) Speaks, pub(crate) Transport);

impl Cell {
    pub(crate) fn cases(&self) -> Config {
        Config {
            cases: if self.0.is_encrypted() { 20 } else { 60 },
            failure_persistence: None,
            ..Config::default()
        }
    }

    /// Within how many bytes the cuts are: a TLS handshake comes first.
    pub(crate) fn bytes(&self) -> usize {
        if self.0.is_encrypted() { 4_000 } else { 900 }
    }
}

impl Harness for Cell {
    fn serve(&self, _: Session, _: ServerEnd) -> Serving {
        unreachable!("the service opens its sessions itself")
    }

    fn serve_requests(&self, session: Session, sessions: Sessions, io: ServerEnd) -> Serving {
        drop(session);
        let service = EventService::new(sessions.hub().clone(), ServiceConfig::new());
        let ends = service.clone();
        sessions.end_with(move |end| ends.end_sessions(end));
        let (io, severs) = Severed::new(io);
        let serving = self.0.serve(service, io);
        Box::pin(async move {
            let _severs = severs;
            serving.await;
        })
    }

    fn opens_sessions(&self) -> bool {
        true
    }

    fn cut_step(&self) -> usize {
        if self.0.is_encrypted() { 61 } else { 1 }
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        unreachable!("the client asks for its session")
    }

    fn decoder_for(&self, sessions: &Sessions) -> Box<dyn Decoder> {
        let channels = sessions.channels().iter();
        let mut query: String = channels.map(|name| format!("channel={name}&")).collect();
        if sessions.resumes_at().is_none() {
            query += "start=earliest";
        }
        let ask = Ask {
            transport: self.1,
            query,
            id: sessions.resumes_at().map(str::to_owned),
        };
        Box::new(Client(self.0.half(ask)))
    }

    fn heartbeat(&self) -> Duration {
        match self.1 {
            Transport::Poll => Duration::from_secs(25),
            _ => Duration::from_secs(15),
        }
    }

    fn capabilities(&self) -> Capabilities {
        let mut all = Capabilities::all();
        if self.1 == Transport::WebSocket {
            // Its client can subscribe to more.
            all = all.without(Capability::Finite);
        }
        if self.1 == Transport::Poll {
            all = all.without(Capability::Opening);
        }
        if self.1 == Transport::Poll || self.0 != Speaks::Http1 {
            all = all.without(Capability::OneWrite);
        }
        all
    }
}

struct Client(Half);

impl Decoder for Client {
    fn decode(&mut self, bytes: &[u8], seen: &mut Vec<Seen>) -> Result<(), String> {
        self.0.receive(bytes, seen)
    }

    fn reply(&mut self) -> Vec<u8> {
        self.0.outgoing()
    }

    fn closes(&self) -> bool {
        self.0.is_done()
    }
}
