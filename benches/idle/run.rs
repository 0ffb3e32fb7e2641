//! One measurement: sessions come, get a burst, go, and come again.

use std::error::Error;

use crate::client::{self, Connection, Kind};
use crate::memory::Memory;
use crate::serve::LAST;
use crate::server::ServerProcess;

/// What a fresh server held at each step.
pub(crate) struct Run {
    pub(crate) kind: Kind,
    pub(crate) before: Memory,
    pub(crate) idle: Memory,
    pub(crate) after_burst: Memory,
    pub(crate) closed: Memory,
    /// With as many sessions as at first, after all have come and gone several times.
    pub(crate) reconnected: Memory,
}

pub(crate) fn run(kind: Kind, sessions: usize) -> Result<Run, Box<dyn Error>> {
    let mut server = ServerProcess::start()?;
    warm_up(kind, &mut server)?;
    let before = server.memory()?;

    let mut streams = open(kind, sessions, &mut server)?;
    let idle = server.memory()?;

    server.publish("measured")?;
    for stream in &mut streams {
        stream.read_through(LAST.as_bytes())?;
    }
    let after_burst = server.memory()?;

    drop(streams);
    server.wait_for_sessions(0)?;
    let closed = server.memory()?;

    for _ in 1..RECONNECTS {
        drop(open(kind, sessions, &mut server)?);
        server.wait_for_sessions(0)?;
    }
    let streams = open(kind, sessions, &mut server)?;
    let reconnected = server.memory()?;
    drop(streams);
    Ok(Run {
        kind,
        before,
        idle,
        after_burst,
        closed,
        reconnected,
    })
}

/// Opens so many sessions, on as many connections as they need.
fn open(
    kind: Kind,
    sessions: usize,
    server: &mut ServerProcess,
) -> Result<Vec<Box<dyn Connection>>, Box<dyn Error>> {
    let connections = (0..sessions / kind.sessions())
        .map(|_| client::open(kind, server, "measured", kind.sessions()))
        .collect::<Result<_, _>>()?;
    server.wait_for_sessions(sessions)?;
    Ok(connections)
}

/// Has one session do all that is measured, so that the program's own pages are resident.
fn warm_up(kind: Kind, server: &mut ServerProcess) -> Result<(), Box<dyn Error>> {
    let mut connection = client::open(kind, server, "warm-up", 1)?;
    server.publish("warm-up")?;
    connection.read_through(LAST.as_bytes())?;
    drop(connection);
    server.wait_for_sessions(0)
}

/// How often all connections come again.
pub(crate) const RECONNECTS: usize = 5;
