//! What is sent and answered, as the service spells it (manual 3.2.0; later fields from live clients).

mod answer;
mod request;

pub(super) use answer::{Answer, Said, qr_value};
pub(super) use request::{Inexpressible, Sent, complex};
