//! The operations of v4 (fact sheet, section 2).

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Sell,
    SellRefund,
    Buy,
    BuyRefund,
    SellCorrection,
    BuyCorrection,
}

impl Operation {
    /// Reads the last segment of the path. The two refund corrections exist in v5 only.
    pub(super) fn parse(segment: &str) -> Option<Operation> {
        Some(match segment {
            "sell" => Operation::Sell,
            "sell_refund" => Operation::SellRefund,
            "buy" => Operation::Buy,
            "buy_refund" => Operation::BuyRefund,
            "sell_correction" => Operation::SellCorrection,
            "buy_correction" => Operation::BuyCorrection,
            _ => return None,
        })
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Operation::Sell => "sell",
            Operation::SellRefund => "sell_refund",
            Operation::Buy => "buy",
            Operation::BuyRefund => "buy_refund",
            Operation::SellCorrection => "sell_correction",
            Operation::BuyCorrection => "buy_correction",
        }
    }

    pub(super) fn is_correction(self) -> bool {
        match self {
            Operation::SellCorrection | Operation::BuyCorrection => true,
            Operation::Sell | Operation::SellRefund | Operation::Buy | Operation::BuyRefund => false,
        }
    }

    /// The kind of operation in a receipt's QR code and link (fact sheet, section 9).
    pub(super) fn kind_in_link(self) -> u8 {
        match self {
            Operation::Sell | Operation::SellCorrection => 1,
            Operation::SellRefund => 2,
            Operation::Buy | Operation::BuyCorrection => 3,
            Operation::BuyRefund => 4,
        }
    }
}
