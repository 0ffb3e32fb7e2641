//! Channels as subjects.
//!
//! A channel's name is split at `/` into the subject's tokens, so that channels below one folder
//! can be listed by a wildcard. Letters, digits, `-` and `_` stand for themselves, every other byte
//! is `=` and two hex digits, and an empty part is `=`.

use eventcast_core::ChannelName;

/// The subjects of one stream: the mark tells a stream that was made again from the one before it,
/// so that nothing meant for the old one gets into the new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subjects {
    prefix: String,
    pub(crate) mark: String,
}

impl Subjects {
    pub(crate) fn new(namespace: &str, mark: &str) -> Self {
        Self {
            prefix: format!("eventcast.{namespace}.log.{mark}."),
            mark: mark.to_owned(),
        }
    }

    /// Of the subjects that a stream takes; `None` when they are not those of a log.
    pub(crate) fn of_stream(namespace: &str, subjects: &[String]) -> Option<Self> {
        let [only] = subjects else { return None };
        let mark = only
            .strip_prefix(&format!("eventcast.{namespace}.log."))?
            .strip_suffix(".>")?;
        let subjects = Self::new(namespace, mark);
        (!mark.contains('.')).then_some(subjects)
    }

    pub(crate) fn all(&self) -> String {
        format!("{}>", self.prefix)
    }

    pub(crate) fn channel(&self, channel: &ChannelName) -> String {
        let mut subject = self.prefix.clone();
        encode(channel.as_str(), &mut subject);
        subject
    }

    /// All channels whose names start so, and maybe some others.
    pub(crate) fn starting(&self, prefix: &str) -> String {
        let mut subject = self.prefix.clone();
        if let Some((folders, _)) = prefix.rsplit_once('/') {
            encode(folders, &mut subject);
            subject.push('.');
        }
        subject.push('>');
        subject
    }

    pub(crate) fn name(&self, subject: &str) -> Option<ChannelName> {
        let rest = subject.strip_prefix(&self.prefix)?;
        let mut bytes = Vec::with_capacity(rest.len());
        for (index, token) in rest.split('.').enumerate() {
            if index > 0 {
                bytes.push(b'/');
            }
            if token != "=" {
                decode(token.as_bytes(), &mut bytes)?;
            }
        }
        ChannelName::new(std::str::from_utf8(&bytes).ok()?).ok()
    }
}

fn encode(name: &str, subject: &mut String) {
    for (index, part) in name.split('/').enumerate() {
        if index > 0 {
            subject.push('.');
        }
        if part.is_empty() {
            subject.push('=');
        }
        for byte in part.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
                subject.push(char::from(byte));
            } else {
                subject.push('=');
                for digit in [byte >> 4, byte & 15] {
                    subject.push(char::from(HEX[usize::from(digit)]));
                }
            }
        }
    }
}

fn decode(mut token: &[u8], bytes: &mut Vec<u8>) -> Option<()> {
    while let Some((first, rest)) = token.split_first() {
        token = rest;
        if *first == b'=' {
            let (digits, rest) = rest.split_at_checked(2)?;
            let value = |digit: u8| HEX.iter().position(|hex| *hex == digit);
            bytes.push((value(digits[0])? * 16 + value(digits[1])?) as u8);
            token = rest;
        } else {
            bytes.push(*first);
        }
    }
    Some(())
}

const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        let subjects = Subjects::new("shop", "m");
        let long = "\u{1f980}/".repeat(40);
        for name in ["news", "orders/eu", "/", "//", "a/", "Zürich 3.14 >", &long] {
            let name = ChannelName::new(name).unwrap();
            let subject = subjects.channel(&name);
            assert!(!subject.contains(' ') && !subject.contains('>') && !subject.contains(".."));
            assert_eq!(subjects.name(&subject), Some(name));
        }
        for garbled in [
            "eventcast.shop.log.m.=4",
            "eventcast.shop.log.m.=zz",
            "x",
            "",
        ] {
            assert_eq!(subjects.name(garbled), None);
        }
    }

    #[test]
    fn prefixes_are_wildcards() {
        let subjects = Subjects::new("shop", "m");
        assert_eq!(subjects.starting("a"), "eventcast.shop.log.m.>");
        assert_eq!(subjects.starting("a/b"), "eventcast.shop.log.m.a.>");
        assert_eq!(subjects.starting("a//"), "eventcast.shop.log.m.a.=.>");
        let read = Subjects::of_stream("shop", &[subjects.all()]);
        assert_eq!(read, Some(subjects));
    }
}
