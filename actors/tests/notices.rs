//! What is owed to the outside and its delivery, over the whole tree with fakes of the ports, under paused time.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod notices {
    mod feed;
    mod push;
    pub(super) mod support;
    mod webhooks;
}
