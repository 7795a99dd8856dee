//! Money in kopecks and quantities in thousandths. Nothing here is ever a float.

use std::fmt;
use std::iter::Sum;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// The common maximum of both vendors for one price, one sum and one total: 42 949 672.95 roubles
/// (ATOL v4 document 5.15; the fiscal format's 32 bits of kopecks).
pub const LARGEST_KOPECKS: i64 = 4_294_967_295;
/// The common maximum of a quantity: 99 999.999.
pub const LARGEST_THOUSANDTHS: i64 = 99_999_999;

/// Why a decimal text is not an amount of money or a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDecimal {
    /// Not a plain decimal number: an exponent, a sign without digits, letters, a comma.
    #[error("is not a decimal number such as \"1250.00\"")]
    NotANumber,
    /// More decimals than the type can hold exactly.
    #[error("has more than {0} decimals")]
    TooPrecise(u32),
    /// Below zero.
    #[error("is negative")]
    Negative,
    /// Above the maximum, which is given as text.
    #[error("is above the largest allowed value, {0}")]
    TooLarge(&'static str),
    /// Zero where a thing must be there.
    #[error("is zero")]
    Zero,
}

/// An amount of roubles, exact to the kopeck, from 0 to [`LARGEST_KOPECKS`] when parsed.
///
/// `Display` and serde give a decimal string with two digits: `1250.00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Money(i64);

impl Money {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// Reads a plain decimal text exactly; trailing zeros beyond two decimals are fine, other digits are not.
    ///
    /// # Errors
    /// [`InvalidDecimal`] in words that follow the name of the field.
    pub fn parse(text: &str) -> Result<Self, InvalidDecimal> {
        scaled(text, 2, LARGEST_KOPECKS, "42949672.95").map(Self)
    }

    /// An amount of kopecks that is known to be one: from the database, or from a vendor's answer.
    #[must_use]
    pub const fn from_kopecks(kopecks: i64) -> Self {
        Self(kopecks)
    }

    /// Whole kopecks.
    #[must_use]
    pub const fn kopecks(self) -> i64 {
        self.0
    }

    /// The sum, or `None` when it no longer fits.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The same amount as an exact decimal number of roubles, for a vendor that wants JSON numbers.
    #[must_use]
    pub fn to_decimal(self) -> Decimal {
        Decimal::new(self.0, 2)
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        Self(iter.fold(0, |sum, money| sum.saturating_add(money.0)))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(
            f,
            "{sign}{}.{:02}",
            self.0.unsigned_abs() / 100,
            self.0.unsigned_abs() % 100
        )
    }
}

impl TryFrom<String> for Money {
    type Error = InvalidDecimal;
    fn try_from(text: String) -> Result<Self, InvalidDecimal> {
        Self::parse(&text)
    }
}

impl From<Money> for String {
    fn from(money: Money) -> String {
        money.to_string()
    }
}

/// How much of a thing, exact to a thousandth, above zero and up to [`LARGEST_THOUSANDTHS`] when parsed.
///
/// `Display` and serde give a decimal string without superfluous zeros: `2`, `0.75`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Quantity(i64);

impl Quantity {
    /// One piece.
    pub const ONE: Self = Self(1000);

    /// Reads a plain decimal text exactly.
    ///
    /// # Errors
    /// [`InvalidDecimal`] in words that follow the name of the field.
    pub fn parse(text: &str) -> Result<Self, InvalidDecimal> {
        match scaled(text, 3, LARGEST_THOUSANDTHS, "99999.999")? {
            0 => Err(InvalidDecimal::Zero),
            thousandths => Ok(Self(thousandths)),
        }
    }

    /// Whole thousandths.
    #[must_use]
    pub const fn thousandths(self) -> i64 {
        self.0
    }

    /// The same quantity as an exact decimal number, for a vendor that wants JSON numbers.
    #[must_use]
    pub fn to_decimal(self) -> Decimal {
        Decimal::new(self.0, 3).normalize()
    }

