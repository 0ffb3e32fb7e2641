//! A JSON object, written member by member.

use std::time::Duration;

use super::string;
use crate::id::Position;

/// A JSON object in the making. Keys hold nothing to escape.
pub(super) struct Object<'a>(&'a mut Vec<u8>);

impl<'a> Object<'a> {
    pub(super) fn of_type(kind: &str, out: &'a mut Vec<u8>) -> Self {
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.push(b'"');
        Self(out)
    }

    pub(super) fn string(&mut self, key: &str, value: &str) {
        self.key(key);
        string(self.0, value);
    }

    pub(super) fn strings<'b>(&mut self, key: &str, values: impl Iterator<Item = &'b str>) {
        self.key(key);
        self.0.push(b'[');
        for (index, value) in values.enumerate() {
            if index > 0 {
                self.0.push(b',');
            }
            string(self.0, value);
        }
        self.0.push(b']');
    }

    pub(super) fn position(&mut self, key: &str, position: Option<Position>) {
        if let Some(position) = position {
            self.key(key);
            self.0.push(b'"');
            self.0.extend_from_slice(position.text().as_bytes());
            self.0.push(b'"');
        }
    }

    pub(super) fn number(&mut self, key: &str, number: Option<u64>) {
        if let Some(number) = number {
            self.key(key);
            self.0.extend_from_slice(number.to_string().as_bytes());
        }
    }

    pub(super) fn millis(&mut self, key: &str, duration: Option<Duration>) {
        self.number(key, duration.map(|duration| duration.as_millis() as u64));
    }

    pub(super) fn end(self) {
        self.0.push(b'}');
    }

    fn key(&mut self, key: &str) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(key.as_bytes());
        self.0.extend_from_slice(b"\":");
    }
}
