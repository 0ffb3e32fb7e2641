//! Run with: cargo xtask fuzz sse_parser
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| eventcast_fuzz::sse_parser(bytes));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    eventcast_fuzz::replay(eventcast_fuzz::sse_parser)
}
