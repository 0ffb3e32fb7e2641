//! The hub and its readers, driven by bytes.

mod hub;
mod reader;
mod record;
mod seeing;
mod settings;
mod view;

use std::time::Duration;

use hub::TestHub;
use reader::Reader;
use record::CHANNELS;
use settings::Settings;

/// Four bytes are the hub's settings; then each operation takes two: what, and on whom or how much.
///
/// # Panics
/// When a reader loses an event unannounced, sees one twice or out of order, is told a gap where
/// nothing is missing, or is not told a channel's end.
pub fn ops(bytes: &[u8]) {
    let Some((settings, steps)) = bytes.split_first_chunk() else {
        return;
    };
    let mut hub = TestHub::new(Settings::read(*settings));
    let mut readers: Vec<Reader> = (0..READERS)
        .map(|n| Reader::open(&hub, 0b111 >> n, n % 2 == 1, n as u8))
        .collect();
    for step in steps.chunks_exact(2).take(MAX_STEPS) {
        let (what, argument) = (step[0], step[1]);
        let channel = CHANNELS[usize::from(argument) % CHANNELS.len()];
        let number = usize::from(argument) / READERS;
        let reader = &mut readers[usize::from(argument) % READERS];
        match what % 16 {
            0..=3 => hub.publish(channel, 1 + usize::from(argument) / 64),
            4 => hub.complete(channel, argument >= 128),
            5 => hub.publish_ephemeral(channel),
            6 => hub.dispatch(usize::from(argument)),
            7 | 8 => reader.read(&hub, 1 + number % 8),
            9 => reader.cut(&hub, number % 8),
            10 => reader.subscribe(&hub, CHANNELS[number % CHANNELS.len()], argument >= 128),
            11 => reader.unsubscribe(&hub, CHANNELS[number % CHANNELS.len()]),
            12 => reader.heartbeat(&hub),
            13 => {
                reader.leave(&hub);
                *reader = Reader::open(&hub, number, argument >= 128, what / 16);
            }
            14 => reader.come_back_with_a_foreign_id(&hub, number.is_multiple_of(2)),
            _ => {
                hub.clock
                    .advance(Duration::from_millis(u64::from(argument) * 40));
                hub.maintain();
            }
        }
    }
    // Everything settles: readers are polled only when they were woken, as a runtime would do.
    loop {
        hub.dispatch(0);
        hub.dispatch(1);
        let Some(reader) = readers.iter_mut().find(|reader| reader.is_woken()) else {
            break;
        };
        reader.read(&hub, 64);
    }
    readers.iter().for_each(|reader| reader.check_settled(&hub));
    hub.check();
}

const READERS: usize = 3;
const MAX_STEPS: usize = 200;
