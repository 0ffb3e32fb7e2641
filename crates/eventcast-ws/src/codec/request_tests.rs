//! Requests as clients send them, rightly and wrongly.

use eventcast_core::{Payload, PayloadKind};
use proptest::prelude::*;

use super::request::{Action, MAX_REQUEST_CHANNELS, decode};
use crate::refusal::ErrorCode;

fn action(text: &str) -> Action {
    decode(text).unwrap().action
}

fn refused(text: &str) -> (Option<String>, ErrorCode) {
    let rejected = decode(text).unwrap_err();
    let reference = rejected.reference.map(|r| r.as_json().to_owned());
    (reference, rejected.refusal.code())
}

fn published(fields: &str) -> Payload {
    let text = format!(r#"{{"type":"publish","channel":"a",{fields}}}"#);
    match action(&text) {
        Action::Publish { event, .. } => event.payload().clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn references_are_kept_as_sent() {
    for json in ["1", "-7", r#""a""#, r#""\u00e9\n""#, "9223372036854775807"] {
        let request = decode(&format!(r#"{{"ref":{json},"type":"ping"}}"#)).unwrap();
        assert_eq!(request.reference.unwrap().as_json(), json);
    }
    let longest = "x".repeat(64);
    assert!(decode(&format!(r#"{{"type":"ping","ref":"{longest}"}}"#)).is_ok());
    for json in [
        format!(r#""{longest}x""#),
        "1.5".into(),
        "1e3".into(),
        "true".into(),
        "[1]".into(),
        "18446744073709551616".into(),
        r#""\ud800""#.into(),
    ] {
        let text = format!(r#"{{"type":"ping","ref":{json}}}"#);
        assert_eq!(refused(&text), (None, ErrorCode::BadRequest), "{json}");
    }
    assert_eq!(
        decode(r#"{"type":"ping","ref":null}"#).unwrap().reference,
        None
    );
}

#[test]
fn payloads_are_of_the_kind_that_was_sent() {
    assert_eq!(published(r#""data":"a\nb""#), Payload::text("a\nb"));
    assert_eq!(
        published(r#""data":"AAEC","encoding":"base64""#),
        Payload::binary(vec![0, 1, 2])
    );
    for (fields, json) in [
        (r#""data":"s","encoding":"json""#, r#""s""#),
        (r#""data": {"a": 1.0e3 } "#, r#"{"a": 1.0e3 }"#),
        (r#""data":null"#, "null"),
        (
            r#""data":12345678901234567890123"#,
            "12345678901234567890123",
        ),
        (r#""encoding":"json","data":[]"#, "[]"),
    ] {
        let payload = published(fields);
        assert_eq!(
            (payload.kind(), payload.as_str()),
            (PayloadKind::Json, Some(json))
        );
    }
}

#[test]
fn requests_have_a_name_and_a_payload() {
    let request = |name: &str, payload| Action::Request {
        name: name.to_owned(),
        payload,
    };
    let longest = "x".repeat(100);
    for (fields, expected) in [
        (
            r#""name":"a/é","data":"t""#.to_owned(),
            request("a/é", Payload::text("t")),
        ),
        (
            r#""data":null,"name":"n""#.to_owned(),
            request("n", Payload::json_text("null").unwrap()),
        ),
        (
            r#""encoding":"base64","data":"AA==","name":"n""#.to_owned(),
            request("n", Payload::binary(vec![0])),
        ),
        (
            format!(r#""name":"{longest}","data":"","channel":7"#),
            request(&longest, Payload::text("")),
        ),
    ] {
        assert_eq!(
            action(&format!(r#"{{"type":"request",{fields}}}"#)),
            expected
        );
    }
    let longer = format!(r#"{{"type":"request","name":"{longest}x","data":1}}"#);
    assert_eq!(refused(&longer), (None, ErrorCode::BadRequest));
}

#[test]
fn what_is_wrong_is_told_with_the_reference() {
    let seven = Some("7".to_owned());
    for (fields, code) in [
        (r#""type":"dance""#, ErrorCode::BadRequest),
        (r#""type":7"#, ErrorCode::BadRequest),
        (r#""channels":["a"]"#, ErrorCode::BadRequest),
        (r#""type":"subscribe""#, ErrorCode::BadRequest),
        (r#""type":"subscribe","channels":[]"#, ErrorCode::BadRequest),
        (
            r#""type":"subscribe","channels":"a""#,
            ErrorCode::BadRequest,
        ),
        (
            r#""type":"subscribe","channels":["a",1]"#,
            ErrorCode::BadRequest,
        ),
        (
            r#""type":"subscribe","channels":["a",""]"#,
            ErrorCode::BadChannel,
        ),
        (
            r#""type":"unsubscribe","channels":["a*b"]"#,
            ErrorCode::BadChannel,
        ),
        (r#""type":"publish","data":1"#, ErrorCode::BadRequest),
        (r#""type":"publish","channel":"a""#, ErrorCode::BadRequest),
        (
            r#""type":"publish","channel":"\n","data":1"#,
            ErrorCode::BadChannel,
        ),
        (
            r#""type":"publish","channel":"a","event":"eventcast.gap","data":1"#,
            ErrorCode::BadEvent,
        ),
        (
            r#""type":"publish","channel":"a","encoding":"base64","data":"AAE""#,
            ErrorCode::BadRequest,
        ),
        (
            r#""type":"publish","channel":"a","encoding":"base64","data":1"#,
            ErrorCode::BadRequest,
        ),
        (r#""type":"request","data":1"#, ErrorCode::BadRequest),
        (r#""type":"request","name":"n""#, ErrorCode::BadRequest),
        (
            r#""type":"request","name":1,"data":1"#,
            ErrorCode::BadRequest,
        ),
        (
            r#""type":"request","name":"","data":1"#,
            ErrorCode::BadRequest,
        ),
        (
            r#""type":"request","name":"a\nb","data":1"#,
            ErrorCode::BadRequest,
        ),
        (
            r#""type":"request","name":"eventcast.x","data":1"#,
            ErrorCode::BadRequest,
        ),
        (
            r#""type":"request","name":"n","encoding":"base64","data":"?""#,
            ErrorCode::BadRequest,
        ),
        (
            r#""type":"publish","channel":"a","encoding":"gzip","data":"""#,
            ErrorCode::BadRequest,
        ),
    ] {
        assert_eq!(
            refused(&format!(r#"{{"ref":7,{fields}}}"#)),
            (seven.clone(), code),
            "{fields}"
        );
    }
}

#[test]
fn only_an_object_is_a_request() {
    for text in [
        "",
        " ",
        "null",
        "{",
        "{}}",
        "1",
        r#"["ping"]"#,
        r#"[null]"#,
        r#"{"type":}"#,
        r#"{"type":"ping","type":"ping"}"#,
    ] {
        assert_eq!(refused(text), (None, ErrorCode::BadRequest), "{text}");
    }
}

#[test]
fn unknown_fields_are_for_later_versions() {
    assert_eq!(action(r#"{"type":"ping","since":[{}]}"#), Action::Ping);
}

#[test]
fn the_number_of_channels_is_bounded() {
    let names = vec![r#""a""#; MAX_REQUEST_CHANNELS + 1].join(",");
    let text = format!(r#"{{"type":"subscribe","channels":[{names}]}}"#);
    assert_eq!(refused(&text), (None, ErrorCode::TooManyChannels));
}

#[test]
fn errors_do_not_repeat_what_was_sent() {
    let long = "x".repeat(10_000);
    let rejected = decode(&format!(r#"{{"type":"ping","{long}"}}"#)).unwrap_err();
    assert!(rejected.refusal.message().len() < 200);
}

proptest! {
    #[test]
    fn nothing_panics(text in ".{0,80}") {
        let _ = decode(&text);
    }

    #[test]
    fn nothing_like_a_request_panics(
        parts in proptest::collection::vec(proptest::sample::select(&[
            "{", "}", "[", "]", ":", ",", "\"", "\\", "null", "1e9", "-0", "\\ud800", "\u{0}",
            "\"type\"", "\"ping\"", "\"publish\"", "\"subscribe\"", "\"channels\"",
            "\"channel\"", "\"request\"", "\"name\"", "\"data\"", "\"encoding\"", "\"base64\"", "\"json\"", "\"ref\"", "\"a\"",
        ][..]), 0..24),
    ) {
        let _ = decode(&parts.concat());
    }

    #[test]
    fn text_payloads_come_back(data: String, channel in "[a-z]{1,9}") {
        let data_json = serde_json::to_string(&data).unwrap();
        let text = format!(r#"{{"type":"publish","channel":"{channel}","data":{data_json}}}"#);
        let Action::Publish { event, channel: name } = action(&text) else { panic!() };
        prop_assert_eq!(event.payload().as_str(), Some(&*data));
        prop_assert_eq!(name.as_str(), channel);
    }
}
