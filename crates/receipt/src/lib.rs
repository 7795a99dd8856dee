#![doc = include_str!("../README.md")]

pub mod account_event;
pub mod class;
pub mod contact;
mod content;
pub mod event;
pub mod external_id;
pub mod fiscal;
pub mod id;
pub mod intake;
mod limits;
pub mod marking;
pub mod money;
pub mod policy;
pub mod request;
pub mod settings;
pub mod spread;
pub mod state;
pub mod text;

pub use class::{Refusal, RetryClass, Seen, Text};
pub use content::{
    Buyer, Line, Operation, Payment, PaymentKind, PaymentMethod, PaymentObject, Receipt, Seller, TaxSystem,
    UserProperty, Vat,
};
pub use external_id::ExternalId;
pub use fiscal::FiscalDocument;
pub use id::{
    AccountName, DocumentNumber, DocumentPart, EventId, OrderNumber, StoreCode, TransactionId, VendorName, VendorUuid,
};
pub use limits::Limits;
pub use money::{Money, Quantity};
pub use policy::{Decision, Doubt, RetryPolicy};
pub use request::{Fault, FaultCode, Faults, Frozen, RequestV1};
pub use settings::StoreSettings;
pub use state::{Failure, StateName};
