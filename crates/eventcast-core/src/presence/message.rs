//! What nodes tell each other: a versioned, bounded form of bytes that trusts nobody.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::config::{MAX_NODE_NAME, PresenceConfig};
use super::error::PresenceMessageError;
use super::member::NodeId;
use crate::event::{Payload, PayloadKind};
use crate::name::{ChannelName, MemberId};
use crate::stored::Timestamp;

/// A message of one node to all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) from: NodeId,
    pub(super) body: Body,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// The node ends, and its members with it.
    Bye,
    /// What is new since the version before.
    Delta { version: u64, changes: Vec<Change> },
    /// A sign of life, with the version that the node has reached.
    Digest {
        version: u64,
        /// Tells the later one of two of the same name.
        started: Timestamp,
        name: Option<Arc<str>>,
    },
    /// Asks a node, or all, for what is new since a version.
    Request { of: Option<NodeId>, after: u64 },
    /// One of several parts, which together are all members of the node at a version.
    Snapshot {
        version: u64,
        part: u32,
        parts: u32,
        changes: Vec<Change>,
    },
}

/// What is with one connection of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Put(u64, Put),
    Remove(u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Put {
    pub(super) channel: ChannelName,
    pub(super) member: MemberId,
    pub(super) leaving: bool,
    pub(super) entered: Timestamp,
    pub(super) updated: Timestamp,
    pub(super) state: Option<Payload>,
}

/// Whether a message of another node is one of presence, of whatever version.
pub(super) fn is_message(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

impl Message {
    pub(super) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_slice(MAGIC);
        out.put_u8(VERSION);
        let kind = match &self.body {
            Body::Bye => BYE,
            Body::Delta { .. } => DELTA,
            Body::Digest { .. } => DIGEST,
            Body::Request { .. } => REQUEST,
            Body::Snapshot { .. } => SNAPSHOT,
        };
        out.put_u8(kind);
        out.put_u64(self.from.0);
        match &self.body {
            Body::Bye => {}
            Body::Delta { version, changes } => {
                out.put_u64(*version);
                changes.iter().for_each(|change| change.encode(&mut out));
            }
            Body::Digest {
                version,
                started,
                name,
            } => {
                out.put_u64(*version);
                out.put_u64(started.as_millis());
                put_text(&mut out, name.as_deref().unwrap_or_default());
            }
            Body::Request { of, after } => {
                out.put_u64(of.map_or(0, |node| node.0));
                out.put_u64(*after);
            }
            Body::Snapshot {
                version,
                part,
                parts,
                changes,
            } => {
                out.put_u64(*version);
                out.put_u32(*part);
                out.put_u32(*parts);
                changes.iter().for_each(|change| change.encode(&mut out));
            }
        }
        out.freeze()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, PresenceMessageError> {
        if bytes.len() > MAX_MESSAGE {
            return Err(PresenceMessageError::TooLarge { limit: MAX_MESSAGE });
        }
        if !is_message(bytes) || bytes.get(MAGIC.len()) != Some(&VERSION) {
            return Err(PresenceMessageError::Version);
        }
        let mut reader = Reader(&bytes[MAGIC.len() + 1..]);
        let kind = reader.u8()?;
        let from = NodeId(reader.u64()?);
        if from.0 == 0 {
            return Err(PresenceMessageError::Damaged);
        }
        let body = match kind {
            BYE => Body::Bye,
            DELTA => Body::Delta {
                version: reader.version()?,
                changes: reader.changes()?,
            },
            DIGEST => Body::Digest {
                version: reader.version()?,
                started: Timestamp::from_millis(reader.u64()?),
                name: reader.node_name()?,
            },
            REQUEST => Body::Request {
                of: Some(NodeId(reader.u64()?)).filter(|of| of.0 != 0),
                after: reader.version()?,
            },
            SNAPSHOT => {
                let version = reader.version()?;
                let (part, parts) = (reader.u32()?, reader.u32()?);
                if part >= parts || parts > MAX_PARTS {
                    return Err(PresenceMessageError::Damaged);
                }
                let changes = reader.changes()?;
                if changes.iter().any(|c| matches!(c, Change::Remove(_))) {
                    return Err(PresenceMessageError::Damaged);
                }
                Body::Snapshot {
                    version,
                    part,
                    parts,
                    changes,
                }
            }
            _ => return Err(PresenceMessageError::Damaged),
        };
        if !reader.0.is_empty() {
            return Err(PresenceMessageError::Damaged);
        }
        Ok(Self { from, body })
    }
}

impl Change {
    /// About how many bytes it takes, and a little more.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Put(_, put) => {
                let state = put.state.as_ref().map_or(0, Payload::len);
                64 + put.channel.as_str().len() + put.member.as_str().len() + state
            }
            Self::Remove(_) => 16,
        }
    }

    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Remove(slot) => {
                out.put_u8(REMOVE);
                out.put_u64(*slot);
            }
            Self::Put(slot, put) => {
                out.put_u8(PUT);
                out.put_u64(*slot);
                let state = match put.state.as_ref().map(Payload::kind) {
                    None | Some(PayloadKind::Binary) => NO_STATE,
                    Some(PayloadKind::Json) => JSON_STATE,
                    Some(PayloadKind::Text) => TEXT_STATE,
                };
                out.put_u8(u8::from(put.leaving) | state << 1);
                out.put_u64(put.entered.as_millis());
                out.put_u64(put.updated.as_millis());
                put_text(out, put.channel.as_str());
                put_text(out, put.member.as_str());
                if state != NO_STATE {
                    put_text(
                        out,
                        put.state
                            .as_ref()
                            .and_then(Payload::as_str)
                            .unwrap_or_default(),
                    );
                }
            }
        }
    }
}

