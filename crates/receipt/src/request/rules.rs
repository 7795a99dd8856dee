//! The rules that depend on the store's tax system, on the day, or on how lines go together.

use jiff::civil::{Date, date};

use super::code::FaultCode;
use super::contract::{Request, RequestOperation};
use super::fault::{Collector, Place};
use crate::content::{self, PaymentMethod, PaymentObject, TaxSystem, Vat};
use crate::settings::StoreSettings;

/// The first day of the rates 22 % and 22/122 and the first without 20 % and 20/120 (Federal Law 425-FZ).
const GENERAL_RATE_CHANGE: Date = date(2026, 1, 1);

/// Where a line stands and what decides over it.
pub(super) struct Context<'a> {
    pub(super) request: &'a Request,
    pub(super) settings: &'a StoreSettings,
    pub(super) today: Date,
    pub(super) place: Place<'a>,
}

/// Refuses what the law certainly refuses and warns of what is merely odd.
///
/// A refund copies the rates of its sale, and so do the payment of an earlier credit and a receipt that mends another
/// one (tag 1192): for them neither the day nor today's tax system says anything (FNS letter АБ-4-20/11248@).
pub(super) fn check_vat(
    vat: Vat,
    method: PaymentMethod,
    context: &Context<'_>,
    faults: &mut Collector,
    warnings: &mut Collector,
) {
    let Context {
        request,
        settings,
        today,
        place,
    } = context;
    let place = place.field("vat");
    let looks_back = request.operation == RequestOperation::Refund
        || request.check_property.is_some()
        || method == PaymentMethod::CreditPayment;
    match vat {
        Vat::Vat22 | Vat::Vat122 if *today < GENERAL_RATE_CHANGE => faults.add(
            place,
            FaultCode::VatNotYet,
            format_args!("ставка {vat} действует с 2026-01-01; до этого дня — vat20 или vat120."),
            format_args!("the rate {vat} is valid from 2026-01-01; until then it is vat20 or vat120."),
        ),
        Vat::Vat20 | Vat::Vat120 if *today >= GENERAL_RATE_CHANGE && !looks_back => faults.add(
            place,
            FaultCode::VatExpired,
            format_args!("ставка {vat} с 2026-01-01 возможна только в возвратах, при оплате прежнего кредита и в исправлениях; укажите vat22 или vat122."),
            format_args!("since 2026-01-01 the rate {vat} is only for refunds, payments of an earlier credit and mended receipts; give vat22 or vat122."),
        ),
        Vat::Vat5 | Vat::Vat7 | Vat::Vat105 | Vat::Vat107 if settings.sno == TaxSystem::Osn && !looks_back => {
            faults.add(
                place,
                FaultCode::VatTaxSystem,
                format_args!("ставки {vat} нет на общей системе (osn), она только для упрощённой; укажите ставку товара или исправьте sno магазина."),
                format_args!("the rate {vat} exists only under the simplified tax system, the store is osn; give the right rate or mend the store's sno."),
            );
        }
        Vat::Vat20
        | Vat::Vat10
        | Vat::Vat120
        | Vat::Vat110
        | Vat::Vat0
        | Vat::None
        | Vat::Vat5
        | Vat::Vat7
        | Vat::Vat105
        | Vat::Vat107
        | Vat::Vat22
        | Vat::Vat122 => {}
    }
    if settings.sno == TaxSystem::Patent && vat != Vat::None {
        warnings.add(
            place,
            FaultCode::VatUnusual,
            format_args!("ставка {vat} на патенте; обычно none."),
            format_args!("the rate {vat} under a patent; it is usually none."),
        );
    }
    let usual = match kind(vat) {
        RateKind::Plain => is_before_hand_over(method).then_some("расчётная ставка (vat122, vat110 …)"),
        RateKind::Calculated => (!is_before_hand_over(method)).then_some("обычная ставка (vat22, vat10 …)"),
        RateKind::Neither => None,
    };
    if let Some(usual) = usual {
        let usual_en = match kind(vat) {
            RateKind::Calculated => "a plain rate (vat22, vat10 …)",
            RateKind::Plain | RateKind::Neither => "a calculated rate (vat122, vat110 …)",
        };
        warnings.add(
            place,
            FaultCode::VatUnusual,
            format_args!("для {method} обычна {usual}, а не {vat}."),
            format_args!("{method} usually goes with {usual_en}, not with {vat}."),
        );
    }
}

#[derive(Clone, Copy)]
enum RateKind {
    Plain,
    Calculated,
    Neither,
}

const fn kind(vat: Vat) -> RateKind {
    match vat {
        Vat::Vat20 | Vat::Vat10 | Vat::Vat5 | Vat::Vat7 | Vat::Vat22 => RateKind::Plain,
        Vat::Vat120 | Vat::Vat110 | Vat::Vat105 | Vat::Vat107 | Vat::Vat122 => RateKind::Calculated,
        Vat::Vat0 | Vat::None => RateKind::Neither,
    }
}

const fn is_before_hand_over(method: PaymentMethod) -> bool {
    match method {
        PaymentMethod::FullPrepayment | PaymentMethod::Prepayment | PaymentMethod::Advance => true,
        PaymentMethod::FullPayment
        | PaymentMethod::PartialPayment
        | PaymentMethod::Credit
        | PaymentMethod::CreditPayment => false,
    }
}

pub(super) fn check_object(object: PaymentObject, method: PaymentMethod, place: Place<'_>, warnings: &mut Collector) {
    let is_payment = object == PaymentObject::Payment;
    let is_advance = method == PaymentMethod::Advance;
    let goes_with_payment = is_before_hand_over(method) || method == PaymentMethod::CreditPayment;
    if is_advance != is_payment && (is_advance || !goes_with_payment) {
        warnings.add(
            place,
            FaultCode::PaymentObjectUnusual,
            format_args!(
                "{object} при {method}: для advance обычен payment, а payment — для оплаты до передачи товара."
            ),
            format_args!(
                "{object} with {method}: advance usually goes with payment, and payment with money before hand-over."
            ),
        );
    }
}

pub(super) fn check_methods(
    lines: &[content::Line],
    place: Place<'_>,
    faults: &mut Collector,
    warnings: &mut Collector,
) {
    if lines.len() > 1 {
        let wrong = lines
            .iter()
            .position(|line| line.payment_method == PaymentMethod::CreditPayment);
        if let Some(index) = wrong {
            let place = place.index(index);
            faults.add(
                place.field("payment_method"),
                FaultCode::CreditPaymentNotAlone,
                "credit_payment должна быть единственной строкой чека; вынесите её в отдельный чек (document.part).",
                "credit_payment must be the only line; put it into a receipt of its own (document.part).",
            );
        }
    }
    let before = lines.iter().any(|line| is_before_hand_over(line.payment_method));
    let after = lines
        .iter()
        .any(|line| !is_before_hand_over(line.payment_method) && line.payment_method != PaymentMethod::CreditPayment);
    if before && after {
        warnings.add(
            place,
            FaultCode::MixedSettlement,
            "в одном чеке и предоплата, и расчёт; обычно это два чека (document.part).",
            "prepayment and settlement in one receipt; usually these are two (document.part).",
        );
    }
}
