//! The real binary against a real server.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eventcast::{
    ClientRequest, Denied, End, Event, HistoryQuery, Payload, PayloadKind, Permissions, Refusal,
    RequestHandler, ServiceConfig,
};
use eventcast_client::rustls::ServerConfig;
use eventcast_client::rustls::crypto::ring;
use eventcast_client::rustls::pki_types::PrivateKeyDer;
use http::header::AUTHORIZATION;
use http::request::Parts;
use support::proxying::Proxy;
use support::{TestServer, everything, within};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdout, Command};
use tokio_rustls::TlsAcceptor;

/// The command, without what the environment of the test says.
fn command<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eventcast"));
    for (name, _) in std::env::vars() {
        if name.to_lowercase().ends_with("_proxy") || name.starts_with("EVENTCAST_") {
            command.env_remove(name);
        }
    }
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs to the end: the exit code, what it printed, what it complained of.
async fn run<'a>(args: impl IntoIterator<Item = &'a str>) -> (i32, String, String) {
    done(within(command(args).output()).await.unwrap())
}

fn done(output: Output) -> (i32, String, String) {
    (
        output.status.code().expect("no signal"),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

async fn with_input(args: &[&str], input: &[u8]) -> (i32, String, String) {
    let mut command = command(args.iter().copied());
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).await.unwrap();
    drop(stdin);
    done(within(child.wait_with_output()).await.unwrap())
}

fn lines(child: &mut Child) -> Lines<BufReader<ChildStdout>> {
    BufReader::new(child.stdout.take().unwrap()).lines()
}

async fn line(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    within(lines.next_line()).await.unwrap().expect("a line")
}

/// Sends a signal as a shell does.
async fn signal(child: &Child, name: &str) {
    let pid = child.id().unwrap().to_string();
    let kill = Command::new("kill").args([name, &pid]).status().await;
    assert!(kill.unwrap().success());
}

fn url(server: &TestServer) -> String {
    format!("http://{}", server.address)
}

fn file(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_file(&path);
    path
}

#[tokio::test]
async fn events_are_lines_of_json_as_the_protocol_has_them() {
    let server = TestServer::open().await;
    let tick = Event::new(Payload::json_text("{\"n\": 1}").unwrap()).named("tick");
    for event in [
        Event::text("two\nlines"),
        tick.unwrap(),
        Event::binary(vec![0, 255, 10, 13]),
        Event::json("str").unwrap(),
    ] {
        server.hub.try_publish("a", event).unwrap();
    }
    server.hub.fail("a", "disk").unwrap();
    let expected = r#"{"id":"00000007-a1","channel":"a","data":"two\nlines"}
{"id":"00000007-a2","channel":"a","event":"tick","data":{"n": 1}}
{"id":"00000007-a3","channel":"a","encoding":"base64","data":"AP8KDQ=="}
{"id":"00000007-a4","channel":"a","encoding":"json","data":"str"}
{"type":"completed","channel":"a","outcome":"failed","reason":"disk"}
"#;
    for transport in ["sse", "stream", "websocket", "poll"] {
        let url = url(&server);
        let args = ["subscribe", &url, "a", "--start", "earliest"];
        let (code, out, said) = run(args.into_iter().chain(["--transport", transport])).await;
        assert_eq!(out, expected, "{transport}");
        assert_eq!((code, said.as_str()), (7, "eventcast: a failed: disk\n"));
    }
    let url = url(&server);
    let args = ["subscribe", &url, "a", "--start", "last:4", "-n", "1"];
    let (code, out, _) = run(args.into_iter().chain(["-o", "data"])).await;
    assert_eq!((code, out.as_str()), (0, "two\nlines\n"));
    let (code, out, _) = run(args.into_iter().chain(["-o", "human"])).await;
    assert_eq!(
        (code, out.as_str()),
        (0, "00000007-a1  a  two\n    lines\n")
    );
}

#[tokio::test]
async fn a_file_of_the_last_id_joins_one_run_to_the_next() {
    let server = TestServer::open().await;
    let path = file("joins");
    let path = path.to_str().unwrap();
    let url = url(&server);
    let mut seen = String::new();
    for (run_number, transport) in ["sse", "websocket", "poll", "stream"].iter().enumerate() {
        for text in ["one", "two", "three"] {
            let text = format!("{text} {run_number}");
            server.hub.try_publish("a", Event::text(text)).unwrap();
        }
        let args = ["subscribe", &url, "a", "--start", "earliest", "-n", "3"];
        let more = [
            "-o",
            "data",
            "--last-id-file",
            path,
            "--transport",
            transport,
        ];
        let (code, out, said) = run(args.into_iter().chain(more)).await;
        assert_eq!((code, said.contains("error")), (0, false), "{said}");
        seen += &out;
    }
    let expected: Vec<_> = (0..4)
        .flat_map(|run| ["one", "two", "three"].map(|text| format!("{text} {run}")))
        .collect();
    assert_eq!(seen.lines().collect::<Vec<_>>(), expected);
    assert_eq!(std::fs::read_to_string(path).unwrap(), "00000007-b12\n");

    std::fs::write(path, "nonsense").unwrap();
    let (code, _, said) = run(["subscribe", &url, "a", "--last-id-file", path]).await;
    assert_eq!(code, 1);
    assert!(said.contains("remove the file"), "{said}");
}

#[tokio::test]
async fn interrupted_it_keeps_the_last_id() {
    let server = TestServer::open().await;
    let path = file("interrupted");
    let url = url(&server);
    let args = [
        "subscribe",
        &url,
        "a",
        "--start",
        "earliest",
        "--last-id-file",
    ];
    for (name, code) in [("-INT", 130), ("-TERM", 143)] {
        server.hub.try_publish("a", Event::text("x")).unwrap();
        let args = args.into_iter().chain([path.to_str().unwrap()]);
        let mut child = command(args).spawn().unwrap();
        let mut lines = lines(&mut child);
        let id = server.hub.position().to_string();
        assert!(line(&mut lines).await.contains(&id));
        signal(&child, name).await;
        let status = within(child.wait()).await.unwrap();
        assert_eq!(status.code(), Some(code));
        assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), id);
    }
}

