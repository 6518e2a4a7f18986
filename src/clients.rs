//! Clients of what stands outside and speaks HTTP: one HTTP client with its limits, and what is said through it.

pub mod http;
