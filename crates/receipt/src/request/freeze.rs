//! From a request to the frozen receipt: the store's defaults, the rules that need the store or the day, clean texts.

use jiff::civil::Date;

use super::Frozen;
use super::code::FaultCode;
use super::contract::{Line, Request};
use super::fault::{Collector, Faults, Place};
use super::rules::{Context, check_methods, check_object, check_vat};
use crate::contact;
use crate::content::{self, Buyer, PaymentKind, PaymentMethod, Receipt, Seller, UserProperty};
use crate::marking::Mark;
use crate::money::Money;
use crate::settings::StoreSettings;
use crate::text::clean;

pub(super) fn freeze(request: &Request, settings: &StoreSettings, today: Date) -> Result<Frozen, Faults> {
    let mut faults = Collector::default();
    let mut warnings = Collector::default();
    let root = Place::Root;

    let buyer = buyer(request, root.field("customer"), &mut warnings);
    let place = root.field("lines");
    let mut lines = Vec::with_capacity(request.lines.len());
    for (index, given) in request.lines.iter().enumerate() {
        let context = Context {
            request,
            settings,
            today,
            place: place.index(index),
        };
        lines.extend(line(given, &context, &mut faults, &mut warnings));
    }
    check_methods(&lines, place, &mut faults, &mut warnings);
    let payments = payments(request, &lines, &mut faults);
    let cashier = request
        .cashier
        .as_deref()
        .and_then(|text| printed(text, 64, root.field("cashier"), &mut warnings));
    let place = root.field("user_property");
    let user_property = request.user_property.as_ref().and_then(|property| {
        Some(UserProperty {
            name: printed(&property.name, 64, place.field("name"), &mut warnings)?,
            value: printed(&property.value, 256, place.field("value"), &mut warnings)?,
        })
    });
    let check_property = request
        .check_property
        .as_deref()
        .and_then(|text| printed(text, 16, root.field("check_property"), &mut warnings));

    faults.into_result()?;
    let receipt = Receipt {
        buyer,
        seller: Seller {
            inn: settings.inn.clone(),
            tax_system: settings.sno,
            payment_address: settings.payment_address.clone(),
            email: settings.company_email.clone(),
        },
        lines,
        payments,
        total: request.total,
        cashier,
        user_property,
        check_property,
    };
    Ok(Frozen {
        receipt,
        warnings: warnings.into_warnings(),
    })
}

fn buyer(request: &Request, place: Place<'_>, warnings: &mut Collector) -> Buyer {
    let customer = &request.customer;
    let phone = customer.phone.as_deref().map(contact::phone);
    if let Some(None) = phone {
        warnings.add(
            place.field("phone"),
            FaultCode::PhoneDropped,
            "не номер телефона; чек уйдёт на email.",
            "is not a phone number; the receipt goes to the email.",
        );
    }
    let inn = customer.inn.as_deref().map(|inn| inn.trim().to_owned());
    if inn.as_deref().is_some_and(|inn| !contact::has_inn_check_digits(inn)) {
        warnings.add(
            place.field("inn"),
            FaultCode::InnCheckDigits,
            "контрольные цифры ИНН не сходятся; проверьте номер.",
            "the check digits of the INN are wrong; verify the number.",
        );
    }
    Buyer {
        email: customer.email.as_deref().and_then(contact::email),
        phone: phone.flatten(),
        name: customer
            .name
            .as_deref()
            .and_then(|name| printed(name, 256, place.field("name"), warnings)),
        inn,
    }
}

fn line(
    given: &Line,
    context: &Context<'_>,
    faults: &mut Collector,
    warnings: &mut Collector,
) -> Option<content::Line> {
    let Context { settings, place, .. } = context;
    let payment_method = given.payment_method.unwrap_or(settings.default_payment_method);
    let payment_object = given.payment_object.unwrap_or(settings.default_payment_object);
    let vat = given.vat.or(settings.default_vat);
    match vat {
        Some(vat) => check_vat(vat, payment_method, context, faults, warnings),
        None => faults.add(
            place.field("vat"),
            FaultCode::VatMissing,
            "ставка НДС не указана, а у магазина нет ставки по умолчанию; укажите vat в строке или default_vat в настройках магазина.",
            "no VAT rate here and no default in the store; give vat in the line or default_vat in the store's settings.",
        ),
    }
    if given.price == Money::ZERO {
        warnings.add(
            place.field("price"),
            FaultCode::ZeroPrice,
            "цена ноль; подарок обычно называют в соседней строке.",
            "is zero; a gift is usually named in the neighbouring line.",
        );
    }
    check_object(payment_object, payment_method, place.field("payment_object"), warnings);
    let mut text = |text: &Option<String>, longest, name| {
        text.as_deref()
            .and_then(|text| printed(text, longest, place.field(name), warnings))
    };
    let unit = text(&given.unit, 16, "unit");
    let declaration_number = text(&given.declaration_number, 32, "declaration_number");
    Some(content::Line {
        // Never empty and a mark always: the parser has made sure of both.
        name: printed(&given.name, 128, place.field("name"), warnings)?,
        price: given.price,
        quantity: given.quantity,
        sum: given.quantity.times(given.price),
        vat: vat?,
        payment_method,
        payment_object,
        unit,
        mark: given
            .mark
            .as_deref()
            .and_then(|text| Mark::parse(text).ok())
            .map(|mark| mark.as_str().to_owned()),
        country_code: given.country_code.as_deref().map(|code| code.trim_ascii().to_owned()),
        declaration_number,
        excise: given.excise,
    })
}

/// One payment of a kind, in the order of the kinds. `lines` lacks those with a fault; then nobody sees the result.
fn payments(request: &Request, lines: &[content::Line], faults: &mut Collector) -> Vec<content::Payment> {
    let Some(given) = &request.payments else {
        let on_credit = lines.iter().any(|line| {
            matches!(
                line.payment_method,
                PaymentMethod::Credit | PaymentMethod::PartialPayment
            )
        });
        if on_credit {
            let root = Place::Root;
            faults.add(
                root.field("payments"),
                FaultCode::PaymentsMissing,
                "есть строки в кредит, и нельзя угадать, что уже оплачено; укажите payments (часть в кредит — credit).",
                "some lines are on credit, so what was paid can't be guessed; give payments (the credited part as credit).",
            );
        }
        return vec![content::Payment {
            kind: PaymentKind::Electronic,
            sum: request.total,
        }];
    };
    PaymentKind::ALL
        .iter()
        .map(|&kind| {
            let sum = given
                .iter()
                .filter(|payment| payment.kind == kind)
                .map(|payment| payment.sum)
                .sum();
            content::Payment { kind, sum }
        })
        .filter(|payment| payment.sum != Money::ZERO)
        .collect()
}

/// The text as a register prints it; `None` when nothing is left of it.
fn printed(text: &str, longest: usize, place: Place<'_>, warnings: &mut Collector) -> Option<String> {
    let cleaned = clean(text, longest);
    if cleaned.dropped > 0 {
        let count = cleaned.dropped;
        warnings.add(
            place,
            FaultCode::CharactersDropped,
            format_args!("касса не печатает {count} из знаков; они убраны."),
            format_args!("{count} characters that no register prints were dropped."),
        );
    }
    if cleaned.cut {
        warnings.add(
            place,
            FaultCode::TextCut,
            format_args!("длиннее {longest} знаков; конец обрезан."),
            format_args!("is longer than {longest} characters; the end was cut."),
        );
    }
    (!cleaned.text.is_empty()).then_some(cleaned.text)
}