#[tokio::test]
async fn it_ends_with_its_reader_and_not_with_the_next_event() {
    let server = TestServer::open().await;
    let url = url(&server);
    server.hub.try_publish("a", Event::text("x")).unwrap();
    let mut child = command(["subscribe", &url, "a", "--start", "earliest"])
        .spawn()
        .unwrap();
    let mut lines = lines(&mut child);
    line(&mut lines).await;
    drop(lines);
    let (code, _, said) = done(within(child.wait_with_output()).await.unwrap());
    assert_eq!((code, said.as_str()), (0, ""));
}

#[tokio::test]
async fn losses_are_told_and_may_be_the_end() {
    let server = TestServer::open().await;
    server.hub.try_publish("a", Event::text("kept")).unwrap();
    let path = file("losses");
    std::fs::write(&path, "00000008-a1\n").unwrap();
    let url = url(&server);
    let args = ["subscribe", &url, "a", "-n", "1", "--last-id-file"];
    let args = args.into_iter().chain([path.to_str().unwrap()]);
    let gap = "{\"type\":\"gap\",\"channel\":\"a\",\"reason\":\"epoch\"}\n";
    let (code, out, said) = run(args.clone().chain(["--fail-on-gap"])).await;
    assert_eq!((code, out.as_str()), (3, gap));
    assert_eq!(said, "eventcast: events of a were lost\n");
    // It was told: the next run goes on after it.
    let (code, out, _) = run(args.chain(["--fail-on-gap"])).await;
    assert_eq!(code, 0);
    assert_eq!(
        out,
        "{\"id\":\"00000007-a1\",\"channel\":\"a\",\"data\":\"kept\"}\n"
    );
}

