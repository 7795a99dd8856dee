//! What can go wrong in a run.

use serde::{Serialize, Serializer};

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A process is killed, and another started a moment later.
    Sigkill(Role),
    /// A process stands still, now and then for longer than its leases.
    Sigstop(Role),
    /// The whole node is killed; every third time it comes back with nothing in it.
    BrokerKill9,
    /// `pg_ctl stop --mode=immediate`, and a start a moment later.
    PostgresImmediateStop,
    /// Connections are cut, and new ones are not taken for a moment.
    Cut(Pair),
    /// Every byte comes late and few of them pass; now and then none does.
    Slow(Pair),
    /// The vendor misbehaves.
    Vendor(VendorFault),
    /// Every queue of the fleet is deleted with what is in it.
    DeletedQueues,
}

/// Which process of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// `kassa run sender`
    Sender,
    /// `kassa run poller`
    Poller,
    /// `kassa run http`
    Http,
}

/// Who talks to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pair {
    /// Every process of the fleet and its database.
    FleetPostgres,
    /// Every process of the fleet and the broker.
    FleetBroker,
    /// Every process of the fleet and the vendor.
    FleetVendor,
    /// The shop and the broker.
    ShopBroker,
    /// The vendor that calls back, and the fleet.
    VendorFleet,
}

/// What a vendor does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VendorFault {
    /// It answers 500, before or after it has done what it was asked.
    Status500,
    /// A proxy before it answers 502 with a page of HTML.
    Status502,
    /// Its answer never comes, whether it has done what it was asked or not.
    Timeout,
    /// HTTP 200 with nonsense.
    Garbage,
    /// The connection is cut after it has registered.
    CutAfterRegistration,
    /// Every token that it gave out is revoked.
    ExpiredTokens,
    /// Its cash registers fail: refusals that are final, that prove the id dead, that decide nothing, and that pass, some of
    /// them after the document was closed.
    DeviceErrors,
    /// Its callbacks come many times, and forged ones among them.
    DuplicateCallbacks,
    /// It accepts no client's certificate.
    RevokedCertificates,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 28] = [
        Self::Sigkill(Role::Sender),
        Self::Sigkill(Role::Poller),
        Self::Sigkill(Role::Http),
        Self::Sigstop(Role::Sender),
        Self::Sigstop(Role::Poller),
        Self::Sigstop(Role::Http),
        Self::BrokerKill9,
        Self::PostgresImmediateStop,
        Self::Cut(Pair::FleetPostgres),
        Self::Cut(Pair::FleetBroker),
        Self::Cut(Pair::FleetVendor),
        Self::Cut(Pair::ShopBroker),
        Self::Cut(Pair::VendorFleet),
        Self::Slow(Pair::FleetPostgres),
        Self::Slow(Pair::FleetBroker),
        Self::Slow(Pair::FleetVendor),
        Self::Slow(Pair::ShopBroker),
        Self::Slow(Pair::VendorFleet),
        Self::Vendor(VendorFault::Status500),
        Self::Vendor(VendorFault::Status502),
        Self::Vendor(VendorFault::Timeout),
        Self::Vendor(VendorFault::Garbage),
        Self::Vendor(VendorFault::CutAfterRegistration),
        Self::Vendor(VendorFault::ExpiredTokens),
        Self::Vendor(VendorFault::DeviceErrors),
        Self::Vendor(VendorFault::DuplicateCallbacks),
        Self::Vendor(VendorFault::RevokedCertificates),
        Self::DeletedQueues,
    ];

    /// The word in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sigkill(Role::Sender) => "sigkill_sender",
            Self::Sigkill(Role::Poller) => "sigkill_poller",
            Self::Sigkill(Role::Http) => "sigkill_http",
            Self::Sigstop(Role::Sender) => "sigstop_sender",
            Self::Sigstop(Role::Poller) => "sigstop_poller",
            Self::Sigstop(Role::Http) => "sigstop_http",
            Self::BrokerKill9 => "broker_kill9",
            Self::PostgresImmediateStop => "postgres_immediate_stop",
            Self::Cut(Pair::FleetPostgres) => "cut_fleet_postgres",
            Self::Cut(Pair::FleetBroker) => "cut_fleet_broker",
            Self::Cut(Pair::FleetVendor) => "cut_fleet_vendor",
            Self::Cut(Pair::ShopBroker) => "cut_shop_broker",
            Self::Cut(Pair::VendorFleet) => "cut_vendor_fleet",
            Self::Slow(Pair::FleetPostgres) => "slow_fleet_postgres",
            Self::Slow(Pair::FleetBroker) => "slow_fleet_broker",
            Self::Slow(Pair::FleetVendor) => "slow_fleet_vendor",
            Self::Slow(Pair::ShopBroker) => "slow_shop_broker",
            Self::Slow(Pair::VendorFleet) => "slow_vendor_fleet",
            Self::Vendor(VendorFault::Status500) => "vendor_500",
            Self::Vendor(VendorFault::Status502) => "vendor_502",
            Self::Vendor(VendorFault::Timeout) => "vendor_timeout",
            Self::Vendor(VendorFault::Garbage) => "vendor_garbage",
            Self::Vendor(VendorFault::CutAfterRegistration) => "vendor_cut_after_registration",
            Self::Vendor(VendorFault::ExpiredTokens) => "vendor_expired_tokens",
            Self::Vendor(VendorFault::DeviceErrors) => "vendor_device_errors",
            Self::Vendor(VendorFault::DuplicateCallbacks) => "duplicate_callbacks",
            Self::Vendor(VendorFault::RevokedCertificates) => "vendor_revoked_certificates",
            Self::DeletedQueues => "deleted_queues",
        }
    }

    /// The shortest and the longest time that one strike lasts, in milliseconds.
    pub(super) const fn span(self) -> [u64; 2] {
        match self {
            Self::Sigkill(_) | Self::BrokerKill9 | Self::PostgresImmediateStop => [100, 2_000],
            Self::Sigstop(_) => [300, 3_000],
            Self::Cut(_) | Self::Vendor(VendorFault::ExpiredTokens | VendorFault::RevokedCertificates) => [0, 3_000],
            Self::Slow(_) => [2_000, 6_000],
            // Long enough that receipts are taken meanwhile, whatever else is broken.
            Self::Vendor(VendorFault::DuplicateCallbacks | VendorFault::DeviceErrors) => [5_000, 8_000],
            Self::Vendor(
                VendorFault::Status500
                | VendorFault::Status502
                | VendorFault::Timeout
                | VendorFault::Garbage
                | VendorFault::CutAfterRegistration,
            ) => [2_000, 5_000],
            Self::DeletedQueues => [0, 0],
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_is_listed_once_and_has_a_name_of_its_own() {
        let kinds: BTreeSet<Kind> = Kind::ALL.into_iter().collect();
        let names: BTreeSet<&str> = Kind::ALL.into_iter().map(Kind::name).collect();
        assert_eq!((kinds.len(), names.len()), (Kind::ALL.len(), Kind::ALL.len()));
    }
}
