//! The vendor-neutral content of a receipt: what is frozen at acceptance and rendered for a vendor.
//!
//! Values of these types come only from [`crate::request`] (parsed, checked, store defaults filled in) or back from
//! the ledger, which stores exactly that. The structs are `non_exhaustive`, so nobody else can build one unchecked.
//! Field names of the JSON form are those of the stored body and never change their meaning.

use serde::{Deserialize, Serialize};

use crate::money::{Money, Quantity};

macro_rules! coded {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal, $code:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// Every value, in the order of its fiscal code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in requests, in the stored body and in our own output.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The number that the fiscal document carries.
            #[must_use]
            pub const fn tag_value(self) -> u8 {
                match self { $(Self::$variant => $code,)+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = ();
            fn from_str(text: &str) -> Result<Self, ()> {
                Self::ALL.iter().copied().find(|value| value.name() == text).ok_or(())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

coded!(
    /// What is registered. The number is tag 1054 (settlement sign): 1 income, 2 return of income.
    Operation {
        /// A sale.
        Sell = "sell", 1;
        /// A refund.
        Refund = "refund", 2;
        /// The cancelling half of a resell.
        ResellRefund = "resell_refund", 2;
        /// The new sale of a resell.
        ResellSell = "resell_sell", 1;
    }
);

impl Operation {
    /// The shop's document that the operation belongs to, as external ids name it.
    #[must_use]
    pub const fn entity(self) -> &'static str {
        match self {
            Self::Sell | Self::ResellRefund | Self::ResellSell => "invoice",
            Self::Refund => "creditmemo",
        }
    }
}

coded!(
    /// Tax system of the seller (tag 1055).
    TaxSystem {
        /// General.
        Osn = "osn", 1;
        /// Simplified, income.
        UsnIncome = "usn_income", 2;
        /// Simplified, income minus expenses.
        UsnIncomeOutcome = "usn_income_outcome", 4;
        /// Agricultural.
        Esn = "esn", 16;
        /// Patent.
        Patent = "patent", 32;
    }
);

coded!(
    /// VAT rate of a line (tag 1199), through 2026. "0 %" and "no VAT" are different codes with different tax meaning.
    Vat {
        /// 20 %: only refunds and settlements that belong to 2025 or earlier.
        Vat20 = "vat20", 1;
        /// 10 %.
        Vat10 = "vat10", 2;
        /// 20/120.
        Vat120 = "vat120", 3;
        /// 10/110.
        Vat110 = "vat110", 4;
        /// 0 %.
        Vat0 = "vat0", 5;
        /// No VAT.
        None = "none", 6;
        /// 5 %.
        Vat5 = "vat5", 7;
        /// 7 %.
        Vat7 = "vat7", 8;
        /// 5/105.
        Vat105 = "vat105", 9;
        /// 7/107.
        Vat107 = "vat107", 10;
        /// 22 %, the general rate from 2026-01-01 (Federal Law 425-FZ).
        Vat22 = "vat22", 11;
        /// 22/122.
        Vat122 = "vat122", 12;
    }
);

coded!(
    /// Payment method of a line (tag 1214).
    PaymentMethod {
        /// Paid in full before hand-over.
        FullPrepayment = "full_prepayment", 1;
        /// Paid in part before hand-over.
        Prepayment = "prepayment", 2;
        /// Money before the goods are known.
        Advance = "advance", 3;
        /// Final settlement at hand-over.
        FullPayment = "full_payment", 4;
        /// Part paid at hand-over, the rest on credit.
        PartialPayment = "partial_payment", 5;
        /// Hand-over without payment.
        Credit = "credit", 6;
        /// Later payment of such a credit.
        CreditPayment = "credit_payment", 7;
    }
);

coded!(
    /// Payment object of a line (tag 1212), as the format 1.05 knows them.
    PaymentObject {
        /// Goods.
        Commodity = "commodity", 1;
        /// Excise goods.
        Excise = "excise", 2;
        /// Work.
        Job = "job", 3;
        /// Service; delivery is one.
        Service = "service", 4;
        /// Bet.
        GamblingBet = "gambling_bet", 5;
        /// Gambling win.
        GamblingPrize = "gambling_prize", 6;
        /// Lottery intake.
        Lottery = "lottery", 7;
        /// Lottery win.
        LotteryPrize = "lottery_prize", 8;
        /// Use of intellectual property.
        IntellectualActivity = "intellectual_activity", 9;
        /// Advance, deposit, gift card, penalty, bonus.
        Payment = "payment", 10;
        /// Agent's fee.
        AgentCommission = "agent_commission", 11;
        /// Contribution, penalty, fine, bonus.
        Award = "award", 12;
        /// Other.
        Another = "another", 13;
        /// Property right.
        PropertyRight = "property_right", 14;
        /// Non-operating income. The hyphen is the vendor's spelling.
        NonOperatingGain = "non-operating_gain", 15;
        /// Other payments and contributions.
        InsurancePremium = "insurance_premium", 16;
        /// Trade fee.
        SalesTax = "sales_tax", 17;
        /// Resort fee, tourist tax.
        ResortFee = "resort_fee", 18;
        /// Pledge.
        Deposit = "deposit", 19;
        /// Expense that reduces income.
        Expense = "expense", 20;
        /// Pension insurance of a sole trader without staff.
        PensionInsuranceIp = "pension_insurance_ip", 21;
        /// Pension insurance.
        PensionInsurance = "pension_insurance", 22;
        /// Medical insurance of a sole trader without staff.
        MedicalInsuranceIp = "medical_insurance_ip", 23;
        /// Medical insurance.
        MedicalInsurance = "medical_insurance", 24;
        /// Social insurance.
        SocialInsurance = "social_insurance", 25;
        /// Casino exchange.
        CasinoPayment = "casino_payment", 26;
    }
);

coded!(
    /// How it was paid. The number is the one that follows tag 1031 in the vendors' lists: 0 cash (1031),
    /// 1 electronic (1081), 2 prepaid (1215), 3 credit (1216), 4 counter-provision (1217).
    PaymentKind {
        /// Cash.
        Cash = "cash", 0;
        /// Cashless: card, fast payments, bank transfer.
        Electronic = "electronic", 1;
        /// Offset of an earlier prepayment, gift card or store credit.
        Prepaid = "prepaid", 2;
        /// To be paid later.
        Credit = "credit", 3;
        /// Counter-provision.
        Counter = "counter", 4;
    }
);

/// Everything that a vendor needs to know about one receipt, frozen at acceptance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Receipt {
    /// Who buys.
    pub buyer: Buyer,
    /// Who sells: from the store's settings as they were at acceptance.
    pub seller: Seller,
    /// 1 to 100 lines; the sum of their sums is the total.
    pub lines: Vec<Line>,
    /// 1 to 5 payments, one of a kind.
    pub payments: Vec<Payment>,
    /// The total (tag 1020).
    pub total: Money,
    /// Cashier (tag 1021), at most 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cashier: Option<String>,
    /// Additional user property (tag 1084).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_property: Option<UserProperty>,
    /// Additional receipt requisite (tag 1192): the fiscal sign of the receipt that this one mends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_property: Option<String>,
}

/// The buyer. At least one of e-mail and phone is there (tag 1008).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Buyer {
    /// At most 64 ASCII characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// `+` and 1 to 18 digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Name of a company or person (tag 1227).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// INN of the buyer (tag 1228), 10 or 12 digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inn: Option<String>,
}

/// A buyer is personal data: the debug form shows which fields are there and not what they hold.
impl std::fmt::Debug for Buyer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |field: &Option<String>| field.as_ref().map(|_| "…");
        f.debug_struct("Buyer")
            .field("email", &shown(&self.email))
            .field("phone", &shown(&self.phone))
            .field("name", &shown(&self.name))
            .field("inn", &shown(&self.inn))
            .finish()
    }
}