#[tokio::test]
async fn a_watch_tells_ids_and_states_and_no_payloads() {
    let server = TestServer::open().await;
    let url = url(&server);
    let args = ["watch", &url, "a", "b/*", "--transport", "stream"];
    let mut child = command(args).spawn().unwrap();
    let mut lines = lines(&mut child);
    let connected = r#"{"type":"connected","transport":"stream","channels":["a","b/*"]}"#;
    assert_eq!(line(&mut lines).await, connected);
    server
        .hub
        .try_publish("b/c", Event::text("secret"))
        .unwrap();
    let sight = r#"{"id":"00000007-a1","channel":"b/c","bytes":6}"#;
    assert_eq!(line(&mut lines).await, sight);
    let retry = Some(std::time::Duration::ZERO);
    server.service.end_sessions(End::Draining { retry });
    let told = line(&mut lines).await;
    assert!(
        told.starts_with(r#"{"type":"reconnecting","after":"#),
        "{told}"
    );
    assert!(
        told.ends_with(r#""cause":"the server ended the session: draining"}"#),
        "{told}"
    );
    assert_eq!(line(&mut lines).await, connected);
}

fn only_good(request: &Parts) -> Result<Permissions, Denied> {
    match request.headers.get(AUTHORIZATION) {
        Some(value) if value == "Bearer good" => Ok(Permissions::subscribe()),
        Some(value) if value == "Bearer bad" => Err(Denied::Forbidden),
        _ => Err(Denied::Unauthorized),
    }
}

#[tokio::test]
async fn exit_codes_say_what_happened() {
    let server = TestServer::start(7, ServiceConfig::new().with_authenticator(only_good)).await;
    let url = url(&server);
    let subscribe = ["subscribe", &url, "a", "--start", "earliest", "-n", "1"];
    let (code, _, said) = run(subscribe).await;
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("credentials"), "{said}");
    let (code, _, said) = run(subscribe.into_iter().chain(["--token", "bad"])).await;
    assert_eq!(code, 4, "{said}");
    let (code, _, said) = run(["publish", &url, "a", "x", "--token", "good"]).await;
    assert_eq!(code, 4, "{said}");

    server.hub.try_publish("a", Event::text("x")).unwrap();
    let token = file("token");
    std::fs::write(&token, "good\n").unwrap();
    let from_file = ["--token-file", token.to_str().unwrap()];
    let (code, out, _) = run(subscribe.into_iter().chain(from_file)).await;
    assert_eq!((code, out.lines().count()), (0, 1));
    let mut from_environment = command(subscribe);
    from_environment.env("EVENTCAST_TOKEN", "good");
    assert!(within(from_environment.status()).await.unwrap().success());
    let header = ["-H", "authorization: Bearer good"];
    assert_eq!(run(subscribe.into_iter().chain(header)).await.0, 0);

    let open = TestServer::open().await;
    let url = format!("http://{}", open.address);
    open.hub.complete("done").unwrap();
    let (code, _, said) = run(["publish", &url, "done", "x"]).await;
    assert_eq!(code, 6, "{said}");
    assert_eq!(run(["request", &url, "sum", "x"]).await.0, 6);
    assert_eq!(
        run(["subscribe", &url, "done", "--start", "earliest"])
            .await
            .0,
        0
    );
    let quiet = ["subscribe", &url, "quiet", "--max-time", "0.2"];
    assert_eq!(run(quiet).await.0, 0);
    let (code, _, said) = run(quiet.into_iter().chain(["-n", "2"])).await;
    assert_eq!(code, 5);
    assert!(said.contains("2 events were still to come"), "{said}");

    for address in ["127.0.0.1:8080", "localhost:8080"] {
        let (code, _, said) = run(["subscribe", address, "a"]).await;
        assert_eq!(code, 2);
        assert!(said.contains("does not begin with http://"), "{said}");
    }

    let nowhere = "http://127.0.0.1:1";
    let (code, _, said) = run(["subscribe", nowhere, "a", "--retry-for", "0"]).await;
    assert_eq!(code, 5);
    assert!(said.contains("refused"), "{said}");
    // It goes on trying, and says so in a pipe as well.
    let mut trying = command(["subscribe", nowhere, "a"]).spawn().unwrap();
    let mut said = BufReader::new(trying.stderr.take().unwrap()).lines();
    let said = within(said.next_line()).await.unwrap().expect("a line");
    assert!(said.contains("trying again"), "{said}");
    assert_eq!(
        run(["publish", nowhere, "a", "x", "--retry-for", "0"])
            .await
            .0,
        5
    );
    assert_eq!(run(["history", nowhere, "a"]).await.0, 5);

    for wrong in [
        &["subscribe", nowhere][..],
        &["subscribe", nowhere, "a*b"],
        &["subscribe", nowhere, "a", "--transport", "pigeon"],
        &["subscribe", "gopher://host", "a"],
        &["subscribe", nowhere, "a", "-H", "no colon"],
        &["publish", nowhere, "a", "{", "--type", "json"],
        &["history", nowhere, "a", "--from", "x"],
        &["dance"],
    ] {
        assert_eq!(run(wrong.iter().copied()).await.0, 2, "{wrong:?}");
    }
    let (code, out, _) = run(["subscribe", "--help"]).await;
    assert_eq!(code, 0);
    assert!(out.contains("Exit codes:"));
}

fn published(server: &TestServer, channel: &str) -> Vec<(Option<String>, PayloadKind, Vec<u8>)> {
    let page = server.hub.history(channel, HistoryQuery::oldest_first());
    let events = page.unwrap().events;
    events
        .iter()
        .map(|event| {
            let name = event.name().map(|name| name.to_string());
            let payload = event.payload();
            (name, payload.kind(), payload.as_bytes().to_vec())
        })
        .collect()
}

#[tokio::test]
async fn what_is_published_is_an_argument_or_the_input_or_its_lines() {
    let server = TestServer::open().await;
    let url = url(&server);
    let (code, out, _) = run(["publish", &url, "a", "hello", "--to", "b", "--event", "x"]).await;
    let ids =
        "{\"id\":\"00000007-a1\",\"channel\":\"a\"}\n{\"id\":\"00000007-a2\",\"channel\":\"b\"}\n";
    assert_eq!((code, out.as_str()), (0, ids));
    let hello = (Some("x".to_owned()), PayloadKind::Text, b"hello".to_vec());
    assert_eq!(published(&server, "a"), published(&server, "b"));
    assert_eq!(published(&server, "b"), [hello]);

    let json = [
        "publish",
        &url,
        "json",
        "{\"n\":1}",
        "--type",
        "json",
        "-o",
        "human",
    ];
    let (code, out, _) = run(json).await;
    assert_eq!((code, out.as_str()), (0, "00000007-a3  json\n"));
    assert_eq!(published(&server, "json")[0].1, PayloadKind::Json);

    assert_eq!(
        with_input(&["publish", &url, "c"], b"all\nof it\n").await.0,
        0
    );
    assert_eq!(
        with_input(&["publish", &url, "c", "-"], b"\0\xff").await.0,
        0
    );
    let expected = [
        (None, PayloadKind::Text, b"all\nof it\n".to_vec()),
        (None, PayloadKind::Binary, b"\0\xff".to_vec()),
    ];
    assert_eq!(published(&server, "c"), expected);

    let lines = ["publish", &url, "d", "--lines", "--idempotency-key", "k"];
    assert_eq!(with_input(&lines, b"one\r\n\nthree").await.0, 0);
    // The same input again, and one line more: only that is new.
    assert_eq!(with_input(&lines, b"one\r\n\nthree\nfour\n").await.0, 0);
    let payloads: Vec<_> = published(&server, "d")
        .into_iter()
        .map(|event| event.2)
        .collect();
    assert_eq!(payloads, [&b"one"[..], b"", b"three", b"four"]);

    let json = ["publish", &url, "e", "--lines", "--type", "json"];
    let (code, _, said) = with_input(&json, b"1\n{\n3\n").await;
    assert_eq!(code, 2);
    assert!(
        said.starts_with("eventcast: line 2: --type json: "),
        "{said}"
    );
    assert_eq!(published(&server, "e").len(), 1);
}

struct Shout;

#[async_trait]
impl RequestHandler for Shout {
    async fn answer(&self, request: ClientRequest<'_>) -> Result<Payload, Refusal> {
        let text = request.payload.as_str().unwrap_or_default();
        Ok(Payload::text(text.to_uppercase()))
    }
}

#[tokio::test]
async fn history_goes_over_pages_and_requests_are_answered() {
    let config = ServiceConfig::new().with_authenticator(everything);
    let server = TestServer::start(7, config.with_request_handler(Shout)).await;
    let url = url(&server);
    for count in 0..1_200 {
        server
            .hub
            .try_publish("a", Event::text(count.to_string()))
            .unwrap();
    }
    let (code, out, _) = run(["history", &url, "a", "--all"]).await;
    assert_eq!((code, out.lines().count()), (0, 1_201));
    assert_eq!(
        out.lines().last(),
        Some("{\"type\":\"position\",\"id\":\"00000007-d1200\"}")
    );
    let newest = ["history", &url, "a", "--newest", "-n", "2", "-o", "data"];
    let (_, out, said) = run(newest).await;
    assert_eq!(out, "1199\n1198\n");
    assert_eq!(said, "eventcast: there are more: --from 00000007-d1199\n");
    let (_, out, _) = run([
        "history",
        &url,
        "a",
        "--from",
        "00000007-d1199",
        "-o",
        "data",
    ])
    .await;
    assert_eq!(out, "1199\n");

    let (code, out, _) = run(["request", &url, "shout", "hey"]).await;
    assert_eq!(
        (code, out.as_str()),
        (0, "{\"type\":\"reply\",\"data\":\"HEY\"}\n")
    );
    let (_, out, _) = with_input(&["request", &url, "shout", "-o", "data"], b"you").await;
    assert_eq!(out, "YOU\n");
}

#[tokio::test]
async fn certificates_are_checked_unless_told_otherwise() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth();
    let certificate = vec![made.cert.der().clone()];
    let config = config.with_single_cert(certificate, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let server = TestServer::open().await;
    let address = server.address;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust the server goes away.
                if let Ok(mut client) = acceptor.accept(client).await {
                    let mut onward = TcpStream::connect(address).await.unwrap();
                    let _ = copy_bidirectional(&mut client, &mut onward).await;
                }
            });
        }
    });
    let authority = file("authority.pem");
    let pem = STANDARD.encode(made.cert.der());
    let pem = format!("-----BEGIN CERTIFICATE-----\n{pem}\n-----END CERTIFICATE-----\n");
    std::fs::write(&authority, pem).unwrap();
    let url = format!("https://localhost:{port}");
    let publish = ["publish", &url, "a", "x", "--retry-for", "0"];
    let (code, _, said) = run(publish).await;
    assert_eq!(code, 5);
    assert!(said.contains("certificate"), "{said}");
    let trusting = ["--ca", authority.to_str().unwrap()];
    let (code, _, said) = run(publish.into_iter().chain(trusting)).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(run(publish.into_iter().chain(["--insecure"])).await.0, 0);
    let url = format!("wss://localhost:{port}");
    let subscribe = ["subscribe", &url, "a", "--start", "earliest", "-n", "2"];
    let more = ["--transport", "websocket"].into_iter().chain(trusting);
    let (code, out, said) = run(subscribe.into_iter().chain(more)).await;
    assert_eq!((code, out.lines().count()), (0, 2), "{said}");
    std::fs::write(&authority, "nothing").unwrap();
    let (code, _, said) = run(publish.into_iter().chain(trusting)).await;
    assert_eq!(code, 1);
    assert!(said.contains("no certificate in it"), "{said}");
}

