//! Callbacks from their booking to their end, over the whole tree with fakes of the ports, under paused time.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod callbacks {
    mod ahead;
    mod begins_another;
    mod captcha;
    mod explain;
    mod failing;
    mod flow;
    mod limits;
    mod load;
    mod moves;
    mod others;
    mod places;
    mod scheduled;
    mod search;
    mod settings;
    mod signals;
    mod slots;
    mod statistics;
    pub(super) mod support;
    mod waits;
}
