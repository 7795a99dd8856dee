#![doc = include_str!("../README.md")]

mod atol;
mod books;
mod checkonline;
mod control;
mod exact;
mod fault_board;
mod faults;
mod interference;
mod server;
mod shared;
mod simulator;
mod traffic;

pub use books::{Books, Document, Failure, FiscalDocument, Status, Traffic};
pub use checkonline::{Certificate, CheckOnlineFiles};
pub use control::Control;
pub use fault_board::{FaultsInForce, InvalidFaults};
pub use faults::{
    AccountState, Action, Callbacks, Certificates, ErrorAnswer, Faults, Garbage, Point, Registers, Rule, When,
};
pub use simulator::{Account, Builder, Simulator, StartError};