#[tokio::test]
async fn the_environment_names_a_proxy() {
    let server = TestServer::open().await;
    let proxy = Proxy::start(server.address).await;
    let through = format!("http://{}", proxy.address);
    let publish = ["publish", "http://hub.test", "a", "x", "--retry-for", "0"];
    let mut with_proxy = command(publish);
    with_proxy.env("http_proxy", &through);
    // Nobody reads its output, which is no reason not to publish.
    assert!(within(with_proxy.status()).await.unwrap().success());
    assert!(proxy.asked()[0].starts_with("POST http://hub.test/channels/a "));

    let mut with_exception = command(publish);
    with_exception
        .env("HTTP_PROXY", &through)
        .env("NO_PROXY", "hub.test");
    assert_eq!(
        within(with_exception.status()).await.unwrap().code(),
        Some(5)
    );
    let mut without = command(publish.into_iter().chain(["--no-proxy"]));
    without.env("ALL_PROXY", &through);
    assert_eq!(within(without.status()).await.unwrap().code(), Some(5));
    // What is on this machine needs none.
    let url = url(&server);
    let mut local = command(["publish", &url, "a", "x"]);
    local.env("HTTP_PROXY", "http://127.0.0.1:1");
    assert!(within(local.status()).await.unwrap().success());
    assert!(proxy.asked().is_empty());
}
