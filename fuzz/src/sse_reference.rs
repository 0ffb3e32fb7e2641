//! The event stream as the standard describes it: decode all, split into lines, go through them.

use std::mem::take;

use eventcast_sse::ParsedEvent;

/// What a stream comes to.
#[derive(Debug, Default)]
pub(crate) struct Reference {
    pub(crate) events: Vec<Seen>,
    pub(crate) last_event_id: String,
    pub(crate) retry: Option<u64>,
    /// What each event takes, an id of an earlier block left out.
    pub(crate) sizes: Vec<usize>,
    /// The most that the known fields of one block take, even if it is cut.
    pub(crate) largest: usize,
}

/// Name, data, id and encoding.
pub(crate) type Seen = (String, String, String, String);

pub(crate) fn seen(event: ParsedEvent) -> Seen {
    (
        event.name.unwrap_or_default(),
        event.data,
        event.last_event_id,
        event.encoding.unwrap_or_default(),
    )
}

impl Reference {
    /// Reads one more stream, from its beginning to where it was cut.
    pub(crate) fn read(&mut self, stream: &[u8]) {
        let text = String::from_utf8_lossy(stream);
        let mut rest = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let (mut name, mut encoding) = (String::new(), String::new());
        let (mut id, mut data) = (None::<String>, None::<String>);
        let mut size = 0;
        loop {
            let end = rest.find(['\r', '\n']);
            let line = &rest[..end.unwrap_or(rest.len())];
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
            if matches!(field, "data" | "encoding" | "event" | "id" | "retry") {
                size += value.len() + usize::from(field == "data" && data.is_some());
                self.largest = self.largest.max(size);
            }
            let Some(end) = end else {
                return;
            };
            rest = &rest[end..];
            rest = rest.strip_prefix("\r\n").unwrap_or_else(|| &rest[1..]);
            match field {
                "" if line.is_empty() => {
                    let own_id = id.as_ref().map_or(0, String::len);
                    self.last_event_id = id.take().unwrap_or_else(|| self.last_event_id.clone());
                    let (name, encoding) = (take(&mut name), take(&mut encoding));
                    if let Some(data) = data.take() {
                        self.sizes
                            .push(name.len() + data.len() + own_id + encoding.len());
                        self.events
                            .push((name, data, self.last_event_id.clone(), encoding));
                    }
                    size = 0;
                }
                "data" => match &mut data {
                    Some(data) => *data += &format!("\n{value}"),
                    None => data = Some(value),
                },
                "encoding" => encoding = value,
                "event" => name = value,
                "id" if !value.contains('\0') => id = Some(value),
                "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                    self.retry = Some(value.parse().unwrap_or(u64::MAX));
                }
                _ => {}
            }
        }
    }
}
