//! Which codes a store may put into its `non_fatal_codes`: only those that prove the id dead.

use receipt::{ErrorCode, VendorName};

use crate::registry::{KnownCode, known_codes};

/// Letters that may be wrong in a code for it to be suggested.
const MISTYPED: usize = 2;

/// Everything in a list that cannot work at this vendor, one sentence each, beginning with the code.
#[must_use]
pub fn non_fatal_faults(vendor: &VendorName, listed: &[ErrorCode]) -> Vec<String> {
    let known = known_codes(vendor);
    listed.iter().filter_map(|code| fault(vendor, &known, code)).collect()
}

fn fault(vendor: &VendorName, known: &[KnownCode], listed: &ErrorCode) -> Option<String> {
    let Some(row) = known
        .iter()
        .find(|row| row.code == listed.code && row.kind == listed.kind)
    else {
        let hint = nearest(known, listed).map_or_else(String::new, |name| format!("; did you mean {name}?"));
        return Some(format!(
            "{listed}: {vendor} documents no such code, so nothing is known of what it proves{hint}"
        ));
    };
    let cause = &row.cause.en;
    match (row.class, row.proves_dead) {
        ("permanent" | "rekey", true) => None,
        ("retry" | "in_doubt", _) => Some(format!(
            "{listed}: is repeated under the same id anyway, and another id could register the receipt twice ({cause})"
        )),
        ("halt", _) => Some(format!(
            "{listed}: concerns the account; its receipts wait and go out by themselves ({cause})"
        )),
        _ => Some(format!(
            "{listed}: undecided: the receipt may have been registered, and another id would register it twice ({cause})"
        )),
    }
}

/// The same number of another type, or a code that is spelt nearly so.
fn nearest(known: &[KnownCode], listed: &ErrorCode) -> Option<String> {
    let name = |row: &KnownCode| format!("{}:{}", row.kind, row.code);
    let spelt = listed.to_string();
    if let Some(row) = known.iter().find(|row| row.code == listed.code) {
        return Some(name(row));
    }
    known
        .iter()
        .map(|row| (strsim::damerau_levenshtein(&name(row), &spelt), name(row)))
        .filter(|(distance, _)| *distance <= MISTYPED)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(vendor: &str, listed: &[&str]) -> Vec<String> {
        let listed: Vec<ErrorCode> = listed.iter().map(|text| text.parse().expect("a code")).collect();
        non_fatal_faults(&VendorName::parse(vendor).expect("a vendor"), &listed)
    }

    #[test]
    fn every_code_of_every_vendor_may_be_listed_only_if_it_proves_the_id_dead() {
        for vendor in crate::registry::VENDORS {
            let name = VendorName::parse(vendor).expect("a vendor");
            for row in known_codes(&name) {
                let code: ErrorCode = format!("{}:{}", row.kind, row.code).parse().expect("a code");
                let allowed = non_fatal_faults(&name, std::slice::from_ref(&code)).is_empty();
                assert!(!allowed || row.proves_dead, "{code} may be listed and proves nothing");
                let is_about_the_receipt = matches!(row.class, "permanent" | "rekey");
                assert_eq!(
                    allowed,
                    row.proves_dead && is_about_the_receipt,
                    "{code} is {}",
                    row.class
                );
            }
        }
    }

    #[test]
    fn a_code_that_is_refused_is_named_with_the_reason() {
        assert!(faults("atol", &["system:32", "driver:128", "timeout:1"]).is_empty());
        let refused = faults(
            "atol",
            &["driver:6", "system:33", "system:12", "system:128", "driver:99999"],
        );
        for (fault, reason) in refused.iter().zip([
            "driver:6: undecided: the receipt may have been registered",
            "system:33: is repeated under the same id",
            "system:12: concerns the account",
            "system:128: atol documents no such code, so nothing is known of what it proves; did you mean driver:128?",
            "driver:99999: atol documents no such code",
        ]) {
            assert!(fault.starts_with(reason), "{fault}");
        }
        assert_eq!(refused.len(), 5);
    }
}
