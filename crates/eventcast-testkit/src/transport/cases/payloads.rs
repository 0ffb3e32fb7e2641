//! Every kind of payload.

use eventcast_core::{Event, Start};

use crate::transport::check::same;
use crate::transport::harness::Harness;
use crate::transport::link::Link;
use crate::transport::stage::{Stage, twin};

async fn arrive(harness: &dyn Harness, events: Vec<Event>) -> Result<(), String> {
    let mut stage = Stage::new();
    let reference = stage.session(&["a"], Start::Live)?;
    let mut link = Link::open(harness, stage.session(&["a"], Start::Live)?);
    for (number, event) in events.into_iter().enumerate() {
        let event = match number % 3 {
            0 => event,
            1 => event.named("name").map_err(|error| error.to_string())?,
            _ => event.named("n: äß☃").map_err(|error| error.to_string())?,
        };
        stage.publish("a", event)?;
    }
    let seen = link.read().await?;
    same(&seen, &twin(reference), harness.capabilities())
}

/// Text arrives as it was published, whatever is in it; so do names.
pub async fn text_arrives_as_published(harness: &dyn Harness) -> Result<(), String> {
    let texts = [
        "",
        "plain",
        " spaces around ",
        "two\nlines",
        "\nlines\r\nof\rall\n\rkinds\n\n",
        "\n",
        "\r",
        "data: x\nid: 7\nevent: y\n\n: comment",
        ":",
        "{\"id\":\"7\"}",
        "\"quoted\" \\ back",
        "\u{0}\u{1}\u{1f}\u{7f}\u{85}",
        "\u{feff}mark, \u{2028} and \u{2029}",
        "äß☃ 🦀",
    ];
    arrive(harness, texts.map(Event::text).to_vec()).await
}

/// Bytes arrive as they were published: all of them, and of every length modulo three.
pub async fn binary_arrives_as_published(harness: &dyn Harness) -> Result<(), String> {
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let parts = [0, 1, 2, 3, 4, 5, 125, 126, 256];
    let events = parts.map(|length| Event::binary(all[all.len() - length..].to_vec()));
    arrive(harness, events.to_vec()).await
}

/// JSON arrives as it was published, digit for digit.
pub async fn json_arrives_as_published(harness: &dyn Harness) -> Result<(), String> {
    #[cfg(feature = "json")]
    {
        let texts = [
            "null",
            "{\"a\": 1.0e3,  \"a\":[]}",
            "12345678901234567890.0100",
            "\"a string \\u00e4 \\/ ☃\"",
            "[true, \"data: x\\n\\nid: 7\"]",
            "{\"id\":\"7\",\"type\":\"gap\",\"channel\":\"x\"}",
        ];
        let events = texts.map(|text| eventcast_core::Payload::json_text(text).map(Event::new));
        let events: Result<Vec<_>, _> = events.into_iter().collect();
        arrive(harness, events.map_err(|error| error.to_string())?).await
    }
    #[cfg(not(feature = "json"))]
    arrive(harness, Vec::new()).await
}
