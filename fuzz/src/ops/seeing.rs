//! What comes to a client, and what must not.

use eventcast_core::{Delivery, End, GapReason, Position};

use super::hub::TestHub;
use super::reader::Reader;
use super::view::View;

impl Reader {
    pub(super) fn see(&mut self, hub: &TestHub, deliveries: &[Delivery]) {
        for delivery in deliveries {
            match delivery {
                Delivery::Event(event) => {
                    assert!(self.to_announce.is_empty(), "an event before a gap");
                    let sequence = event.sequence();
                    assert!(self.id < Some(sequence), "{sequence} after {:?}", self.id);
                    self.saw_id(event.id());
                    let view = self.view(event.channel().as_str());
                    assert!(!view.told_end, "an event after the end");
                    view.observer.event(event.channel().as_str(), sequence);
                    view.ends_with_gap = false;
                }
                Delivery::Gap(gap) => {
                    if let Some(position) = gap.position {
                        self.saw_id(position);
                    }
                    let channel = gap.channel.as_str();
                    let announced = self.to_announce.iter().position(|name| *name == channel);
                    if let Some(index) = announced {
                        self.to_announce.remove(index);
                        let is_last = self.to_announce.is_empty();
                        assert_eq!(gap.position.is_some(), is_last, "only the last has an id");
                        assert!(matches!(gap.reason, GapReason::Epoch | GapReason::Unknown));
                    } else {
                        let view = self.view(channel);
                        view.observer.gap(channel, gap.missed, None);
                        view.ends_with_gap = true;
                    }
                }
                Delivery::Completed(end) => {
                    if let Some(position) = end.position {
                        assert!(self.to_announce.is_empty(), "an end before a gap");
                        self.saw_id(position);
                    }
                    let channel = end.channel.as_str();
                    assert!(hub.record.borrow().end(channel).is_some(), "it is open");
                    let view = self.view(channel);
                    // Of a forgotten channel the end is remembered without its place.
                    assert!(!view.told_end || end.position.is_none(), "two ends");
                    view.told_end = true;
                }
                Delivery::Position(position) => self.saw_id(*position),
                Delivery::Ephemeral(_) | Delivery::Heartbeat => {}
                Delivery::End(End::Completed) => {
                    let record = hub.record.borrow();
                    assert!(self.channels.keys().all(|name| record.end(name).is_some()));
                    assert!(!self.stays_open);
                    self.ended = true;
                }
                Delivery::End(End::Slow) => return self.resume(hub),
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    pub(super) fn saw_id(&mut self, position: Position) {
        let sequence = Some(position.sequence());
        assert!(sequence >= self.id, "{position} after {:?}", self.id);
        self.id = sequence;
    }

    fn view(&mut self, channel: &str) -> &mut View {
        self.channels.get_mut(channel).expect("it was asked for")
    }
}
