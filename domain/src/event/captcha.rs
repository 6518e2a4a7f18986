//! What became of captcha tokens.

/// How asking about a token ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CaptchaEnd {
    /// It was judged good.
    Passed,
    /// It was not taken.
    Refused,
    /// There was no verdict, and the booking was refused.
    Unavailable,
    /// There was no verdict, and the booking was taken without.
    Unverified,
}

impl CaptchaEnd {
    /// The label in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Unverified => "unverified",
        }
    }
}
