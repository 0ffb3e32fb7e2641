//! The table of scenarios, as `clients/README.md` describes it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    pub(crate) version: u32,
    pub(crate) scenarios: Vec<Scenario>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) over: Vec<String>,
    pub(crate) client: Options,
    pub(crate) server: Vec<Answer>,
    #[serde(default)]
    pub(crate) actions: Vec<Action>,
    pub(crate) minutes: Option<u64>,
    pub(crate) expect: Expected,
}

/// Times in ms.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Options {
    pub(crate) channels: Vec<String>,
    #[serde(default)]
    pub(crate) transports: Vec<String>,
    #[serde(default)]
    pub(crate) defaults: bool,
    pub(crate) resume: Option<String>,
    pub(crate) start: Option<String>,
    pub(crate) slow: Option<String>,
    #[serde(default)]
    pub(crate) event: Vec<String>,
    pub(crate) retry: Option<u64>,
    pub(crate) min_retry: Option<u64>,
    pub(crate) max_retry: Option<u64>,
    pub(crate) connect_timeout: Option<u64>,
    pub(crate) attempts_per_minute: Option<u32>,
    pub(crate) max_message: Option<usize>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) tokens: Vec<Option<String>>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    pub(crate) to: Option<String>,
    #[serde(default)]
    pub(crate) times: Times,
    pub(crate) status: Option<u16>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Option<String>,
    pub(crate) problem: Option<String>,
    #[serde(default)]
    pub(crate) cut: bool,
    #[serde(default)]
    pub(crate) silent: bool,
    pub(crate) raw: Option<Vec<String>>,
    pub(crate) messages: Option<Vec<Value>>,
    pub(crate) pieces: Option<usize>,
    #[serde(default)]
    pub(crate) short: usize,
    #[serde(default)]
    pub(crate) then: Then,
    pub(crate) close: Option<u16>,
    #[serde(default)]
    pub(crate) changes: Vec<Change>,
}

/// How many requests an answer is for.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
pub(crate) enum Times {
    Count(u64),
    Word(Always),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Always {
    Always,
}

impl Default for Times {
    fn default() -> Self {
        Self::Count(1)
    }
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Then {
    #[default]
    Hang,
    Cut,
    Repeat,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    pub(crate) subscribe: Option<Vec<String>>,
    pub(crate) unsubscribe: Option<Vec<String>>,
    /// The token that it brings.
    pub(crate) refresh: Option<String>,
    pub(crate) start: Option<String>,
    pub(crate) answer: Option<serde_json::Map<String, Value>>,
    pub(crate) refuse: Option<Refusal>,
    #[serde(default)]
    pub(crate) messages: Vec<Value>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) detail: String,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Action {
    pub(crate) after: Option<Value>,
    pub(crate) subscribe: Option<Vec<String>>,
    pub(crate) unsubscribe: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) refresh: bool,
    pub(crate) start: Option<String>,
    pub(crate) publish: Option<String>,
    pub(crate) request: Option<String>,
    pub(crate) data: Option<Value>,
    pub(crate) name: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) answer: Option<Value>,
    pub(crate) error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Expected {
    pub(crate) told: Option<Vec<Value>>,
    pub(crate) outcome: Option<Value>,
    pub(crate) requests: Option<Vec<Request>>,
    pub(crate) posts: Option<Vec<Post>>,
    pub(crate) pauses: Option<Vec<(u64, u64)>>,
    pub(crate) last_id: Option<String>,
    pub(crate) sent_at_most: Option<usize>,
    pub(crate) per_minute: Option<usize>,
    pub(crate) attempts: Option<(usize, usize)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    pub(crate) transport: Option<String>,
    /// `null` for none; absent if it is not looked at.
    #[serde(default, deserialize_with = "given")]
    pub(crate) id: Option<Option<String>>,
    pub(crate) channels: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) query: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
}

fn given<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Post {
    pub(crate) path: Option<String>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Option<String>,
}
