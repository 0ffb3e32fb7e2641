//! The benchmarks: run one with `cargo bench --bench NAME`.
