//! Adapters of the port [`domain::ports::Routing`]: engines that find agents and ring customers.
//!
//! Whatever the engine, a start is an invitation: the flow asks for its attempt with `accepted` and does
//! nothing that a customer could notice before that was granted. The contract tests hold every adapter to it.

pub mod implicit;
pub mod nodes;
pub mod ors_rest;
pub mod ors_stream;
pub mod simulator;
