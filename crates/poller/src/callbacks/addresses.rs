//! Which addresses are ours.

use std::collections::BTreeMap;
use std::sync::Arc;

use receipt::intake::Directory;
use receipt::{StoreCode, VendorName};
use service::pace::Pace;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use vendors::{Named, Registry, Vendor};

/// Every address that is answered, known by its digest alone.
///
/// One look-up for all of them: vendor, store and secret are digested together, and the digest is compared with every
/// known one in a time that does not depend on what is equal. So a wrong secret of a store that there is takes as long
/// as a store that there is not.
pub(super) struct Addresses {
    digests: Vec<[u8; 32]>,
    /// For each digest the address that it belongs to; a store has several while its secret is being changed.
    owners: Vec<Arc<Address>>,
}

/// Whose callbacks come in.
pub(super) struct Address {
    pub(super) store: StoreCode,
    pub(super) vendor: VendorName,
    pub(super) pace: Pace,
    account: Arc<dyn Vendor>,
}

impl Address {
    /// The registration that a body names.
    pub(super) fn named(&self, body: &[u8]) -> Named {
        self.account
            .caller()
            .map_or_else(Named::default, |caller| caller.named(body))
    }
}

impl Addresses {
    pub(super) fn of(directory: &Directory, registry: &Registry, rate: u32) -> Self {
        // A store whose account was changed still has receipts at the old one: every vendor that calls is listened to.
        let callers: BTreeMap<VendorName, Arc<dyn Vendor>> = registry
            .accounts()
            .filter_map(|account| registry.get(account))
            .filter(|vendor| vendor.caller().is_some())
            .map(|vendor| (vendor.name().clone(), vendor))
            .collect();
        let (mut digests, mut owners) = (Vec::new(), Vec::new());
        for (store, settings) in &directory.stores {
            for (vendor, account) in &callers {
                let address = Arc::new(Address {
                    store: store.clone(),
                    vendor: vendor.clone(),
                    pace: Pace::new(rate),
                    account: Arc::clone(account),
                });
                for secret in &settings.callback_secrets {
                    digests.push(digest(vendor.as_str(), store.as_str(), secret.expose()));
                    owners.push(Arc::clone(&address));
                }
            }
        }
        Self { digests, owners }
    }

    /// The address with these parts, if it is one of ours.
    pub(super) fn find(&self, vendor: &str, store: &str, secret: &str) -> Option<&Arc<Address>> {
        let asked = digest(vendor, store, secret);
        let (mut place, mut found) = (u64::MAX, Choice::from(0));
        for (at, known) in (0_u64..).zip(&self.digests) {
            let equal = known.ct_eq(&asked);
            place.conditional_assign(&at, equal);
            found |= equal;
        }
        bool::from(found)
            .then(|| self.owners.get(usize::try_from(place).ok()?))
            .flatten()
    }
}

/// The zero byte keeps the parts apart: it stands in no configured one.
fn digest(vendor: &str, store: &str, secret: &str) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in [vendor, store, secret] {
        digest.update(part);
        digest.update([0]);
    }
    digest.finalize().into()
}
