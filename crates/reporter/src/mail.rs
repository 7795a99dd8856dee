//! Mail: what it says, how it looks, how it is handed over.

mod alert;
mod changes;
mod layout;
mod letter;
mod order;
mod report;
mod said;
mod smtp;
mod view;

pub(crate) use alert::{AlertOrder, EXAMPLES};
pub(crate) use layout::Layout;
pub use layout::LayoutError;
pub(crate) use letter::Letter;
pub(crate) use order::Order;
pub use order::ReportOrder;
pub(crate) use report::prepare;
pub use report::{Preview, preview};
pub(crate) use smtp::Handed;
pub use smtp::{Mailer, Unusable};
