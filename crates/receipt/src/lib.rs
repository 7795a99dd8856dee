#![doc = include_str!("../README.md")]

pub mod account_event;
pub mod callback;
pub mod class;
pub mod contact;
mod content;
pub mod event;
pub mod external_id;
pub mod fiscal;
pub mod found;
pub mod id;
pub mod intake;
mod limits;
pub mod marking;
pub mod money;
pub mod non_fatal;
pub mod ours;
pub mod policy;
pub mod request;
pub mod settings;
pub mod spread;
pub mod state;
pub mod text;
pub mod webhook;

pub use callback::CallbackSecret;
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
pub use non_fatal::ErrorCode;
pub use ours::Expected;
pub use policy::{Decision, Doubt, RetryPolicy};
pub use request::{Fault, FaultCode, Faults, Frozen, RequestV1};
pub use settings::{Sending, StoreSettings};
pub use state::{Failure, StateName};
pub use webhook::{SigningSecret, WebhookSettings};
