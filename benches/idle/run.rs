//! One measurement: connections come, get a burst, go, and come again.

use std::error::Error;
use std::net::TcpStream;

use crate::client::{self, Kind};
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
    /// With as many connections as at first, after all have come and gone several times.
    pub(crate) reconnected: Memory,
}

pub(crate) fn run(kind: Kind, connections: usize) -> Result<Run, Box<dyn Error>> {
    let mut server = ServerProcess::start()?;
    warm_up(kind, &mut server)?;
    let before = server.memory()?;

    let mut streams = open(kind, connections, &mut server)?;
    let idle = server.memory()?;

    server.publish("measured")?;
    for stream in &mut streams {
        client::read_through(stream, LAST.as_bytes())?;
    }
    let after_burst = server.memory()?;

    drop(streams);
    server.wait_for_sessions(0)?;
    let closed = server.memory()?;

    for _ in 1..RECONNECTS {
        drop(open(kind, connections, &mut server)?);
        server.wait_for_sessions(0)?;
    }
    let streams = open(kind, connections, &mut server)?;
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

fn open(
    kind: Kind,
    connections: usize,
    server: &mut ServerProcess,
) -> Result<Vec<TcpStream>, Box<dyn Error>> {
    let streams = (0..connections)
        .map(|_| client::open(kind, server.address(), "measured"))
        .collect::<Result<_, _>>()?;
    server.wait_for_sessions(connections)?;
    Ok(streams)
}

/// Has one connection do all that is measured, so that the program's own pages are resident.
fn warm_up(kind: Kind, server: &mut ServerProcess) -> Result<(), Box<dyn Error>> {
    let mut stream = client::open(kind, server.address(), "warm-up")?;
    server.publish("warm-up")?;
    client::read_through(&mut stream, LAST.as_bytes())?;
    drop(stream);
    server.wait_for_sessions(0)
}

/// How often all connections come again.
pub(crate) const RECONNECTS: usize = 5;
