//! What there is now, for `/metrics`: asked of the table now and then.

use ledger::{Gate, Ledger, LedgerError};
use receipt::{StateName, VendorName};
use service::metrics::{self, Breaker};

/// Every vendor of the configuration is told of, also when there is nothing of it: a graph that ends looks like a loss.
pub(crate) async fn measure(ledger: &Ledger, vendors: impl Iterator<Item = VendorName>) -> Result<(), LedgerError> {
    let measures = ledger.measure().await?;
    let gates = ledger.gates().await?;
    metrics::dead_letters(ledger.open_letters().await?);
    metrics::unpublished_events(ledger.unpublished_events().await?);
    let mut vendors: Vec<VendorName> = vendors
        .chain(measures.iter().map(|measure| measure.vendor.clone()))
        .collect();
    vendors.sort_unstable();
    vendors.dedup();
    for vendor in vendors {
        let of_vendor = || measures.iter().filter(|measure| measure.vendor == vendor);
        for state in StateName::ALL.into_iter().filter(|state| is_watched(*state)) {
            let count = of_vendor()
                .find(|measure| measure.state == state)
                .map_or(0, |measure| measure.count);
            metrics::receipts(vendor.as_str(), state.name(), count);
        }
        let pending = of_vendor().filter(|measure| is_pending(measure.state));
        let oldest = pending.map(|measure| measure.oldest).max().unwrap_or_default();
        metrics::oldest_pending(vendor.as_str(), oldest);
    }
    for gate in gates {
        metrics::breaker(gate.account.as_str(), breaker(&gate));
    }
    Ok(())
}

const fn is_watched(state: StateName) -> bool {
    match state {
        StateName::Held
        | StateName::Queued
        | StateName::Sending
        | StateName::Waiting
        | StateName::Retrying
        | StateName::Unknown
        | StateName::Failed => true,
        StateName::Done | StateName::Cancelled => false,
    }
}

/// Whether machines still work on it.
const fn is_pending(state: StateName) -> bool {
    match state {
        StateName::Queued | StateName::Sending | StateName::Waiting | StateName::Retrying => true,
        StateName::Held | StateName::Unknown | StateName::Failed | StateName::Done | StateName::Cancelled => false,
    }
}

fn breaker(gate: &Gate) -> Breaker {
    if gate.pause.is_some() {
        Breaker::Paused
    } else if gate.is_open {
        Breaker::Open
    } else {
        Breaker::Closed
    }
}
