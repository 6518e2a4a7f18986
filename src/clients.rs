//! Clients of what stands outside and speaks HTTP: one HTTP client with its limits, and what is said through it.

pub mod captcha;
pub mod courier;
mod fcm;
pub mod gws;
pub mod http;
pub mod identity;
mod shared;
pub(crate) mod signature;
