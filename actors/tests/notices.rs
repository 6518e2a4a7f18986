//! What is owed to the outside and its delivery, over the whole tree with fakes of the ports, under paused time.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod notices {
    mod feed;
    mod push;
    pub(super) mod support;
    mod webhooks;
}
