//! Codes of registers and of the service, and which answers the service keeps (section 6).

/// A register's refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) code: i64,
    /// Some codes come without (section 5.3).
    pub(super) messages: Vec<String>,
}

impl Refused {
    /// A code without words.
    pub(super) fn bare(code: i64) -> Refused {
        Refused {
            code,
            messages: Vec::new(),
        }
    }

    /// Code 51, which covers every wrong parameter, with its extended number.
    pub(super) fn parameter(message_code: i64, field: &str, value: impl std::fmt::Display) -> Refused {
        Refused {
            code: 51,
            messages: vec![format!("MSGCODE: {message_code}, неверное значение [{field}]: {value}")],
        }
    }
}

/// Whether the service keeps a register's answer under its id (section 6.1, firmware 3.2.0).
pub(super) fn is_kept(code: i64) -> bool {
    matches!(code, 0 | 51 | 52 | 55 | 69 | 73 | 77 | 94 | 142 | 208 | 241..=246)
}

/// An error of the service itself (section 6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CloudError {
    pub(super) code: i64,
    pub(super) description: String,
    pub(super) fatal: bool,
}

impl CloudError {
    /// With the usual words.
    pub(super) fn of(code: i64) -> CloudError {
        let (description, fatal) = match code {
            1 => ("unexpected EOF", true),
            2 => ("unexpected end of JSON input", true),
            3 => ("device is not set", true),
            5 => ("no device for strategy", false),
            6 => ("read tcp 10.20.0.1:51122->10.20.0.17:4417: i/o timeout", true),
            8 => ("unknown device", true),
            16 => ("invalid character '<' looking for beginning of value", true),
            17 => ("request id is not set", true),
            18 => ("device is busy", false),
            24 => ("request is being processed", false),
            _ => ("error", true),
        };
        CloudError {
            code,
            description: description.to_owned(),
            fatal,
        }
    }

    pub(super) fn saying(self, description: impl Into<String>) -> CloudError {
        CloudError {
            description: description.into(),
            ..self
        }
    }

    /// Only the broken exchange is kept.
    pub(super) fn is_kept(&self) -> bool {
        self.code == 6
    }
}
