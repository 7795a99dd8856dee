//! Values that the v4 schemas allow: patterns, limits, enumerations (fact sheet, sections 3.1–3.6 and 8).

use std::sync::LazyLock;

use super::schema::{Pattern, Rule, text};
use crate::exact::Exact;

macro_rules! pattern {
    ($name:ident, $regex:literal) => {
        pub(super) static $name: Pattern =
            LazyLock::new(|| regex::Regex::new($regex).expect("the pattern is a constant"));
    };
}

pattern!(NO_BLANKS, r"^[^\s]+$");
pattern!(SOURCE, r"^[a-zA-Z0-9_\-@\.]+$");
pattern!(INN, r"^([0-9]{10}|[0-9]{12})$");
pattern!(PHONE, r"^([^\s\\]{0,17}|\+[^\s\\]{1,18})$");
pattern!(DIGITS, r"^[0-9]*$");
pattern!(EMAIL, r"^.+@.+$");
pattern!(PHONE_DIGITS, r"^\+\d+$");
// Bytes in hexadecimal, a raw GS1 DataMatrix text, a tobacco code, or a bare 13-digit number.
pattern!(
    NOMENCLATURE,
    r"^([a-fA-F0-9]{2}(\s[a-fA-F0-9]{2}){0,31}|01\d{14}21.{13,}|\d{14}.{15}|\d{13})$"
);
// Not part of the schema: a URL that does not fit is accepted with a warning (section 3.1).
pattern!(
    CALLBACK_MASK,
    r"^http(s?)://[0-9a-zA-Zа-яА-Я]([-.\w]*[0-9a-zA-Zа-яА-Я])*(:(0-9)*)*(/?)([a-zA-Z0-9а-яА-Я\-\.\?,'/\\\+&=%\$#_]*)?$"
);

pub(super) const UNLIMITED: usize = usize::MAX;
/// Ten thousand million: the largest sum since document 5.23.
pub(super) const MOST_MONEY: Exact = Exact::new(10_000_000_000, 0);
pub(super) const KOPECK: Exact = Exact::new(1, 2);
pub(super) const MILLIONTH: Exact = Exact::new(1, 6);
pub(super) const ZERO: Exact = Exact::new(0, 0);

pub(super) static ANY_TEXT: Rule = text(UNLIMITED);
pub(super) static TEXT_12: Rule = text(12);
pub(super) static TEXT_16: Rule = text(16);
pub(super) static TEXT_20: Rule = text(20);
pub(super) static TEXT_24: Rule = text(24);
pub(super) static TEXT_64: Rule = text(64);
pub(super) static TEXT_128: Rule = text(128);
pub(super) static TEXT_256: Rule = text(256);
pub(super) static EMPTY_TEXT: Rule = text(0);
pub(super) static INN_TEXT: Rule = Rule::Text {
    least: 0,
    most: UNLIMITED,
    pattern: Some(&INN),
};
pub(super) static MONEY: Rule = Rule::Number {
    least: ZERO,
    above_least: false,
    most: MOST_MONEY,
    step: Some(KOPECK),
};
pub(super) static MONEY_OR_NULL: Rule = Rule::AnyOf(&[
    Rule::Number {
        least: ZERO,
        above_least: false,
        most: MOST_MONEY,
        step: Some(KOPECK),
    },
    Rule::Null,
]);
pub(super) static FLAG: Rule = Rule::Flag;
pub(super) static PHONES: Rule = Rule::List {
    least: 0,
    most: UNLIMITED,
    of: &Rule::Text {
        least: 0,
        most: UNLIMITED,
        pattern: Some(&PHONE),
    },
};
pub(super) static SNO: Rule = Rule::OneOf(&["osn", "usn_income", "usn_income_outcome", "envd", "esn", "patent"]);
pub(super) static VAT_TYPE: Rule = Rule::OneOf(&[
    "none", "vat0", "vat5", "vat7", "vat10", "vat18", "vat20", "vat22", "vat105", "vat107", "vat110", "vat118",
    "vat120", "vat122",
]);
pub(super) static AGENT_TYPE: Rule = Rule::OneOf(&[
    "bank_paying_agent",
    "bank_paying_subagent",
    "paying_agent",
    "paying_subagent",
    "attorney",
    "commission_agent",
    "another",
]);
pub(super) static PAYMENT_METHOD: Rule = Rule::OneOf(&[
    "full_prepayment",
    "prepayment",
    "advance",
    "full_payment",
    "partial_payment",
    "credit",
    "credit_payment",
]);
// `composite` is gone from the text and still in the schema (section 3.5).
pub(super) static PAYMENT_OBJECT: Rule = Rule::OneOf(&[
    "commodity",
    "excise",
    "job",
    "service",
    "gambling_bet",
    "gambling_prize",
    "lottery",
    "lottery_prize",
    "intellectual_activity",
    "payment",
    "agent_commission",
    "composite",
    "award",
    "another",
    "property_right",
    "non-operating_gain",
    "insurance_premium",
    "sales_tax",
    "resort_fee",
    "deposit",
    "expense",
    "pension_insurance_ip",
    "pension_insurance",
    "medical_insurance_ip",
    "medical_insurance",
    "social_insurance",
    "casino_payment",
]);
