//! Run with: cargo xtask fuzz ws_requests
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| eventcast_fuzz::ws_requests(bytes));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    eventcast_fuzz::replay(eventcast_fuzz::ws_requests)
}