/// Names and states are shorter than 64 KiB.
fn put_text(out: &mut BytesMut, text: &str) {
    out.put_u16(text.len() as u16);
    out.put_slice(text.as_bytes());
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], PresenceMessageError> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(PresenceMessageError::Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PresenceMessageError> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| PresenceMessageError::Damaged)
    }

    fn u8(&mut self) -> Result<u8, PresenceMessageError> {
        self.array().map(u8::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, PresenceMessageError> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, PresenceMessageError> {
        self.array().map(u64::from_be_bytes)
    }

    /// One can be added to it.
    fn version(&mut self) -> Result<u64, PresenceMessageError> {
        let version = self.u64()?;
        if version > i64::MAX as u64 {
            return Err(PresenceMessageError::Damaged);
        }
        Ok(version)
    }

    fn text(&mut self) -> Result<&'a str, PresenceMessageError> {
        let length = self.array().map(u16::from_be_bytes)?;
        let text = self.take(length.into())?;
        std::str::from_utf8(text).map_err(|_| PresenceMessageError::Damaged)
    }

    fn node_name(&mut self) -> Result<Option<Arc<str>>, PresenceMessageError> {
        let name = self.text()?;
        if name.len() > MAX_NODE_NAME {
            return Err(PresenceMessageError::Damaged);
        }
        Ok((!name.is_empty()).then(|| name.into()))
    }

    /// To the end of the message.
    fn changes(&mut self) -> Result<Vec<Change>, PresenceMessageError> {
        let mut changes = Vec::new();
        while !self.0.is_empty() {
            changes.push(match self.u8()? {
                REMOVE => Change::Remove(self.u64()?),
                PUT => Change::Put(self.u64()?, self.put()?),
                _ => return Err(PresenceMessageError::Damaged),
            });
        }
        Ok(changes)
    }

    fn put(&mut self) -> Result<Put, PresenceMessageError> {
        let flags = self.u8()?;
        let entered = Timestamp::from_millis(self.u64()?);
        let updated = Timestamp::from_millis(self.u64()?);
        let damaged = |_| PresenceMessageError::Damaged;
        Ok(Put {
            channel: ChannelName::new(self.text()?).map_err(damaged)?,
            member: MemberId::new(self.text()?).map_err(damaged)?,
            leaving: flags & 1 == 1,
            entered,
            updated,
            state: match flags >> 1 {
                NO_STATE => None,
                JSON_STATE => Some(json(self.state()?)?),
                TEXT_STATE => Some(Payload::text(self.state()?)),
                _ => return Err(PresenceMessageError::Damaged),
            },
        })
    }

    fn state(&mut self) -> Result<&'a str, PresenceMessageError> {
        let text = self.text()?;
        if text.len() > PresenceConfig::MAX_STATE {
            return Err(PresenceMessageError::Damaged);
        }
        Ok(text)
    }
}

