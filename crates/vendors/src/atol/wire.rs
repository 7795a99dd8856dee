//! What goes over the wire, as ATOL Online spells it (v4, format 1.05).

mod answer;
mod request;

pub(super) use answer::{Answer, ErrorBody, Payload, Status, TokenAnswer};
pub(super) use request::{Inexpressible, LONGEST_CALLBACK_URL, SentBuyer, TokenRequest, registration, segment};

/// `dd.mm.yyyy HH:MM:SS`; the zone is not written anywhere, and registers and clients use Moscow's.
const TIMESTAMP: &str = "%d.%m.%Y %H:%M:%S";
