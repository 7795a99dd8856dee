//! What a vendor's refusal, or silence, means for the receipt.
//!
//! The class is decided where the knowledge is, in the vendor's code table. The delay is decided in
//! [`crate::policy`], the action in `sender` and `poller`. Nothing else decides, and nothing decides by reading text.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Whether the vendor may have seen the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Seen {
    /// It certainly did not reach the registering part: refused, DNS, connect timeout, 429, a failing token call.
    No,
    /// It was written and the outcome is not known: timeout, cut connection, 5xx, unreadable body.
    Maybe,
    /// The vendor says that it is carrying out an earlier call of ours with the same id at this moment (`CheckOnline`'s
    /// FCE 24). As doubtful as [`Seen::Maybe`], but no send of ours failed, so no trial is spent on it.
    Running,
}

/// The five answers to "what now?".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetryClass {
    /// Repeat under the same id with the same bytes, later.
    Retry {
        /// Whether the try leaves a doubt behind.
        seen: Seen,
        /// The vendor's own wish (`Retry-After`).
        after: Option<Duration>,
    },
    /// The answer proves that the id is dead and nothing was registered under it: repeat under the next id.
    Rekey,
    /// Nothing of this account will succeed until a person acts: credentials, group, certificate.
    Halt {
        /// Whether the answer is about the account alone (token call, certificate). Otherwise it was given to one
        /// receipt, and only several receipts together show that the account is meant.
        certain: bool,
    },
    /// This receipt will never be accepted as it is. A person must correct it.
    Permanent,
    /// It may have been registered and no repetition can tell. A person must look.
    Unknown,
}

impl RetryClass {
    /// A plain "try again, it was not seen".
    pub const NOT_SEEN: Self = Self::Retry {
        seen: Seen::No,
        after: None,
    };
    /// A plain "try again, it may have been seen".
    pub const MAYBE_SEEN: Self = Self::Retry {
        seen: Seen::Maybe,
        after: None,
    };

    /// The word in the table `attempts` and in metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Retry { seen: Seen::No, .. } => "retry",
            Self::Retry { seen: Seen::Maybe, .. } => "in_doubt",
            Self::Retry {
                seen: Seen::Running, ..
            } => "running",
            Self::Rekey => "rekey",
            Self::Halt { .. } => "halt",
            Self::Permanent => "permanent",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the try leaves a doubt behind: the vendor may hold the receipt, and no answer says so.
    #[must_use]
    pub const fn leaves_doubt(&self) -> bool {
        match self {
            Self::Retry {
                seen: Seen::Maybe | Seen::Running,
                ..
            }
            | Self::Unknown => true,
            Self::Retry { seen: Seen::No, .. } | Self::Rekey | Self::Halt { .. } | Self::Permanent => false,
        }
    }
}

/// One sentence in the two languages of our users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// Russian.
    pub ru: String,
    /// English.
    pub en: String,
}

impl Text {
    /// Both languages at once.
    pub fn new(ru: impl Into<String>, en: impl Into<String>) -> Self {
        Self {
            ru: ru.into(),
            en: en.into(),
        }
    }
}

/// Why a call did not do what it should, with everything that people and the policy need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What it means for the receipt.
    pub class: RetryClass,
    /// The vendor's error type (`system`, `driver`, `agent`, `timeout`), or `transport` when there was no answer.
    pub kind: String,
    /// The vendor's code, or a word for a transport failure (`timeout`, `connect`, `cut`, `http_502`).
    pub code: String,
    /// The vendor's own words, cut and masked; may be empty. Shown to people, never read by a decision.
    pub message: String,
    /// What happened.
    pub cause: Text,
    /// What to do about it.
    pub cure: Text,
}
