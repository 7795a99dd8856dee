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

pub use alert::AlertOrder;
pub(crate) use alert::EXAMPLES;
pub use layout::{Layout, LayoutError};
pub use letter::Letter;
pub use order::{Order, ReportOrder};
pub use report::{Preview, Ready, prepare, preview};
pub use smtp::{Handed, Mailer, Unusable};
