//! Questions to the examples that are small applications.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use super::ask::{ANSWER, STOP, event_stream};
use super::{START, listening};
use crate::failure::{Failure, Result, While as _};
use crate::process::Running;
use crate::wire::{Url, WebSocket, get, post};

const SYMBOLS: usize = 6;

/// The answer is written while nobody listens; a reader that is cut in the middle resumes there,
/// another one reads along, and who has seen the end is told not to come back.
pub(super) fn resumable_answer(running: &mut Running) -> Result {
    let url = listening(running, &["http"])?;
    has_page(&url)?;
    let channel = ask(&url, "ask", "why?")?;
    // The first tokens come without a reader.
    sleep(Duration::from_millis(300));
    let events = format!("/events?channel={channel}");
    let start = url.with_target(&format!("{events}&start=earliest"));
    let mut first = event_stream(&start)?;
    let seen = first.wait_for("published ")?.to_owned();
    drop(first);
    let mut again =
        event_stream(&url.with_target(&format!("{events}&last_event_id={}", last_id(&seen)?)))?;
    let mut second_tab = event_stream(&start)?;
    for stream in [&mut again, &mut second_tab] {
        stream.wait_for("event: eventcast.closed\n")?;
    }
    let text = again.take();
    let whole = second_tab.take();
    let read = [tokens(whole_blocks(&seen)), tokens(&text)].concat();
    if read != tokens(&whole) {
        return Err(Failure::new(format!(
            "cut and resumed: {read:?}, but {whole}"
        )));
    }
    let past = url.with_target(&format!("{events}&last_event_id={}", last_id(&text)?));
    expect_status("a resume after the end", &past, 204)
}

/// Only who is logged in reads, on either transport, and only their own channel; a handler of the
/// application publishes.
pub(super) fn axum_app(running: &mut Running) -> Result {
    let url = listening(running, &["http"])?;
    has_page(&url)?;
    let form = "application/x-www-form-urlencoded";
    let login = url.with_target("/login");
    let wrong = post(&login, form, "name=ann&password=pear", ANSWER)?.status();
    if wrong != 401 {
        return Err(Failure::new(format!(
            "a wrong password is answered with {wrong}"
        )));
    }
    let log_in = |body| -> Result<String> {
        let answer = post(&login, form, body, ANSWER)?;
        let cookie = answer
            .header("set-cookie")
            .and_then(|cookie| cookie.split(';').next());
        Ok(cookie
            .ok_or_else(|| Failure::new("a login gives no cookie"))?
            .to_owned())
    };
    let events = url.with_target("/live/events?channel=orders/ann");
    let ann = events.with_cookie(&log_in("name=ann&password=apple")?);
    let bob = events.with_cookie(&log_in("name=bob&password=banana")?);
    expect_status("nobody", &events, 401)?;
    expect_status("bob", &bob, 403)?;
    let mut stream = event_stream(&ann)?;
    stream.wait_for("event: eventcast.open")?;
    let mut socket = WebSocket::open(&ann, Some("eventcast.v1+json"), ANSWER)?;
    socket.text()?;
    let orders = ann.with_target("/orders");
    let mut answer = post(&orders, "text/plain", "two apples", ANSWER)?
        .success()
        .during("POST /orders")?;
    let id = answer.text()?;
    stream.wait_for("data: two apples")?;
    stream.wait_for(&format!("id: {}\n", id.trim()))?;
    let message = socket.text()?;
    if !message.contains("two apples") {
        return Err(Failure::new(format!("the WebSocket brings {message}")));
    }
    Ok(())
}

/// What is said comes to everybody; who comes is on the list, and who leaves is struck off.
pub(super) fn chat(running: &mut Running) -> Result {
    let url = listening(running, &["http"])?;
    has_page(&url)?;
    let join = |name: &str| -> Result<_> {
        let target = format!("/events?channel=chat&presence&member={name}&start=last:50");
        let mut stream = event_stream(&url.with_target(&target))?;
        stream.wait_for("event: eventcast.open")?;
        Ok(stream)
    };
    let mut ann = join("ann")?;
    ann.wait_for("\"joins\":[{\"member\":\"ann\"}]")?;
    let bob = join("bob")?;
    ann.wait_for("\"joins\":[{\"member\":\"bob\"}]")?;
    ask(&url, "type?name=bob", "")?;
    ann.wait_for("event: typing\n")?;
    ask(&url, "say?name=bob", "hello")?;
    ann.wait_for("data: [\"bob\",\"hello\"]")?;
    ann.take();
    drop(bob);
    ann.wait_for("\"leaves\":[{\"member\":\"bob\"}]")?;
    Ok(())
}

/// Who comes later gets the newest price of each symbol first, and no older one.
pub(super) fn ticker(running: &mut Running) -> Result {
    let url = listening(running, &["http"])?;
    has_page(&url)?;
    let prices = url.with_target("/events?channel=prices&start=earliest&slow=conflate");
    let mut stream = event_stream(&prices)?;
    let mut all = String::new();
    while symbols(&all).iter().collect::<BTreeSet<_>>().len() < SYMBOLS {
        stream.wait_for("\nid: ")?;
        all.push_str(&stream.take());
    }
    let mut later = event_stream(&prices)?;
    let mut all = String::new();
    while symbols(&all).len() < SYMBOLS {
        later.wait_for("\nid: ")?;
        all.push_str(&later.take());
    }
    let first = symbols(&all);
    let first: BTreeSet<_> = first.iter().take(SYMBOLS).collect();
    if first.len() < SYMBOLS {
        return Err(Failure::new(format!("it begins with {first:?} only")));
    }
    Ok(())
}

