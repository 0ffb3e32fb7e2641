//! Run with: cargo xtask fuzz ops
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| eventcast_fuzz::ops(bytes));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    eventcast_fuzz::replay(eventcast_fuzz::ops)
}
