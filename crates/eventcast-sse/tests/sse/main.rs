//! The wire, both ways, and the body, through the public interface.

mod body;
mod encoder;
mod limits;
mod oracle;
mod round_trip;
mod splits;
mod support;
mod vectors;
