//! What every routing adapter has to keep: a start is an invitation, accepted once. The clauses are written
//! against [`Bench`]; whoever builds another adapter builds a bench for it and runs the same clauses. What
//! only the simulator promises (its magic numbers, its journal, its seed) stands in `simulator`.
//!
//! Time is tokio's paused clock: letting a minute pass takes no time, and nothing depends on the machine.

mod bench;
mod clauses;
mod ors_rest;
mod ors_stream;
mod simulator;
