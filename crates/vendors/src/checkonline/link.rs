//! The page of the fiscal data operator that shows a receipt: the service gives none, the account has a template.
//!
//! Placeholders are those of the module that kassa replaces. Its link broke at a thousand roubles, because the sum was
//! printed for people (`1,234.00`); here every value is written as a URL wants it.

use std::fmt::Write as _;

use receipt::FiscalDocument;

use crate::lenient::is_link;

/// A template whose placeholders are all known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LinkTemplate {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(Placeholder),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placeholder {
    FnSerialNumber,
    FiscalDocNumber,
    FiscalSign,
    DocNumber,
    Sum,
    DateTime,
    Qr,
}

impl Placeholder {
    const ALL: [Self; 7] = [
        Self::FnSerialNumber,
        Self::FiscalDocNumber,
        Self::FiscalSign,
        Self::DocNumber,
        Self::Sum,
        Self::DateTime,
        Self::Qr,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::FnSerialNumber => "fnSerialNumber",
            Self::FiscalDocNumber => "fiscalDocNumber",
            Self::FiscalSign => "fiscalSign",
            Self::DocNumber => "docNumber",
            Self::Sum => "sum",
            Self::DateTime => "dateTime",
            Self::Qr => "qr",
        }
    }

    fn value(self, fiscal: &FiscalDocument) -> Option<String> {
        match self {
            Self::FnSerialNumber => Some(fiscal.fn_number.clone()),
            Self::FiscalDocNumber => Some(fiscal.fd.to_string()),
            Self::FiscalSign => Some(fiscal.fpd.clone()),
            Self::DocNumber => fiscal.receipt_number.map(|number| number.to_string()),
            Self::Sum => Some(fiscal.total.to_string()),
            // As the QR code has it, when it is there: operators compare it as text.
            Self::DateTime => Some(
                match fiscal.qr.as_deref().and_then(|qr| super::wire::qr_value(qr, "t")) {
                    Some(time) => time.to_owned(),
                    None => fiscal.registered_at.strftime("%Y%m%dT%H%M").to_string(),
                },
            ),
            Self::Qr => fiscal.qr.clone(),
        }
    }
}

impl LinkTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong, to follow the key.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else {
                return Err("a placeholder has no }}".to_owned());
            };
            let Some(placeholder) = Placeholder::ALL.into_iter().find(|it| it.name() == name.trim()) else {
                let known = Placeholder::ALL.map(|it| format!("{{{{{}}}}}", it.name())).join(", ");
                return Err(format!(
                    "the placeholder {{{{{name}}}}} is not known; there are {known}"
                ));
            };
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Value(placeholder));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        let template = Self { parts };
        if is_link(&template.fill(|_| Some("1".to_owned())).unwrap_or_default()) {
            Ok(template)
        } else {
            Err("must be a link that begins with https:// or http://".to_owned())
        }
    }

    /// The link of a receipt; `None` when the answer lacks something that the template wants.
    pub(super) fn link(&self, fiscal: &FiscalDocument) -> Option<String> {
        self.fill(|placeholder| placeholder.value(fiscal))
            .filter(|link| is_link(link))
    }

    fn fill(&self, value: impl Fn(Placeholder) -> Option<String>) -> Option<String> {
        let mut link = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => link.push_str(text),
                Part::Value(placeholder) => link.push_str(&escaped(&value(*placeholder)?)),
            }
        }
        Some(link)
    }
}

/// What a query may hold stays, `&` and `=` of a QR text included; the rest is escaped.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'&' | b'=' => {
                escaped.push(char::from(byte));
            }
            // Writing to a String can't fail.
            _ => drop(write!(escaped, "%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use receipt::Money;

    use super::*;

    fn fiscal() -> FiscalDocument {
        FiscalDocument {
            fn_number: "9999078900004412".into(),
            fd: 2148,
            fpd: "3127640982".into(),
            shift: None,
            receipt_number: Some(37),
            register_number: None,
            registered_at: jiff::civil::date(2026, 3, 14).at(11, 27, 8, 0),
            total: Money::from_kopecks(719_050),
            qr: Some("t=20260314T1127&s=7190.50&fn=9999078900004412&i=2148&fp=3127640982&n=1".into()),
            ofd_url: None,
        }
    }

    fn link(template: &str) -> Option<String> {
        LinkTemplate::parse(template).expect("a template").link(&fiscal())
    }

    #[test]
    fn every_placeholder_is_filled_so_that_the_link_stays_one() {
        assert_eq!(
            link("https://ofd.example/{{fnSerialNumber}}/{{fiscalDocNumber}}/{{ fiscalSign }}?n={{docNumber}}&s={{sum}}&t={{dateTime}}")
                .as_deref(),
            Some("https://ofd.example/9999078900004412/2148/3127640982?n=37&s=7190.50&t=20260314T1127")
        );
        assert_eq!(
            link("https://consumer.1-ofd.ru/v1?{{qr}}").as_deref(),
            Some("https://consumer.1-ofd.ru/v1?t=20260314T1127&s=7190.50&fn=9999078900004412&i=2148&fp=3127640982&n=1")
        );
        assert_eq!(link("https://ofd.example/").as_deref(), Some("https://ofd.example/"));
    }

    #[test]
    fn a_link_that_lacks_a_value_is_left_out_and_a_vendors_text_cannot_break_out_of_it() {
        let template = LinkTemplate::parse("https://ofd.example/?n={{docNumber}}&t={{dateTime}}").expect("a template");
        let bare = FiscalDocument {
            receipt_number: None,
            ..fiscal()
        };
        assert_eq!(template.link(&bare), None);
        let crooked = FiscalDocument {
            qr: Some("t=2026\"><script> #&s=1".into()),
            ..fiscal()
        };
        assert_eq!(
            template.link(&crooked).as_deref(),
            Some("https://ofd.example/?n=37&t=2026%22%3E%3Cscript%3E%20%23")
        );
    }

    #[test]
    fn a_template_that_cannot_work_says_why() {
        for (text, why) in [
            ("https://ofd.example/{{fn}}", "{{fn}} is not known"),
            ("https://ofd.example/{{sum", "has no }}"),
            ("ofd.example/{{sum}}", "must be a link"),
            ("javascript:alert({{sum}})", "must be a link"),
            ("", "must be a link"),
        ] {
            let fault = LinkTemplate::parse(text).expect_err(text);
            assert!(fault.contains(why), "{text}: {fault}");
        }
    }
}
