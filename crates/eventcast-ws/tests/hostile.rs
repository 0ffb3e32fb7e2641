//! Frames and messages that break the rules: which close code each gets, and that it ends there.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use common::{BINARY, CLOSE, PING, TEXT, close_payload, frame, hub, start};
use eventcast_ws::{CloseCode, Mode, WsConfig, WsEnd};
use tokio::time::Instant;

async fn closed_with(bytes: &[u8], config: WsConfig) -> (u16, WsEnd) {
    let (mut peer, end) = start(hub().subscribe("a").unwrap(), config);
    if config.mode() == Mode::Json {
        peer.text().await;
    }
    peer.send_raw(bytes).await;
    let (code, _) = peer.close().await;
    // The server has shut its side; what is still sent is thrown away.
    assert_eq!(peer.frame().await, None);
    let _ = tokio::io::AsyncWriteExt::write_all(&mut peer.io, &[0; 3000]).await;
    drop(peer);
    (code, end.await.unwrap())
}

async fn violates(bytes: &[u8], code: CloseCode) {
    let config = WsConfig::new().with_max_message(1000);
    let expected = (code.code(), WsEnd::Violation { code });
    assert_eq!(closed_with(bytes, config).await, expected, "{bytes:?}");
}

#[tokio::test(start_paused = true)]
async fn frames_that_break_rfc_6455() {
    for bytes in [
        b"\x81\x02{}".to_vec(), // §5.1: not masked
        frame(0xc1, b"{}"),     // §5.2: RSV1
        frame(0xa1, b"{}"),     // RSV2
        frame(0x91, b"{}"),     // RSV3
        frame(0x83, b"{}"),     // reserved opcodes
        frame(0x87, b"{}"),
        frame(0x8b, b""),
        frame(0x8f, b""),
        frame(PING, &[0; 126]), // §5.5: control frame too long
        frame(0x09, b"p"),      // control frame in fragments
        frame(0x08, b""),
        frame(0x80, b"{}"), // §5.4: nothing to continue
        [frame(0x01, b"{"), frame(TEXT, b"}")].concat(), // fragments not ended
        frame(CLOSE, b"\x03"), // §5.5.1: half a code
    ] {
        violates(&bytes, CloseCode::ProtocolError).await;
    }
}

/// §7.4: such codes are not sent on the wire.
#[tokio::test(start_paused = true)]
async fn close_codes_that_are_not_allowed() {
    for code in [0, 999, 1005, 1006, 1015, 1016, 2999, 5000] {
        let bytes = frame(CLOSE, &close_payload(code, ""));
        let end = closed_with(&bytes, WsConfig::new()).await;
        assert_eq!(
            end,
            (1002, WsEnd::PeerClosed { code: Some(1002) }),
            "{code}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_too_large() {
    for bytes in [
        frame(TEXT, &[b' '; 1001]),
        // Refused by the length alone: the payload never comes.
        b"\x81\xff\x00\x00\x00\x00\xff\xff\xff\xff\x00\x00\x00\x00".to_vec(),
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00".to_vec(),
        [frame(0x01, &[b' '; 600]), frame(0x80, &[b' '; 600])].concat(),
        [frame(0x02, &[b' '; 600]), frame(0x00, &[b' '; 600])].concat(),
    ] {
        violates(&bytes, CloseCode::TooLarge).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_largest_message_is_taken() {
    let config = WsConfig::new().with_max_message(1000);
    let (mut peer, _end) = start(hub().subscribe("a").unwrap(), config);
    peer.text().await;
    peer.request(&format!("{:1000}", r#"{"type":"ping"}"#))
        .await;
    peer.expect(&[r#"{"type":"pong"}"#]).await;
}

/// §8.1.
#[tokio::test(start_paused = true)]
async fn text_that_is_not_utf_8() {
    for bytes in [
        frame(TEXT, b"{\xff}"),
        frame(TEXT, b"\xed\xa0\x80"),
        [frame(0x01, b"\xc3"), frame(0x80, b"\x28")].concat(),
        [frame(0x01, b"{}"), frame(0x80, b"\xc3")].concat(),
        frame(CLOSE, b"\x03\xe8\xff"),
    ] {
        violates(&bytes, CloseCode::InvalidData).await;
    }
}

#[tokio::test(start_paused = true)]
async fn text_cut_within_a_character_is_whole_again() {
    let (mut peer, _end) = start(hub().subscribe("a").unwrap(), WsConfig::new());
    peer.text().await;
    peer.send(0x01, b"{\"type\":\"ping\",\"ref\":\"\xc3").await;
    peer.send(0x80, b"\xa9\"}").await;
    peer.expect(&[r#"{"type":"pong","ref":"é"}"#]).await;
}

#[tokio::test(start_paused = true)]
async fn messages_of_a_kind_that_the_mode_does_not_take() {
    violates(&frame(BINARY, b"{}"), CloseCode::Unsupported).await;
    let code = CloseCode::Unsupported;
    for first in [TEXT, BINARY] {
        let plain = WsConfig::new().with_mode(Mode::Plain);
        let end = closed_with(&frame(first, b"{}"), plain).await;
        assert_eq!(end, (1003, WsEnd::Violation { code }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_stops_sending_is_cut_in_bounded_time() {
    let (mut peer, end) = start(hub().subscribe("a").unwrap(), WsConfig::new());
    peer.text().await;
    peer.send_raw(b"\x81\x02{}").await;
    let flood = tokio::spawn(async move {
        while tokio::io::AsyncWriteExt::write_all(&mut peer.io, &[0; 4096])
            .await
            .is_ok()
        {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    });
    let code = CloseCode::ProtocolError;
    let begin = Instant::now();
    assert_eq!(end.await.unwrap(), WsEnd::Violation { code });
    assert_eq!(begin.elapsed().as_secs(), 5);
    flood.await.unwrap();
}