    /// `price × quantity`, rounded half up to the kopeck: what registers check again.
    #[must_use]
    pub fn times(self, price: Money) -> Money {
        let exact = i128::from(price.0) * i128::from(self.0);
        Money(i64::try_from((exact + 500).div_euclid(1000)).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_decimal().fmt(f)
    }
}

impl TryFrom<String> for Quantity {
    type Error = InvalidDecimal;
    fn try_from(text: String) -> Result<Self, InvalidDecimal> {
        Self::parse(&text)
    }
}

impl From<Quantity> for String {
    fn from(quantity: Quantity) -> String {
        quantity.to_string()
    }
}

fn scaled(text: &str, decimals: u32, largest: i64, largest_text: &'static str) -> Result<i64, InvalidDecimal> {
    // `Decimal` alone would also take "1_000", "+5" and " 5"; the contract is digits, one point, digits.
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(InvalidDecimal::NotANumber);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > decimals as usize {
        return Err(InvalidDecimal::TooPrecise(decimals));
    }
    let whole = whole.trim_start_matches('0');
    if whole.len() > 15 {
        return Err(InvalidDecimal::TooLarge(largest_text));
    }
    let joined = format!("{whole}{fraction:0<width$}", width = decimals as usize);
    let value: i64 = joined.parse().map_err(|_| InvalidDecimal::NotANumber)?;
    if value != 0 && text.starts_with('-') {
        return Err(InvalidDecimal::Negative);
    }
    if value > largest {
        return Err(InvalidDecimal::TooLarge(largest_text));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimal_texts_are_read_exactly() {
        for (text, kopecks) in [
            ("0", 0),
            ("450.00", 45_000),
            ("0.01", 1),
            ("5990.5", 599_050),
            ("007.10", 710),
            ("1.000", 100),
        ] {
            assert_eq!(Money::parse(text), Ok(Money(kopecks)), "{text}");
        }
        for text in ["", ".5", "5.", "1e3", "1,50", "+5", " 5", "1_000", "NaN", "٣", "0x10"] {
            assert_eq!(Money::parse(text), Err(InvalidDecimal::NotANumber), "{text}");
        }
        assert_eq!(Money::parse("1.005"), Err(InvalidDecimal::TooPrecise(2)));
        assert_eq!(Money::parse("-1"), Err(InvalidDecimal::Negative));
        assert_eq!(
            Money::parse("42949672.96"),
            Err(InvalidDecimal::TooLarge("42949672.95"))
        );
        assert_eq!(
            Money::parse(&"9".repeat(400)),
            Err(InvalidDecimal::TooLarge("42949672.95"))
        );
        assert_eq!(Quantity::parse("0.000"), Err(InvalidDecimal::Zero));
        assert_eq!(Quantity::parse("2.01").map(Quantity::thousandths), Ok(2010));
    }

    #[test]
    fn a_row_is_rounded_half_up() {
        let row = |price: &str, quantity: &str| {
            Quantity::parse(quantity)
                .expect("valid")
                .times(Money::parse(price).expect("valid"))
                .to_string()
        };
        assert_eq!(row("340.00", "0.75"), "255.00");
        assert_eq!(row("0.01", "0.5"), "0.01");
        assert_eq!(row("0.01", "0.499"), "0.00");
    }

    proptest! {
        #[test]
        fn money_reads_what_it_prints(kopecks in 0..=LARGEST_KOPECKS) {
            prop_assert_eq!(Money::parse(&Money(kopecks).to_string()), Ok(Money(kopecks)));
        }

        #[test]
        fn quantity_reads_what_it_prints(thousandths in 1..=LARGEST_THOUSANDTHS) {
            prop_assert_eq!(Quantity::parse(&Quantity(thousandths).to_string()), Ok(Quantity(thousandths)));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = Money::parse(&text);
            let _ = Quantity::parse(&text);
        }
    }
}
