//! A batch keeps to its limits, whatever is ready.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail them as the tests themselves do"
)]

mod support;

use std::task::{Context, Waker};

use eventcast_core::{BatchLimits, Event, Session};
use support::{keeping, publish, show};

fn one(session: &mut Session) -> Vec<String> {
    let limits = BatchLimits {
        events: 1,
        bytes: usize::MAX,
    };
    let mut out = Vec::new();
    let _ = session.poll_batch(&mut Context::from_waker(Waker::noop()), limits, &mut out);
    show(&out)
}

#[test]
fn a_gap_does_not_come_on_top_of_ephemeral_events() {
    for others in [&[][..], &["b"]] {
        let hub = keeping(1);
        let mut builder = hub.session().channel("a");
        for other in others {
            builder = builder.channel(*other);
        }
        let mut session = builder.open().unwrap();
        publish(&hub, &["a", "a", "a"]);
        hub.publish_ephemeral("a", Event::text("typing")).unwrap();
        assert_eq!(one(&mut session), ["a ~typing"]);
        assert_eq!(one(&mut session), ["a! slow 2 @2"]);
        assert_eq!(one(&mut session), ["a 3"]);
        assert!(one(&mut session).is_empty());
    }
}
