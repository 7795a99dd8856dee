//! The simulated CheckOnline as any client meets it: over mutual TLS, with raw requests.

mod client;
mod memories;
mod requests;
