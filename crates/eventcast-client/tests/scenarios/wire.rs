//! The protocol's objects as each transport writes them, and what a client sends.

use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// A request, its body included.
pub(crate) struct Asked {
    pub(crate) method: String,
    /// As it was written.
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Asked {
    /// The next request of a connection, if there is one.
    pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin + Send)) -> Option<Self> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let mut first = lines.next()?.split(' ');
        let (method, target) = (first.next()?.to_owned(), first.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = lines.filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_lowercase(), value.to_owned()))
        });
        let mut asked = Self {
            method,
            path: path.to_owned(),
            query: form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
            headers: headers.collect(),
            body: String::new(),
        };
        let length = asked.header("content-length");
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        stream.read_exact(&mut body).await.ok()?;
        asked.body = String::from_utf8(body).unwrap();
        Some(asked)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let query = self.query.iter().filter(|(known, _)| known == name);
        query.map(|(_, value)| value.as_str()).collect()
    }

    /// What the table calls this kind of request.
    pub(crate) fn kind(&self) -> &str {
        if self.path.starts_with("/channels/") {
            return "publish";
        }
        if self.path.starts_with("/requests/") {
            return "request";
        }
        if self.path.starts_with("/sessions/") {
            return "change";
        }
        match self.header("upgrade") {
            Some(_) => "websocket",
            None => self.all("transport").first().expect("always said"),
        }
    }

    /// The id that it resumes with.
    pub(crate) fn id(&self) -> Option<&str> {
        let in_query = || self.all("last_event_id").last().copied();
        self.header("last-event-id").or_else(in_query)
    }
}

/// The head of the answer that brings messages, and the messages. A poll's length is the whole's.
pub(crate) fn answer(asked: &Asked, messages: &[Value]) -> (String, Vec<u8>) {
    let head = "HTTP/1.1 200 OK\r\ncontent-type";
    match asked.kind() {
        "websocket" => {
            let key = derive_accept_key(asked.header("sec-websocket-key").unwrap().as_bytes());
            let head = format!(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-accept: {key}\r\n\
                 sec-websocket-protocol: eventcast.v1+json\r\n\r\n"
            );
            (head, more("websocket", messages))
        }
        "poll" => {
            let body = document(messages);
            let length = body.len();
            let head = format!("{head}: application/json\r\ncontent-length: {length}\r\n\r\n");
            (head, body)
        }
        "sse" => {
            let head = format!("{head}: text/event-stream\r\n\r\n");
            (head, more("sse", messages))
        }
        _ => {
            let head = format!("{head}: application/x-ndjson\r\n\r\n");
            (head, more("stream", messages))
        }
    }
}

/// Messages for a connection that is open.
pub(crate) fn more(kind: &str, messages: &[Value]) -> Vec<u8> {
    let write = |message: &Value| match kind {
        "websocket" => frame(0x1, message.to_string().as_bytes()),
        "sse" => block(message).into_bytes(),
        _ => format!("{message}\n").into_bytes(),
    };
    messages.iter().flat_map(write).collect()
}

/// A frame of a server, whole.
pub(crate) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        length @ ..126 => frame.push(length as u8),
        length @ 126..0x1_0000 => {
            frame.push(126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

/// The next text message of a client; `None` once it closes or is gone.
pub(crate) async fn text(stream: &mut (impl AsyncRead + Unpin + Send)) -> Option<String> {
    loop {
        let first = stream.read_u8().await.ok()?;
        let length = match stream.read_u8().await.ok()? & 0x7f {
            126 => stream.read_u16().await.ok()?.into(),
            127 => usize::try_from(stream.read_u64().await.ok()?).ok()?,
            length => length.into(),
        };
        let mut mask = [0; 4];
        stream.read_exact(&mut mask).await.ok()?;
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.ok()?;
        for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        match first & 0xf {
            0x1 => return String::from_utf8(payload).ok(),
            0x8 => return None,
            _ => {}
        }
    }
}

fn block(message: &Value) -> String {
    let text = |name: &str| message.get(name).and_then(Value::as_str);
    let mut block = String::new();
    let mut data = message.clone();
    match text("type") {
        None | Some("ephemeral") => {
            if let Some(name) = text("event") {
                block += &format!("event: {name}\n");
            }
        }
        Some(kind) => {
            let kind = if kind == "end" { "closed" } else { kind };
            block += &format!("event: eventcast.{kind}\n");
            if let Some(retry) = message.get("retry") {
                block += &format!("retry: {retry}\n");
            }
            let rest = data.as_object_mut().unwrap();
            for name in ["type", "retry", "id"] {
                rest.remove(name);
            }
        }
    }
    block += &format!("data: {data}\n");
    if let Some(id) = text("id") {
        block += &format!("id: {id}\n");
    }
    block + "\n"
}

/// The one answer to a poll.
pub(crate) fn document(messages: &[Value]) -> Vec<u8> {
    let mut document = Map::new();
    let mut events = Vec::new();
    for message in messages {
        if let Some(id) = message.get("id") {
            document.insert("position".to_owned(), id.clone());
        }
        match message.get("type").and_then(Value::as_str) {
            Some("open" | "position") => {}
            Some("end") => {
                document.insert("end".to_owned(), message["reason"].clone());
            }
            Some("draining") => {
                document.insert("end".to_owned(), json!("draining"));
                if let Some(retry) = message.get("retry") {
                    document.insert("retry".to_owned(), retry.clone());
                }
            }
            _ => events.push(message.clone()),
        }
    }
    document.insert("events".to_owned(), events.into());
    Value::from(document).to_string().into_bytes()
}
