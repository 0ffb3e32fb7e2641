//! Messages between nodes: ephemeral events, and those of presence.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use crate::backplane::Body;
use crate::event::Event;
use crate::log::Log;
use crate::name::ChannelName;
use crate::presence::Presence;

impl Log {
    /// Leaves an ephemeral event for the other nodes.
    pub(crate) fn post_ephemeral(&self, channel: &ChannelName, event: &Event) {
        if let Some(remote) = &self.remote {
            remote.post(encode(channel, event));
        }
    }

    /// Tells the other nodes who is here, and hears who is there.
    pub(super) fn connect_presence(self: &Arc<Self>) {
        let log = Arc::downgrade(self);
        Presence::of(Arc::clone(self)).connect(move |message| {
            let log = log.upgrade();
            if let Some(remote) = log.as_ref().and_then(|log| log.remote.as_ref()) {
                remote.post(message);
            }
        });
    }

    /// A message of another node; one that cannot be read is of a later version.
    pub(super) fn take_message(self: &Arc<Self>, message: &Bytes) {
        if Presence::is_message(message) {
            let _ = Presence::of(Arc::clone(self)).receive(message);
        } else if let Some((channel, event)) = decode(message) {
            // Nobody may be connected here, and the channel may be completed meanwhile.
            let _ = self.hand_out_ephemeral(&channel, event);
        }
    }
}

fn encode(channel: &ChannelName, event: &Event) -> Bytes {
    let name = channel.as_str().as_bytes();
    let mut out = BytesMut::new();
    out.put_u8(EPHEMERAL);
    out.put_u16(name.len() as u16);
    out.put_slice(name);
    out.put_slice(&Body::Event(event.clone()).encode());
    out.freeze()
}

fn decode(message: &Bytes) -> Option<(ChannelName, Event)> {
    let (kind, rest) = message.split_first()?;
    let (len, rest) = rest.split_first_chunk()?;
    let len = usize::from(u16::from_be_bytes(*len));
    let name = std::str::from_utf8(rest.get(..len)?).ok()?;
    let channel = ChannelName::new(name).ok()?;
    match Body::decode(message.slice(3 + len..)).ok()? {
        Body::Event(event) if *kind == EPHEMERAL => Some((channel, event)),
        _ => None,
    }
}

/// Other first bytes are other kinds of messages.
const EPHEMERAL: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn messages_read_back_and_any_bytes_are_none_or_one(bytes: Vec<u8>) {
            let channel = ChannelName::new("a/b").unwrap();
            let event = Event::binary(bytes.clone());
            prop_assert_eq!(decode(&encode(&channel, &event)), Some((channel, event)));
            let _ = decode(&bytes.into());
        }
    }
}
