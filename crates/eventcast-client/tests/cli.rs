//! The real binary against a real server.
