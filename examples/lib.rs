//! The examples are programs: run one with `cargo run --example NAME`.