/// Another node's JSON stands in our events: it has to be some.
#[cfg(feature = "json")]
fn json(text: &str) -> Result<Payload, PresenceMessageError> {
    Payload::json_text(text).map_err(|_| PresenceMessageError::Damaged)
}

/// Without the feature nobody has JSON.
#[cfg(not(feature = "json"))]
fn json(_: &str) -> Result<Payload, PresenceMessageError> {
    Err(PresenceMessageError::Damaged)
}

const MAGIC: &[u8] = b"presence";
const VERSION: u8 = 1;

const BYE: u8 = 0;
const DELTA: u8 = 1;
const DIGEST: u8 = 2;
const REQUEST: u8 = 3;
const SNAPSHOT: u8 = 4;

const REMOVE: u8 = 0;
const PUT: u8 = 1;

const NO_STATE: u8 = 0;
const TEXT_STATE: u8 = 1;
const JSON_STATE: u8 = 2;

/// The largest message that is taken.
pub(super) const MAX_MESSAGE: usize = 64 << 10;
/// How much of changes goes into one that is sent.
pub(super) const FULL_MESSAGE: usize = 48 << 10;
/// At 48 KiB each this is more than any node may hold.
pub(super) const MAX_PARTS: u32 = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn put(text: &str, state: Option<Payload>) -> Change {
        Change::Put(
            7,
            Put {
                channel: ChannelName::new("room").unwrap(),
                member: MemberId::new("ann").unwrap(),
                leaving: text.len() % 2 == 1,
                entered: Timestamp::from_millis(3),
                updated: Timestamp::from_millis(u64::MAX),
                state,
            },
        )
    }

    fn bodies(text: &str) -> Vec<Body> {
        let changes = vec![
            put(text, Some(Payload::text(text))),
            put(text, None),
            Change::Remove(u64::MAX),
        ];
        vec![
            Body::Bye,
            Body::Digest {
                version: 9,
                started: Timestamp::from_millis(5),
                name: Some("a".into()),
            },
            Body::Request { of: None, after: 3 },
            Body::Request {
                of: Some(NodeId(4)),
                after: 0,
            },
            Body::Snapshot {
                version: 9,
                part: 1,
                parts: 2,
                changes: changes[..2].to_vec(),
            },
            Body::Delta {
                version: 2,
                changes,
            },
        ]
    }

    proptest! {
        #[test]
        fn messages_read_back(text in ".{0,40}") {
            for body in bodies(&text) {
                let message = Message { from: NodeId(1), body };
                prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
            }
        }

        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes: Vec<u8>, kind in 0_u8..6) {
            let _ = Message::decode(&bytes);
            let mut behind_a_head = [MAGIC, &[VERSION, kind]].concat();
            behind_a_head.extend(bytes);
            let _ = Message::decode(&behind_a_head);
        }

        #[test]
        fn a_damaged_message_is_a_message_or_an_error(at: prop::sample::Index, byte: u8) {
            for body in bodies("x") {
                let mut bytes = Message { from: NodeId(1), body }.encode().to_vec();
                let at = at.index(bytes.len());
                let _ = Message::decode(&bytes[..at]);
                bytes[at] = byte;
                let _ = Message::decode(&bytes);
            }
        }
    }

    #[test]
    fn refused() {
        let decode = |bytes: &[u8]| Message::decode(bytes).unwrap_err();
        assert_eq!(decode(b""), PresenceMessageError::Version);
        assert_eq!(decode(b"presence\x02"), PresenceMessageError::Version);
        assert_eq!(decode(b"presence\x01"), PresenceMessageError::Damaged);
        let large = vec![0; MAX_MESSAGE + 1];
        assert!(matches!(
            decode(&large),
            PresenceMessageError::TooLarge { .. }
        ));
    }
}
