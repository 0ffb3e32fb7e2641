//! The benchmarks: run one with `cargo bench -p eventcast-benches --bench NAME`.
