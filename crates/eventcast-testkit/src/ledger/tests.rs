//! Views that pass, and one for each violation.

use super::*;

/// Something a client saw.
type View<'a> = &'a dyn Fn(&mut Observer);

fn ledger() -> Ledger {
    let mut ledger = Ledger::new();
    for (sequence, channel) in [(1, "a"), (2, "b"), (3, "a"), (4, "a")] {
        ledger.published(channel, sequence);
    }
    ledger
}

fn observer() -> Observer {
    Observer::new(["a", "b"], 0)
}

#[test]
fn a_whole_view_passes() {
    let mut seen = observer();
    seen.event("a", 1);
    seen.event("b", 2);
    seen.gap("a", Some(1), Some(3));
    seen.event("a", 4);
    assert_eq!(seen.check(&ledger()), Ok(()));
    assert_eq!(seen.position(), 4);
}

#[test]
fn each_violation_is_found() {
    let views: [(View<'_>, Violation); 6] = [
        (
            &|seen| {
                [(1, "a"), (2, "b"), (4, "a")]
                    .iter()
                    .for_each(|(n, c)| seen.event(c, *n))
            },
            Violation::Lost {
                channel: "a".into(),
                sequence: 3,
            },
        ),
        (
            &|seen| {
                [(1, "a"), (1, "a")]
                    .iter()
                    .for_each(|(n, c)| seen.event(c, *n))
            },
            Violation::Repeated { sequence: 1 },
        ),
        (
            &|seen| {
                seen.id(3);
                seen.gap("b", None, Some(2));
            },
            Violation::Backwards {
                sequence: 2,
                after: 3,
            },
        ),
        (
            &|seen| {
                [(1, "a"), (2, "b"), (3, "a"), (4, "a")]
                    .iter()
                    .for_each(|(n, c)| seen.event(c, *n));
                seen.gap("b", None, Some(4));
            },
            Violation::FalseGap {
                channel: "b".into(),
            },
        ),
        (
            &|seen| {
                seen.gap("a", Some(1), Some(1));
                seen.event("b", 2);
                seen.event("a", 4);
            },
            Violation::Miscounted {
                channel: "a".into(),
                told: 1,
                missing: 2,
            },
        ),
        (
            &|seen| seen.event("a", 2),
            Violation::Foreign {
                channel: "a".into(),
                sequence: 2,
            },
        ),
    ];
    for (view, violation) in views {
        let mut seen = observer();
        view(&mut seen);
        assert_eq!(seen.check(&ledger()), Err(violation));
    }
}
