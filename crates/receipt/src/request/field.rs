//! Single values of a request: each either becomes a value of our types or leaves a fault.

use serde_json::value::RawValue;

use super::code::FaultCode;
use super::fault::{Collector, Place, shown};
use super::json::{Kind, Object, closest, kind, list, wrong_type};
use crate::id::InvalidId;
use crate::money::{InvalidDecimal, LARGEST_KOPECKS, Money, Quantity};
use crate::text::clean;

/// A field of an opened object, absent or not.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    raw: Option<&'a RawValue>,
    pub(super) place: Place<'a>,
}

impl<'a> Field<'a> {
    pub(super) fn of(object: &Object<'a>, place: &'a Place<'a>, name: &'a str) -> Self {
        Self {
            raw: object.get(name),
            place: place.field(name),
        }
    }

    /// The value of a field that must be there.
    pub(super) fn required(self, faults: &mut Collector) -> Option<Present<'a>> {
        let present = self.optional();
        if present.is_none() {
            faults.add(
                self.place,
                FaultCode::MissingField,
                "обязательное поле; заполните его.",
                "is required; give it.",
            );
        }
        present
    }

    /// The value of a field that may be absent.
    pub(super) fn optional(self) -> Option<Present<'a>> {
        self.raw.map(|raw| Present { raw, place: self.place })
    }

    /// An optional text as it was given; blank is absent.
    pub(super) fn optional_text(self, faults: &mut Collector) -> Option<String> {
        self.optional()?
            .text(faults)
            .filter(|text| !text.trim_ascii().is_empty())
    }

    /// An optional name with a rule of its own; blank is absent.
    pub(super) fn optional_id<T>(
        self,
        parse: fn(&str) -> Result<T, InvalidId>,
        rule_ru: &str,
        faults: &mut Collector,
    ) -> Option<T> {
        let text = self.optional_text(faults)?;
        parse_id(&text, parse, rule_ru, self.place, faults)
    }

    /// An optional text that may not be cut.
    pub(super) fn short_text(self, longest: usize, faults: &mut Collector) -> Option<String> {
        let text = self.optional_text(faults)?;
        is_short(&text, longest, self.place, faults).then_some(text)
    }
}

/// A field that is there and not null.
#[derive(Clone, Copy)]
pub(super) struct Present<'a> {
    pub(super) raw: &'a RawValue,
    pub(super) place: Place<'a>,
}

impl<'a> Present<'a> {
    /// A list of 1 to `most`; `None` when it is not one.
    pub(super) fn entries(self, most: usize, faults: &mut Collector) -> Option<Vec<&'a RawValue>> {
        let list = list(self.raw, self.place, faults)?;
        let count = list.len();
        if count == 0 {
            faults.add(
                self.place,
                FaultCode::TooFew,
                "список пуст; нужно хотя бы одно.",
                "is empty; give at least one.",
            );
            return None;
        }
        if count > most {
            faults.add(
                self.place,
                FaultCode::TooMany,
                format_args!("{count}; допустимо не больше {most}, разделите на несколько чеков."),
                format_args!("has {count} entries; at most {most} are allowed, split it over several receipts."),
            );
            return None;
        }
        Some(list)
    }

    /// A text as it was given, free of U+0000.
    pub(super) fn text(self, faults: &mut Collector) -> Option<String> {
        if kind(self.raw) != Kind::Text {
            wrong_type(self.raw, self.place, ("строка", "a string"), faults);
            return None;
        }
        let Ok(text) = serde_json::from_str::<String>(self.raw.get()) else {
            faults.add(
                self.place,
                FaultCode::InvalidJson,
                "не является текстом Unicode (половина суррогатной пары); исправьте кодировку.",
                "is not Unicode text (half a surrogate pair); mend the encoding.",
            );
            return None;
        };
        if text.contains('\0') {
            faults.add(
                self.place,
                FaultCode::NulCharacter,
                "есть знак U+0000; уберите его.",
                "holds the character U+0000; remove it.",
            );
            return None;
        }
        Some(text)
    }

    /// A text that prints as something; `longest` is for texts that may not be cut.
    pub(super) fn printable(self, longest: Option<usize>, faults: &mut Collector) -> Option<String> {
        let text = self.text(faults)?;
        if clean(&text, usize::MAX).text.is_empty() {
            faults.add(
                self.place,
                FaultCode::EmptyText,
                "пусто или ни одного знака, который печатает касса; укажите текст.",
                "is empty or has no character that a register prints; give a text.",
            );
            return None;
        }
        longest
            .is_none_or(|longest| is_short(&text, longest, self.place, faults))
            .then_some(text)
    }

    pub(super) fn money(self, faults: &mut Collector) -> Option<Money> {
        self.decimal(Money::parse, faults)
    }

    pub(super) fn quantity(self, faults: &mut Collector) -> Option<Quantity> {
        self.decimal(Quantity::parse, faults)
    }

    /// A decimal string, or a JSON number read from its text.
    fn decimal<T>(self, parse: fn(&str) -> Result<T, InvalidDecimal>, faults: &mut Collector) -> Option<T> {
        let text = match kind(self.raw) {
            Kind::Text => self.text(faults)?,
            Kind::Number => self.raw.get().to_owned(),
            Kind::Null | Kind::Bool | Kind::List | Kind::Object => {
                wrong_type(
                    self.raw,
                    self.place,
                    ("десятичная строка или число", "a decimal string or a number"),
                    faults,
                );
                return None;
            }
        };
        if kind(self.raw) == Kind::Number && text.contains(['e', 'E']) {
            faults.add(
                self.place,
                FaultCode::ExponentForm,
                "число в экспоненциальной записи; запишите его десятичной строкой, например \"1000.00\".",
                "is a number with an exponent; write it as a decimal string such as \"1000.00\".",
            );
            return None;
        }
        let parsed = match parse(&text) {
            // `-0` is zero, but whoever writes it means something else.
            Ok(_) if text.starts_with('-') => Err(InvalidDecimal::Negative),
            parsed => parsed,
        };
        match parsed {
            Ok(value) => Some(value),
            Err(invalid) => {
                invalid_decimal(&invalid, self.place, faults);
                None
            }
        }
    }

    /// One word of a list.
    pub(super) fn word<T: Copy>(self, all: &[T], name: fn(T) -> &'static str, faults: &mut Collector) -> Option<T> {
        let text = self.text(faults)?;
        let found = all.iter().copied().find(|value| name(*value) == text);
        if found.is_none() {
            let words = || all.iter().map(|value| name(*value));
            let (hint_ru, hint_en) = match closest(&text, words()) {
                Some(word) => (
                    format!("возможно, имелось в виду {word}"),
                    format!("did you mean {word}?"),
                ),
                None => {
                    let list = words().collect::<Vec<_>>().join(", ");
                    (format!("допустимы: {list}"), format!("known are {list}."))
                }
            };
            let given = shown(&text);
            faults.add(
                self.place,
                FaultCode::UnknownValue,
                format_args!("значение {given:?} не подходит; {hint_ru}."),
                format_args!("the value {given:?} is not known; {hint_en}"),
            );
        }
        found
    }

    /// A name or a number with a rule of its own; `rule_ru` is the rule in Russian.
    pub(super) fn id<T>(
        self,
        parse: fn(&str) -> Result<T, InvalidId>,
        rule_ru: &str,
        faults: &mut Collector,
    ) -> Option<T> {
        let text = self.text(faults)?;
        parse_id(&text, parse, rule_ru, self.place, faults)
    }
}

