//! What becomes of messages between nodes.

/// What became of a message between nodes, or of a hint that was to go into one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BusEnd {
    /// A message was sent.
    Sent,
    /// A message of another node was taken in.
    Received,
    /// A message was left alone: of another version, too long, or not to be read.
    Ignored,
    /// A hint, or a message, was given up: the way is closed, or there is more than fits.
    Dropped,
}

impl BusEnd {
    /// Every end.
    pub const ALL: [Self; 4] = [Self::Sent, Self::Received, Self::Ignored, Self::Dropped];

    /// The label in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Received => "received",
            Self::Ignored => "ignored",
            Self::Dropped => "dropped",
        }
    }
}