fn symbols(stream: &str) -> Vec<String> {
    let parts = stream.split("data: [\"").skip(1);
    let names = parts.filter_map(|part| part.split_once('"'));
    names.map(|(name, _)| name.to_owned()).collect()
}

/// Gauges change faster than they are read: older values are left out, and that is told.
pub(super) fn dashboard(running: &mut Running) -> Result {
    let url = listening(running, &["http"])?;
    has_page(&url)?;
    sleep(Duration::from_millis(200));
    let gauges = url.with_target("/events?channel=gauges&start=earliest&slow=conflate");
    let mut stream = event_stream(&gauges)?;
    stream.wait_for("event: eventcast.conflated\n")?;
    stream.wait_for("data: [\"cpu\",")?;
    if stream.take().contains("eventcast.gap") {
        return Err(Failure::new("a conflating reader finds a gap"));
    }
    Ok(())
}

/// Its own route publishes, all transports deliver, and a shutdown tells the streams.
pub(super) fn plain_hyper(running: &mut Running) -> Result {
    let url = listening(running, &["http"])?;
    let visits = url.with_target("/events?channel=visits");
    let mut stream = event_stream(&visits)?;
    stream.wait_for("event: eventcast.open")?;
    let mut socket = WebSocket::open(&visits, Some("eventcast.v1+json"), ANSWER)?;
    socket.text()?;
    get(&url.with_target("/visit"), "*/*", ANSWER)?.success()?;
    stream.wait_for("data: somebody was here")?;
    socket.text()?;
    running.interrupt()?;
    stream.wait_for("event: eventcast.draining")?;
    running.exits_cleanly(STOP * 2)
}

/// Its lines come over TCP, and go on over a Unix socket where another connection stopped.
pub(super) fn line_server(running: &mut Running) -> Result {
    let (url, path) = running.line("address", START, |line| {
        let path = line.split_once(" and ")?.1.to_owned();
        Some((Url::find(line, &["tcp"])?, path))
    })?;
    let tcp = TcpStream::connect(&url.authority).during("TCP")?;
    tcp.set_read_timeout(Some(ANSWER))?;
    let second = event_line(tcp, "news\n", "number 2")?;
    let id = second.split('"').nth(3).unwrap_or_default();
    #[cfg(unix)]
    {
        let unix = std::os::unix::net::UnixStream::connect(&path).during(&path)?;
        unix.set_read_timeout(Some(ANSWER))?;
        let next = event_line(unix, &format!("news {id}\n"), "")?;
        if !next.contains("number 3") {
            return Err(Failure::new(format!("after {second} comes {next}")));
        }
    }
    let _ = (id, path);
    // So that it takes its socket away.
    running.interrupt()?;
    running.exits_cleanly(STOP)
}

/// The first event that has the text.
fn event_line(mut stream: impl Read + Write, request: &str, text: &str) -> Result<String> {
    stream.write_all(request.as_bytes())?;
    for line in BufReader::new(stream).lines() {
        let line = line.during("a line")?;
        if line.starts_with("{\"id\"") && line.contains(text) {
            return Ok(line);
        }
    }
    Err(Failure::new(format!("no line has {text:?}")))
}

fn has_page(url: &Url) -> Result {
    let mut page = get(url, "text/html", ANSWER)?.success().during("GET /")?;
    if page.text()?.contains("<html") {
        return Ok(());
    }
    Err(Failure::new("GET / is not an HTML page"))
}

fn ask(url: &Url, request: &str, body: &str) -> Result<String> {
    let target = url.with_target(&format!("/requests/{request}"));
    let answer = post(&target, "text/plain", body, ANSWER)?.success();
    answer.during(request)?.text()
}

fn expect_status(who: &str, url: &Url, expected: u16) -> Result {
    let status = get(url, "text/event-stream", ANSWER)?.status();
    if status == expected {
        return Ok(());
    }
    Err(Failure::new(format!("{who} is answered with {status}")))
}

/// Up to the last block that is whole: what was cut does not count.
fn whole_blocks(stream: &str) -> &str {
    stream.rfind("\n\n").map_or("", |end| &stream[..end + 2])
}

fn tokens(stream: &str) -> Vec<&str> {
    let blocks = stream
        .split("\n\n")
        .filter(|block| !block.contains("event: "));
    let data = blocks.filter_map(|block| block.split_once("data: "));
    data.map(|(_, rest)| rest.lines().next().unwrap_or_default())
        .collect()
}

fn last_id(stream: &str) -> Result<&str> {
    let last = whole_blocks(stream).rsplit("\nid: ").next();
    let id = last.and_then(|rest| rest.lines().next());
    id.ok_or_else(|| Failure::new("there is no id"))
}