fn parse_id<T>(
    text: &str,
    parse: fn(&str) -> Result<T, InvalidId>,
    rule_ru: &str,
    place: Place<'_>,
    faults: &mut Collector,
) -> Option<T> {
    parse(text)
        .map_err(|invalid| {
            let given = shown(text);
            faults.add(
                place,
                FaultCode::InvalidId,
                format_args!("{given:?} не подходит; нужно: {rule_ru}."),
                format_args!("{given:?} is not {}.", invalid.expected),
            );
        })
        .ok()
}

/// An amount that was computed: it must fit like one that was given.
pub(super) fn fits(money: Money, place: Place<'_>, faults: &mut Collector) -> bool {
    let fits = money.kopecks() <= LARGEST_KOPECKS;
    if !fits {
        invalid_decimal(&InvalidDecimal::TooLarge("42949672.95"), place, faults);
    }
    fits
}

fn is_short(text: &str, longest: usize, place: Place<'_>, faults: &mut Collector) -> bool {
    let length = clean(text, usize::MAX).text.chars().count();
    if length > longest {
        faults.add(
            place,
            FaultCode::TextTooLong,
            format_args!("{length} знаков; допустимо не больше {longest}, сократите."),
            format_args!("has {length} characters; at most {longest} are allowed, shorten it."),
        );
    }
    length <= longest
}

fn invalid_decimal(invalid: &InvalidDecimal, place: Place<'_>, faults: &mut Collector) {
    let (code, ru, cure) = match invalid {
        InvalidDecimal::NotANumber => (
            FaultCode::InvalidNumber,
            "не десятичное число; запишите его цифрами с точкой, например \"1250.00\".".to_owned(),
            "write digits with a point",
        ),
        InvalidDecimal::TooPrecise(decimals) => (
            FaultCode::TooPrecise,
            format!("больше {decimals} знаков после точки; округлите."),
            "round it",
        ),
        InvalidDecimal::Negative => (
            FaultCode::Negative,
            "меньше нуля; укажите число без знака.".to_owned(),
            "give it without a sign",
        ),
        InvalidDecimal::TooLarge(largest) => (
            FaultCode::AboveMaximum,
            format!("больше допустимого ({largest}); разделите на несколько чеков."),
            "split it over several receipts",
        ),
        InvalidDecimal::Zero => (
            FaultCode::Zero,
            "ноль; укажите число больше нуля.".to_owned(),
            "give a number above zero",
        ),
    };
    faults.add(place, code, ru, format_args!("{invalid}; {cure}."));
}
