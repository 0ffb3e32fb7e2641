//! Every transport over every kind of connection, through the whole service and the server's own
//! path: each cell passes the conformance kit for transports, and a client that is cut at any byte
//! and comes back over this transport or another misses nothing.
//!
//! What the kit cannot express here: that a session which nobody reads yet has lost events as
//! `slow`. The server opens its sessions when it is asked, so `a_gap_stands_in_its_place` tells
//! them as `trimmed`; `a_stalled_reader_is_bounded_and_finds_a_gap` has the others. TLS and HTTP/2
//! may write a batch in several records or frames: `a_batch_is_one_write` is HTTP/1.1's alone, where
//! a poll's answer is no batch. A live session of the kit is asked for with the id at which it began,
//! and a poll with an id is answered when there is something: `the_opening_comes_first_and_at_once`
//! is not for polls; `http_one_url.rs` has the first answer of one without an id.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

mod harness;
mod link;
mod speech;
#[path = "../support/mod.rs"]
mod support;
#[path = "../wire/mod.rs"]
mod wire;

/// One module a cell.
macro_rules! cells {
    ($($protocol:ident { $($name:ident $transport:ident $speech:ident, skipped = $skipped:expr;)* })*) => {
        $(mod $protocol {$(
            mod $name {
                use crate::harness::Cell;
                use crate::speech::Speaks;
                use crate::wire::Transport;
                use crate::wire::cuts::{block_on, run, steps};
                use eventcast::Retention;
                use proptest::prelude::*;

                const CELL: Cell = Cell(Speaks::$speech, Transport::$transport);

                eventcast_testkit::transport_conformance!(CELL, skipped = $skipped);

                proptest! {
                    #![proptest_config(CELL.cases())]

                    #[test]
                    fn every_event_comes_exactly_once(steps in steps(Some(CELL.1), CELL.bytes())) {
                        block_on(run(CELL.0, CELL.1, &steps, None))?;
                    }

                    #[test]
                    fn what_retention_does_not_cover_is_announced(
                        steps in steps(Some(CELL.1), CELL.bytes())
                    ) {
                        let few = Retention::new().with_count(3);
                        block_on(run(CELL.0, CELL.1, &steps, Some(few)))?;
                    }
                }
            }
        )*})*
    };
}

cells! {
    http1 {
        poll Poll Http1, skipped = 2;
        sse Sse Http1, skipped = 0;
        stream Stream Http1, skipped = 0;
        websocket WebSocket Http1, skipped = 0;
    }
    http1_tls {
        poll Poll Http1Tls, skipped = 2;
        sse Sse Http1Tls, skipped = 1;
        stream Stream Http1Tls, skipped = 1;
        websocket WebSocket Http1Tls, skipped = 1;
    }
    http2 {
        poll Poll Http2, skipped = 2;
        sse Sse Http2, skipped = 1;
        stream Stream Http2, skipped = 1;
        websocket WebSocket Http2, skipped = 1;
    }
    http2_tls {
        poll Poll Http2Tls, skipped = 2;
        sse Sse Http2Tls, skipped = 1;
        stream Stream Http2Tls, skipped = 1;
        websocket WebSocket Http2Tls, skipped = 1;
    }
}
