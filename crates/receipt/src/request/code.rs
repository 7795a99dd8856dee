//! The kinds of faults and warnings, by the words that programs may rely on.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal;)+) => {
        /// What kind of fault (or warning) it is. Programs may rely on the words; they never change their meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum FaultCode {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)+
        }

        impl FaultCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in answers, events and dead letters.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

codes! {
    /// The body is longer than [`crate::request::LONGEST_BODY`].
    BodyTooLarge = "body_too_large";
    /// The body is not UTF-8.
    NotUtf8 = "not_utf8";
    /// The body, or a part of it, is not JSON.
    InvalidJson = "invalid_json";
    /// The routing key is not a store code.
    InvalidRoutingKey = "invalid_routing_key";
    /// Another JSON type is expected.
    WrongType = "wrong_type";
    /// A required field is absent or null.
    MissingField = "missing_field";
    /// The contract has no such field.
    UnknownField = "unknown_field";
    /// A field stands twice in its object.
    DuplicateField = "duplicate_field";
    /// A text holds U+0000.
    NulCharacter = "nul_character";
    /// A word is not one of those that the field takes.
    UnknownValue = "unknown_value";
    /// A name or a number of a document breaks its rule.
    InvalidId = "invalid_id";
    /// The body names another store than the routing key.
    StoreMismatch = "store_mismatch";
    /// Store, document number and part together do not fit into the vendors' key.
    DocumentTooLong = "document_too_long";
    /// Not a plain decimal number.
    InvalidNumber = "invalid_number";
    /// A JSON number in exponent form.
    ExponentForm = "exponent_form";
    /// More decimals than kopecks or thousandths.
    TooPrecise = "too_precise";
    /// Below zero.
    Negative = "negative";
    /// Zero where something must be.
    Zero = "zero";
    /// Above the largest value.
    AboveMaximum = "above_maximum";
    /// A list is empty.
    TooFew = "too_few";
    /// A list is too long.
    TooMany = "too_many";
    /// A text is empty once characters that no register prints are gone.
    EmptyText = "empty_text";
    /// A text that may not be cut is too long.
    TextTooLong = "text_too_long";
    /// Neither e-mail nor phone of the buyer.
    ContactMissing = "contact_missing";
    /// Not an e-mail address that a register can store.
    InvalidEmail = "invalid_email";
    /// Not a phone number.
    InvalidPhone = "invalid_phone";
    /// Not 10 or 12 digits.
    InvalidInn = "invalid_inn";
    /// An INN of the buyer without the buyer's name.
    BuyerNameMissing = "buyer_name_missing";
    /// `sum` of a line is not `price × quantity`.
    RowMismatch = "row_mismatch";
    /// The lines do not add up to the total.
    SumMismatch = "sum_mismatch";
    /// The payments do not add up to the total.
    PaymentsMismatch = "payments_mismatch";
    /// Payments are absent and can't be guessed.
    PaymentsMissing = "payments_missing";
    /// Neither the line nor the store names a VAT rate.
    VatMissing = "vat_missing";
    /// The VAT rate is not yet in force.
    VatNotYet = "vat_not_yet";
    /// The VAT rate is no longer in force.
    VatExpired = "vat_expired";
    /// The VAT rate does not exist under the store's tax system.
    VatTaxSystem = "vat_tax_system";
    /// A credit payment that is not the only line.
    CreditPaymentNotAlone = "credit_payment_not_alone";
    /// Not a marking code.
    InvalidMark = "invalid_mark";
    /// The same marking code twice.
    DuplicateMark = "duplicate_mark";
    /// A marked line whose quantity is not 1.
    MarkQuantity = "mark_quantity";
    /// Not three digits.
    InvalidCountry = "invalid_country";
    /// The list of faults is cut here.
    MoreFaults = "more_faults";

    /// Warning: a text was cut.
    TextCut = "text_cut";
    /// Warning: characters that no register prints were dropped from a text.
    CharactersDropped = "characters_dropped";
    /// Warning: a phone that can't be read was left out; the e-mail stands.
    PhoneDropped = "phone_dropped";
    /// Warning: the check digits of an INN are wrong.
    InnCheckDigits = "inn_check_digits";
    /// Warning: a line at price zero.
    ZeroPrice = "zero_price";
    /// Warning: a VAT rate that does not go with the payment method or the tax system.
    VatUnusual = "vat_unusual";
    /// Warning: a payment object that does not go with the payment method.
    PaymentObjectUnusual = "payment_object_unusual";
    /// Warning: prepayment and settlement in one receipt.
    MixedSettlement = "mixed_settlement";
}

impl fmt::Display for FaultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
