//! The text of positions, and the options that hold them.

use eventcast_core::{Epoch, Hub, HubConfig, Position, SlowPolicy, Start};

/// The first 24 bytes are an epoch and two sequences; all of it, line by line, is text.
///
/// # Panics
/// When printing and parsing are not each other's inverse, texts sort otherwise than ids, or an id
/// that a client sends keeps a session from opening.
pub fn position(bytes: &[u8]) {
    if let Some((numbers, _)) = bytes.split_first_chunk::<24>() {
        let number = |n: usize| {
            let part = numbers[8 * n..].first_chunk().expect("three numbers");
            u64::from_le_bytes(*part)
        };
        let epoch = Epoch::from_bits(number(0));
        check_order(
            Position::new(epoch, number(1)),
            Position::new(epoch, number(2)),
        );
        // Numbers whose texts differ in length, which a fuzzer seldom writes as 64 bits.
        check_order(
            Position::new(epoch, number(1) >> (number(2) % 64)),
            Position::new(epoch, number(2) >> (number(1) % 64)),
        );
    }
    let text = String::from_utf8_lossy(bytes);
    let parsed: Vec<Position> = text.lines().filter_map(check_text).collect();
    for pair in parsed.windows(2) {
        check_order(pair[0], pair[1]);
    }
}

fn check_order(a: Position, b: Position) {
    for position in [a, b] {
        let text = position.to_string();
        assert_eq!(text.parse(), Ok(position), "{text}");
        assert_eq!(text, position.text().as_str());
        assert!(text.len() <= Position::MAX_TEXT);
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        assert!(text.bytes().all(is_plain), "{text}");
    }
    if a.epoch() == b.epoch() {
        let order = a.sequence().cmp(&b.sequence());
        assert_eq!(a.to_string().cmp(&b.to_string()), order, "{a} {b}");
        assert_eq!(a.partial_cmp(&b), Some(order));
    } else {
        assert_eq!(a.partial_cmp(&b), None);
    }
}

/// A line as an event id, and as the options of a subscription.
fn check_text(line: &str) -> Option<Position> {
    let parsed = line.parse::<Position>().ok();
    if let Some(position) = parsed {
        assert_eq!(position.to_string(), line);
    }
    let after = format!("after:{line}").parse::<Start>().ok();
    assert_eq!(after, parsed.map(Start::After));
    let _ = line.parse::<Start>();
    let _ = line.parse::<SlowPolicy>();

    let hub = Hub::with_config(HubConfig::new().with_epoch(Epoch::from_bits(7)));
    let session = hub.session().channel("a").resume(line).open();
    let opening = session.expect("any id opens a session").opening().position;
    // Nothing was published: the beginning is all that there is to resume from.
    let honoured = parsed.filter(|position| *position == hub.position());
    assert_eq!(opening, honoured, "{line}");
    parsed
}
