//! Every key that this service uses in the Redis of the voice services. All of them are in the hash slot of the stream,
//! so that one script can use them together in a cluster, too.

use domain::ids::CallbackId;

/// Names keys beside one stream.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    stream: String,
}

impl Keys {
    /// For the stream of that name, which holds no braces.
    pub(super) fn new(stream: &str) -> Self {
        Self { stream: stream.to_owned() }
    }

    /// The stream itself.
    pub(super) fn stream(&self) -> &str {
        &self.stream
    }

    /// What probes write.
    pub(super) fn probe(&self) -> String {
        format!("{{{}}}:cb:probe", self.stream)
    }

    /// The register of a callback: `attempt entry-id notAfter` of the highest attempt that entered, or `closed`.
    pub(super) fn register(&self, callback: CallbackId) -> String {
        format!("{{{}}}:cb:{callback}", self.stream)
    }
}
