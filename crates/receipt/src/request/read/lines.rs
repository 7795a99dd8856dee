//! The lines: each by itself, their sum, and the marks that may not repeat.

use super::{Field, Present};
use crate::content::{PaymentMethod, PaymentObject, Vat};
use crate::marking::Mark;
use crate::money::{Money, Quantity};
use crate::request::MOST_LINES;
use crate::request::code::FaultCode;
use crate::request::contract::Line;
use crate::request::fault::{Collector, Place};
use crate::request::field::fits;
use crate::request::json::Object;

pub(super) const LINE: &[&str] = &[
    "name",
    "price",
    "quantity",
    "sum",
    "vat",
    "payment_method",
    "payment_object",
    "unit",
    "mark",
    "country_code",
    "declaration_number",
    "excise",
];

/// The lines and, when every line could be read that far, their sum.
pub(super) fn lines(value: Present<'_>, faults: &mut Collector) -> (Option<Vec<Line>>, Option<Money>) {
    let Some(list) = value.entries(MOST_LINES, faults) else {
        return (None, None);
    };
    let mut lines = Some(Vec::with_capacity(list.len()));
    let mut sum = Some(Money::ZERO);
    let mut marks: Vec<Mark> = Vec::new();
    for (index, raw) in list.into_iter().enumerate() {
        let place = value.place.index(index);
        let read = line(Present { raw, place }, faults);
        if let Some(mark) = read.mark {
            let same = |other: &&Mark| other.nomenclature() == mark.nomenclature();
            if marks.iter().any(|other| same(&other)) {
                faults.add(
                    place.field("mark"),
                    FaultCode::DuplicateMark,
                    "этот код маркировки уже есть в чеке; у каждой единицы товара свой код.",
                    "this marking code is already in the receipt; every piece has a code of its own.",
                );
            }
            marks.push(mark);
        }
        sum = sum.zip(read.sum).map(|(sum, row)| [sum, row].into_iter().sum());
        lines = lines.zip(read.line).map(|(mut lines, line)| {
            lines.push(line);
            lines
        });
    }
    (lines, sum)
}

struct LineRead {
    line: Option<Line>,
    sum: Option<Money>,
    mark: Option<Mark>,
}

fn line(value: Present<'_>, faults: &mut Collector) -> LineRead {
    let Some(object) = Object::open(value.raw, value.place, LINE, faults) else {
        return LineRead {
            line: None,
            sum: None,
            mark: None,
        };
    };
    let field = |name| Field::of(&object, &value.place, name);
    let name = field("name")
        .required(faults)
        .and_then(|value| value.printable(None, faults));
    let price = field("price").required(faults).and_then(|value| value.money(faults));
    let quantity = field("quantity")
        .required(faults)
        .and_then(|value| value.quantity(faults));
    let given = field("sum").optional().and_then(|value| value.money(faults));
    let row = price.zip(quantity).map(|(price, quantity)| quantity.times(price));
    check_row(row, given, field("sum").place, faults);
    let vat = field("vat")
        .optional()
        .and_then(|value| value.word(Vat::ALL, Vat::name, faults));
    let payment_method = field("payment_method")
        .optional()
        .and_then(|value| value.word(PaymentMethod::ALL, PaymentMethod::name, faults));
    let payment_object = field("payment_object")
        .optional()
        .and_then(|value| value.word(PaymentObject::ALL, PaymentObject::name, faults));
    let unit = field("unit").short_text(16, faults);
    let (mark_text, mark) = marked(field("mark"), quantity, faults);
    let country_code = country(field("country_code"), faults);
    let declaration_number = field("declaration_number").short_text(32, faults);
    let excise = field("excise").optional().and_then(|value| value.money(faults));
    let line = name.zip(price).zip(quantity).map(|((name, price), quantity)| Line {
        name,
        price,
        quantity,
        sum: given,
        vat,
        payment_method,
        payment_object,
        unit,
        mark: mark_text,
        country_code,
        declaration_number,
        excise,
    });
    LineRead { line, sum: row, mark }
}

fn check_row(row: Option<Money>, given: Option<Money>, place: Place<'_>, faults: &mut Collector) {
    let Some(row) = row else { return };
    if !fits(row, place, faults) {
        return;
    }
    if let Some(given) = given
        && given != row
    {
        faults.add(
            place,
            FaultCode::RowMismatch,
            format_args!(
                "{given}, а price × quantity = {row}; укажите {row} или не указывайте sum. Скидку учтите в price."
            ),
            format_args!(
                "is {given}, but price × quantity = {row}; give {row} or leave sum out. A discount belongs into price."
            ),
        );
    }
}

fn marked(field: Field<'_>, quantity: Option<Quantity>, faults: &mut Collector) -> (Option<String>, Option<Mark>) {
    let Some(text) = field.optional().and_then(|value| value.text(faults)) else {
        return (None, None);
    };
    if quantity.is_some_and(|quantity| quantity != Quantity::ONE) {
        faults.add(
            field.place,
            FaultCode::MarkQuantity,
            "у строки с кодом маркировки quantity должно быть 1; разделите её на строки по одной единице.",
            "a line with a marking code has the quantity 1; split it into lines of one piece.",
        );
    }
    match Mark::parse(&text) {
        Ok(mark) => (Some(text), Some(mark)),
        Err(invalid) => {
            let why = invalid.text();
            faults.add(
                field.place,
                FaultCode::InvalidMark,
                format_args!("{}.", why.ru),
                format_args!("{}.", why.en),
            );
            (None, None)
        }
    }
}

fn country(field: Field<'_>, faults: &mut Collector) -> Option<String> {
    let text = field.optional_text(faults)?;
    let code = text.trim_ascii();
    if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text);
    }
    faults.add(
        field.place,
        FaultCode::InvalidCountry,
        "код страны — три цифры по ОКСМ, например \"643\"; исправьте.",
        "is not a country code: three digits of ISO 3166-1 such as \"643\"; mend it.",
    );
    None
}
