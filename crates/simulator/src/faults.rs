//! Faults on purpose: what goes wrong, where, how often and for whom. Shared by all vendors.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::checkonline;
use crate::fault_board::Subject;

/// Everything that is wrong with the simulated vendor right now. The default is a healthy one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Tried in order for each request; the first that matches is the only one that acts.
    pub rules: Vec<Rule>,
    /// Whether the client's account is in order.
    pub account: AccountState,
    /// Whether the registers work. While they are off, documents wait and finally time out.
    pub registers: Registers,
    /// What becomes of callbacks.
    pub callbacks: Callbacks,
    /// Processing takes between these two numbers of milliseconds, in place of what was set at start.
    pub processing_ms: Option<[u64; 2]>,
    /// What becomes of clients of CheckOnline without a certificate that it accepts.
    pub certificates: Certificates,
    /// VAT types refused in `sell` and `buy` as if they were no longer in the schema (as `vat18` was in 2019).
    pub refused_vat: Vec<String>,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The call it meddles with.
    pub at: Point,
    /// Before the request is looked at, or after it was carried out.
    #[serde(default)]
    pub when: When,
    /// How long to wait at that moment before acting, in milliseconds.
    #[serde(default)]
    pub delay_ms: u64,
    /// What happens then.
    #[serde(default, rename = "do")]
    pub action: Action,
    /// The share of matching requests that it acts on, 0 to 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// It acts on so many requests and then never again; without it, for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Only requests to this vendor: `atol`, `checkonline`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Only receipts whose first line's name contains this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
    /// Only receipts whose external id contains this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Only requests to this group of registers, so that one account of several is in trouble.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

fn always() -> f64 {
    1.0
}

impl Rule {
    /// A rule that acts before the request is looked at, on every request, for ever.
    pub fn new(at: Point, action: Action) -> Rule {
        Rule {
            at,
            when: When::Before,
            delay_ms: 0,
            action,
            probability: always(),
            count: None,
            vendor: None,
            marker: None,
            external_id: None,
            group: None,
        }
    }

    /// Lets the request be carried out first, and spoils only its answer.
    #[must_use]
    pub fn after(self) -> Rule {
        Rule {
            when: When::After,
            ..self
        }
    }

    /// Waits first.
    #[must_use]
    pub fn delayed(self, delay: Duration) -> Rule {
        Rule {
            delay_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
            ..self
        }
    }

    /// Acts on the next `count` matching requests only.
    #[must_use]
    pub fn times(self, count: u64) -> Rule {
        Rule {
            count: Some(count),
            ..self
        }
    }

    /// Acts on this share of the matching requests.
    #[must_use]
    pub fn with_probability(self, probability: f64) -> Rule {
        Rule { probability, ..self }
    }

    /// Acts only on requests to this vendor.
    #[must_use]
    pub fn for_vendor(self, vendor: impl Into<String>) -> Rule {
        Rule {
            vendor: Some(vendor.into()),
            ..self
        }
    }

    /// Acts only on receipts whose first line's name contains `marker`.
    #[must_use]
    pub fn for_marker(self, marker: impl Into<String>) -> Rule {
        Rule {
            marker: Some(marker.into()),
            ..self
        }
    }

    /// Acts only on receipts whose external id contains `external_id`.
    #[must_use]
    pub fn for_external_id(self, external_id: impl Into<String>) -> Rule {
        Rule {
            external_id: Some(external_id.into()),
            ..self
        }
    }

    /// Acts only on requests to this group of registers.
    #[must_use]
    pub fn for_group(self, group: impl Into<String>) -> Rule {
        Rule {
            group: Some(group.into()),
            ..self
        }
    }

    pub(crate) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms)
    }

    /// Whether the receipt itself must be known.
    pub(crate) fn has_matcher(&self) -> bool {
        self.marker.is_some() || self.external_id.is_some()
    }

    pub(crate) fn matches(&self, subject: &Subject<'_>) -> bool {
        let within = |wanted: &Option<String>, found: Option<&str>| match (wanted, found) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(wanted), Some(found)) => found.contains(wanted.as_str()),
        };
        let asked = match &self.vendor {
            Some(vendor) => vendor == subject.vendor,
            None => self.action.is_spoken_by(subject.vendor),
        };
        let of_the_group = self.group.as_deref().is_none_or(|group| subject.group == Some(group));
        asked && of_the_group && within(&self.marker, subject.marker) && within(&self.external_id, subject.external_id)
    }
}

