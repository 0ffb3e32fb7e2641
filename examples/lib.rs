//! The examples are programs: run one with `cargo run --example NAME`.
//!
//! Here is what several of them share, and the guides of `docs/`, whose Rust snippets are tests.

use bytes::Bytes;
use eventcast::{ErrorCode, Refusal};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Response};

/// Answers `GET /` with a page, for [`ServiceConfig::with_fallback`](eventcast::ServiceConfig). An
/// application with more than a page has a router: see the example `axum_app`.
pub fn page(
    html: &'static str,
) -> impl Fn(&Parts) -> Option<Response<Bytes>> + Send + Sync + 'static {
    move |request| {
        (request.method == Method::GET && request.uri.path() == "/").then(|| {
            let mut response = Response::new(Bytes::from_static(html.as_bytes()));
            let kind = HeaderValue::from_static("text/html; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        })
    }
}

/// Done at Ctrl-C.
pub async fn ctrl_c() {
    // Without a handler there is no signal to wait for, and the program ends.
    tokio::signal::ctrl_c().await.unwrap_or(());
}

/// What a request of a client is refused with that asks for something else than there is.
#[must_use]
pub fn not_found() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "there is no such request")
}

/// The chapters with Rust snippets, each of which `cargo test --doc` compiles and runs.
#[cfg(doctest)]
mod guides {
    macro_rules! chapters {
        ($($name:ident $path:literal)*) => {
            $(
                #[doc = include_str!(concat!("../docs/", $path))]
                mod $name {}
            )*
        };
    }

    chapters! {
        ai_streams "ai-streams.md"
        chat "chat.md"
        deploying "deploying.md"
        get_started "get-started.md"
        migrating_from_broadcast "migrating-from-broadcast.md"
        mounting "mounting.md"
        observability "observability.md"
        resume_and_gaps "resume-and-gaps.md"
        tickers "tickers.md"
        writing_a_log "writing-a-log.md"
        writing_a_replay_buffer "writing-a-replay-buffer.md"
        writing_a_transport "writing-a-transport.md"
    }
}
