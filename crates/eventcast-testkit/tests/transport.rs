//! A transport of lines passes the kit.

mod lines;

use lines::{Flaw, LinesHarness};

eventcast_testkit::transport_conformance!(
    LinesHarness(Flaw::None),
    skipped = usize::from(cfg!(not(feature = "json")))
);