/// The call a rule meddles with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    /// The call for a token. It has no receipt and no group, so rules with a matcher never act here.
    GetToken,
    /// The call that hands a document over.
    Register,
    /// The call that asks what became of a document.
    Report,
    /// The work of the register. Knows only `nothing` (with a delay: slow) and `error`. At ATOL it is decided at acceptance
    /// and an error makes the document end in `fail`, unregistered. At CheckOnline it is the answer of the register
    /// (`device`) or of the service (`fce`), with what the service's memory then makes of it; `after` the document was
    /// closed all the same.
    Processing,
}

impl Point {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Point::GetToken => "get_token",
            Point::Register => "register",
            Point::Report => "report",
            Point::Processing => "processing",
        }
    }
}

/// Whether the request still has its effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Nothing is read or stored.
    #[default]
    Before,
    /// Everything is done as usual, and only the answer is spoiled.
    After,
}

/// What goes wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Nothing; with a delay, the call is only slow.
    #[default]
    Nothing,
    /// The TCP connection is closed before the first byte of an answer.
    Cut,
    /// An answer that is not the vendor's, as a proxy gives it: a page of HTML.
    Status {
        /// The HTTP status.
        code: u16,
        /// Seconds in a `Retry-After` header.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
    },
    /// The vendor's own error.
    Error(ErrorAnswer),
    /// HTTP 200 with a body that makes no sense.
    Garbage(Garbage),
}

impl Action {
    /// Whether the vendor could do it: an error in one vendor's words comes from no other.
    fn is_spoken_by(&self, vendor: &str) -> bool {
        match self {
            Action::Error(error) => (vendor == checkonline::NAME) == checkonline::is_kind(&error.kind),
            Action::Nothing | Action::Cut | Action::Status { .. } | Action::Garbage(_) => true,
        }
    }
}

/// An error in the vendor's own form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorAnswer {
    /// `device` and `fce` are CheckOnline's; `system`, `driver`, `agent`, `timeout`, `unknown` and all others ATOL's.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code.
    pub code: i64,
    /// The text; without it the documented one, if there is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The HTTP status; without it the documented one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<u16>,
}

impl ErrorAnswer {
    /// An error with its documented text and HTTP status.
    pub fn new(kind: impl Into<String>, code: i64) -> ErrorAnswer {
        ErrorAnswer {
            kind: kind.into(),
            code,
            text: None,
            http: None,
        }
    }
}

/// Kinds of nonsense under HTTP 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Garbage {
    /// A page of HTML.
    Html,
    /// The first half of a JSON document; of the true answer if there is one (`when: after`).
    Truncated,
    /// JSON with bytes in it that are no UTF-8.
    InvalidUtf8,
    /// No body at all.
    Empty,
}

impl Garbage {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Garbage::Html => "html",
            Garbage::Truncated => "truncated",
            Garbage::InvalidUtf8 => "invalid_utf8",
            Garbage::Empty => "empty",
        }
    }
}

/// The state of the client's account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    /// In order.
    #[default]
    Open,
    /// No password is right.
    WrongPassword,
    /// The user is blocked, for tokens already given out as well.
    Blocked,
}

/// The state of the registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Registers {
    /// At work.
    #[default]
    On,
    /// All off.
    Off,
}

/// How CheckOnline meets a client that has no certificate of its.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certificates {
    /// The handshake ends in an alert.
    #[default]
    Alert,
    /// The handshake succeeds, and a web server answers HTTP 400 with a page.
    Page,
    /// All certificates are revoked: every handshake ends in an alert.
    Revoked,
}

/// What becomes of callbacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Callbacks {
    /// Sent once, after the document has ended.
    #[default]
    On,
    /// Not sent.
    Off,
    /// Each is lost on its way.
    Lost,
    /// Each is sent twice.
    Twice,
    /// Each is sent so many times.
    Repeated(u32),
    /// The document is processed at once, and its callback comes before the answer to the request that brought it.
    Early,
}