/// The seller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Seller {
    /// INN (tag 1018), 10 or 12 digits.
    pub inn: String,
    /// Tax system (tag 1055).
    pub tax_system: TaxSystem,
    /// Place of settlement (tag 1187), the shop's address on the web.
    pub payment_address: String,
    /// Sender of the receipt (tag 1117).
    pub email: String,
}

/// One line (tag 1059).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Line {
    /// 1 to 128 characters that code page 866 can print (tag 1030).
    pub name: String,
    /// Price of one (tag 1079).
    pub price: Money,
    /// How many (tag 1023).
    pub quantity: Quantity,
    /// `price × quantity`, rounded half up (tag 1043).
    pub sum: Money,
    /// VAT rate (tag 1199).
    pub vat: Vat,
    /// Payment method (tag 1214).
    pub payment_method: PaymentMethod,
    /// Payment object (tag 1212).
    pub payment_object: PaymentObject,
    /// Unit of measure (tag 1197), at most 16 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Marking code as the scanner read it: GS1 `DataMatrix` text, `01` + GTIN + `21` + serial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
    /// Country of origin (tag 1230), three digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country_code: Option<String>,
    /// Customs declaration (tag 1231), at most 32 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declaration_number: Option<String>,
    /// Excise (tag 1229).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excise: Option<Money>,
}

/// One payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Payment {
    /// How it was paid.
    #[serde(rename = "type")]
    pub kind: PaymentKind,
    /// How much.
    pub sum: Money,
}

/// A named value that the seller prints on the receipt (tags 1085 and 1086).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UserProperty {
    /// At most 64 characters.
    pub name: String,
    /// At most 256 characters.
    pub value: String,
}
