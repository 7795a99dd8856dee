//! Exact decimal numbers out of JSON.
//!
//! `serde_json` keeps a number with a point as a binary float, but its shortest text gives back every decimal of up to
//! 15 significant digits unchanged, and the largest sum a vendor takes has 12. So the text is read, never the float.

use serde_json::Number;

/// How many places after the point an [`Exact`] keeps; finer digits only make it "not a multiple" of any step.
const PLACES: u32 = 10;
const ONE: i128 = 10i128.pow(PLACES);

/// A decimal number in units of 10⁻¹⁰. Numbers too large for it become the largest there is, above every maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Exact(i128);

impl Exact {
    /// `units` × 10^-`places`, for the constants of a rule table; `places` is at most ten.
    pub(crate) const fn new(units: i64, places: u32) -> Exact {
        Exact(units as i128 * 10i128.pow(PLACES - places))
    }

    pub(crate) fn of(number: &Number) -> Exact {
        Exact::parse(&number.to_string())
    }

    /// Reads what JSON allows as a number. Only such text is given to it, so other characters count as nothing.
    fn parse(text: &str) -> Exact {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().unwrap_or(i64::MAX)),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        // The place of the last digit read, counted in units of 10⁻¹⁰: positive means digits must be appended.
        let fraction_digits = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
        let mut shift = exponent
            .saturating_add(i64::from(PLACES))
            .saturating_sub(fraction_digits);
        let mut units: i128 = 0;
        for digit in whole.bytes().chain(fraction.bytes()).filter(u8::is_ascii_digit) {
            units = units.saturating_mul(10).saturating_add(i128::from(digit - b'0'));
        }
        while shift > 0 && units != 0 && units != i128::MAX {
            units = units.saturating_mul(10);
            shift -= 1;
        }
        let mut lost = false;
        while shift < 0 && units != 0 {
            lost |= units % 10 != 0;
            units /= 10;
            shift += 1;
        }
        if lost {
            // Something finer than our unit was there; an odd unit keeps it from passing for a round number.
            units |= 1;
        }
        Exact(if negative { -units } else { units })
    }

    pub(crate) fn is_multiple_of(self, step: Exact) -> bool {
        self.0 % step.0 == 0
    }

    /// The value in units of 10^-`places`, cut to whole ones.
    pub(crate) fn units(self, places: u32) -> i128 {
        self.0 / 10i128.pow(PLACES - places)
    }

    /// The value in kopecks, cut to whole ones and to what fits.
    pub(crate) fn kopecks(self) -> i64 {
        i64::try_from(self.0 / (ONE / 100)).unwrap_or(i64::MAX)
    }
}

/// Kopecks as a decimal string with two places: `2835.00`.
pub(crate) fn decimal_text(kopecks: i64) -> String {
    let sign = if kopecks < 0 { "-" } else { "" };
    let kopecks = kopecks.unsigned_abs();
    format!("{sign}{}.{:02}", kopecks / 100, kopecks % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Exact {
        Exact::of(&serde_json::from_str::<Number>(json).expect("a JSON number"))
    }

    #[test]
    fn numbers_are_read_as_they_were_written() {
        for (json, kopecks) in [
            ("0", 0),
            ("0.1", 10),
            ("1290.00", 129_000),
            ("2835", 283_500),
            ("0.29", 29),
            ("1.15", 115),
            ("9999999999.99", 999_999_999_999),
            ("1e2", 10_000),
            ("2.5E-1", 25),
            ("-1", -100),
        ] {
            assert_eq!(read(json).kopecks(), kopecks, "{json}");
            assert!(read(json).is_multiple_of(Exact::new(1, 2)), "{json}");
        }
    }

    #[test]
    fn digits_finer_than_a_step_are_noticed() {
        for json in ["0.001", "1e-7", "1e-300", "100.0000000001", "0.12345678901234"] {
            assert!(!read(json).is_multiple_of(Exact::new(1, 2)), "{json}");
        }
    }

    #[test]
    fn a_huge_number_is_above_every_maximum() {
        assert!(read("1e308") > Exact::new(i64::MAX, 0));
        assert!(read("18446744073709551615") > Exact::new(10_000_000_000, 0));
    }

    #[test]
    fn kopecks_are_written_with_two_places() {
        assert_eq!(decimal_text(283_500), "2835.00");
        assert_eq!(decimal_text(5), "0.05");
        assert_eq!(decimal_text(-1), "-0.01");
    }
}
