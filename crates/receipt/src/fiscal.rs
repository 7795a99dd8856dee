//! What a vendor gives back for a registered receipt.

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use crate::money::Money;

/// The tax document of one receipt.
///
/// The triple (FN, FD, FPD) identifies it for everybody outside. The time is the register's local time without a
/// zone, as the fiscal drive keeps it (tag 1012).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiscalDocument {
    /// Number of the fiscal drive (tag 1041), 16 digits; text because of leading zeros.
    #[serde(rename = "fn")]
    pub fn_number: String,
    /// Number of the fiscal document on that drive (tag 1040).
    pub fd: i64,
    /// Fiscal sign (tag 1077), up to 4294967295, as decimal text.
    pub fpd: String,
    /// Shift (tag 1038).
    pub shift: Option<i64>,
    /// Number of the receipt in the shift (tag 1042).
    pub receipt_number: Option<i64>,
    /// Registration number of the cash register (tag 1037), 16 digits.
    pub register_number: Option<String>,
    /// When the register closed the document, in its own local time (tag 1012).
    pub registered_at: DateTime,
    /// Total of the document (tag 1020).
    pub total: Money,
    /// Text of the QR code (tag 1196), when the vendor gives it or it can be built.
    pub qr: Option<String>,
    /// Page of the fiscal data operator that shows the receipt.
    pub ofd_url: Option<String>,
}

impl FiscalDocument {
    /// With the text of the QR code, if the vendor has not given it.
    #[must_use]
    pub fn with_qr_text(mut self, settlement_sign: u8) -> Self {
        if self.qr.is_none() {
            self.qr = Some(self.qr_text(settlement_sign));
        }
        self
    }

    /// The text of the QR code that every register prints: `t=…&s=…&fn=…&i=…&fp=…&n=…`.
    ///
    /// `settlement_sign` is tag 1054: 1 for a sale, 2 for a refund.
    #[must_use]
    pub fn qr_text(&self, settlement_sign: u8) -> String {
        format!(
            "t={}&s={}&fn={}&i={}&fp={}&n={settlement_sign}",
            self.registered_at.strftime("%Y%m%dT%H%M%S"),
            self.total,
            self.fn_number,
            self.fd,
            self.fpd,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_qr_text_is_the_one_that_registers_print() {
        let document = FiscalDocument {
            fn_number: "9960440301177245".into(),
            fd: 48213,
            fpd: "2871940355".into(),
            shift: Some(412),
            receipt_number: Some(37),
            register_number: None,
            registered_at: jiff::civil::date(2026, 2, 14).at(11, 8, 0, 0),
            total: Money::from_kopecks(283_500),
            qr: None,
            ofd_url: None,
        };
        assert_eq!(
            document.qr_text(1),
            "t=20260214T110800&s=2835.00&fn=9960440301177245&i=48213&fp=2871940355&n=1"
        );
    }
}
