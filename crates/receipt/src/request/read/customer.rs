//! The buyer: contacts and, for companies, name and INN.

use super::Field;
use crate::contact;
use crate::request::code::FaultCode;
use crate::request::contract::Customer;
use crate::request::fault::{Collector, Place};
use crate::request::json::Object;
use crate::text::clean;

pub(super) const CUSTOMER: &[&str] = &["email", "phone", "name", "inn"];

pub(super) fn customer(field: Field<'_>, faults: &mut Collector) -> Option<Customer> {
    let customer = match field.optional() {
        None => Customer {
            email: None,
            phone: None,
            name: None,
            inn: None,
        },
        Some(value) => {
            let object = Object::open(value.raw, value.place, CUSTOMER, faults)?;
            let text = |name, faults: &mut Collector| Field::of(&object, &value.place, name).optional_text(faults);
            let unread = faults.count();
            let customer = Customer {
                email: text("email", faults),
                phone: text("phone", faults),
                name: text("name", faults),
                inn: text("inn", faults),
            };
            // What can't be read must not be reported as missing as well.
            if faults.count() > unread {
                return None;
            }
            customer
        }
    };
    check_contact(&customer, field.place, faults);
    if let Some(inn) = &customer.inn {
        if !contact::is_inn(inn.trim()) {
            faults.add(
                field.place.field("inn"),
                FaultCode::InvalidInn,
                "ИНН покупателя — 10 цифр у организации или 12 у человека; исправьте.",
                "an INN has 10 digits for a company or 12 for a person; mend it.",
            );
        }
        if customer
            .name
            .as_ref()
            .is_none_or(|name| clean(name, 256).text.is_empty())
        {
            faults.add(
                field.place.field("name"),
                FaultCode::BuyerNameMissing,
                "вместе с ИНН покупателя нужно и его название; укажите.",
                "the buyer's name is required together with the INN; give it.",
            );
        }
    }
    Some(customer)
}

fn check_contact(customer: &Customer, place: Place<'_>, faults: &mut Collector) {
    let email = customer.email.as_deref().map(contact::email);
    let phone = customer.phone.as_deref().map(contact::phone);
    if let Some(None) = email {
        faults.add(
            place.field("email"),
            FaultCode::InvalidEmail,
            "не адрес: нужны латинские буквы, один знак @, не больше 64 знаков; домен кириллицей запишите в punycode.",
            "is not an address: ASCII, one @ and at most 64 characters are needed; write other domains in punycode.",
        );
    }
    match (email, phone) {
        (None, None) => faults.add(
            place,
            FaultCode::ContactMissing,
            "нет ни email, ни phone; чек интернет-расчёта отправляют покупателю, укажите одно из них.",
            "has neither email nor phone; a receipt of an online settlement goes to the buyer, give one of them.",
        ),
        (None, Some(None)) => faults.add(
            place.field("phone"),
            FaultCode::InvalidPhone,
            "не номер телефона; запишите как +79001234567 или укажите email.",
            "is not a phone number; write it like +79001234567 or give an email.",
        ),
        (Some(_), _) | (None, Some(Some(_))) => {}
    }
}
