//! Our parser and one of other authors, given the same streams.

use proptest::prelude::*;

use crate::support::{parse, parse_independently, seen};

/// Pieces of streams, more of them meaningful than chance would make.
fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec!["\n", "\r", "\r\n", "\n\n"]).prop_map(str::to_owned),
        6 => prop::sample::select(vec![
            "data", "data:", "data: ", "event", "event: ", "id", "id: ", "retry: ", "encoding: ",
            ":", ": ", " ", "\0", "\u{FEFF}", "😀", "dat", "\u{2028}", "base64", "12",
        ])
        .prop_map(str::to_owned),
        1 => "\\PC{0,5}",
    ]
}

fn stream() -> impl Strategy<Value = String> {
    let stream = prop::collection::vec(fragment(), 0..40).prop_map(|parts| parts.concat());
    (any::<bool>(), stream).prop_map(|(mark, stream)| match mark {
        true => format!("\u{FEFF}{stream}"),
        false => stream,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn both_see_the_same_events(stream in stream(), size in 1usize..20) {
        let (events, _) = parse(stream.as_bytes().chunks(size));
        let events: Vec<_> = events.into_iter().map(seen).collect();
        prop_assert_eq!(events, parse_independently(stream.as_bytes()));
    }

    #[test]
    fn any_bytes_are_read_alike_in_any_pieces(
        bytes in prop::collection::vec(
            prop_oneof![Just(b'\r'), Just(b'\n'), Just(b':'), any::<u8>()],
            0..200,
        ),
        size in 1usize..20,
    ) {
        let mut stream = b"data: ".to_vec();
        stream.extend(bytes);
        let (whole, one) = parse([&stream[..]]);
        let (pieces, other) = parse(stream.chunks(size));
        prop_assert_eq!(whole, pieces);
        prop_assert_eq!(one.last_event_id(), other.last_event_id());
        prop_assert_eq!(one.retry(), other.retry());
    }
}
