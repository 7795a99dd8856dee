//! A client's view of the simulated ATOL Online v4, over HTTP and with bodies written out by hand.

mod callbacks;
mod client;
mod exchanges;
mod faults;
mod process;
