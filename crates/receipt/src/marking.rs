//! Marking codes of goods (GS1 `DataMatrix`) and their form in the fiscal format 1.05, tag 1162.

use std::fmt::Write as _;

use crate::class::Text;

/// The separator that ends a field of variable length; it is one byte, never the letters "GS".
pub const GROUP_SEPARATOR: char = '\u{1d}';

/// The longest serial: tag 1162 has 32 bytes, of which type and GTIN take 8.
pub const LONGEST_SERIAL: usize = 24;

/// A marking code as a scanner reads it: `01` + GTIN of 14 digits + `21` + serial, then perhaps a separator and the
/// verification fields `91`, `92` or `93`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mark {
    text: String,
    gtin: u64,
    serial_end: usize,
}

/// Why a text is not a marking code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMark {
    /// Cyrillic letters: the scanner typed through a Russian keyboard layout.
    #[error(
        "has Cyrillic letters: the scanner typed through a Russian keyboard layout; switch it to English and scan again"
    )]
    Cyrillic,
    /// A blank, a control character other than the separator, or a character outside ASCII.
    #[error("has characters that a marking code can't have; send it as the scanner read it, the separator as \\u001d")]
    Characters,
    /// Not `01` + 14 digits + `21`.
    #[error("must begin with 01, the 14 digits of the GTIN and 21")]
    Shape,
    /// No serial.
    #[error("has no serial after 21")]
    NoSerial,
    /// A serial that does not fit into tag 1162.
    #[error("has a serial longer than 24 characters; most likely the separator (\\u001d) after the serial is lost")]
    LongSerial,
}

impl InvalidMark {
    /// The same in both languages, to follow the name of the field.
    #[must_use]
    pub fn text(self) -> Text {
        let ru = match self {
            Self::Cyrillic => {
                "есть русские буквы: сканер печатал в русской раскладке; переключите её на английскую и считайте код снова"
            }
            Self::Characters => {
                "есть знаки, которых в коде маркировки быть не может; передайте код так, как его считал сканер, разделитель — как \\u001d"
            }
            Self::Shape => "должен начинаться с 01, 14 цифр GTIN и 21",
            Self::NoSerial => "после 21 нет серийного номера",
            Self::LongSerial => {
                "серийный номер длиннее 24 знаков; скорее всего, потерян разделитель (\\u001d) после него"
            }
        };
        Text::new(ru, self.to_string())
    }
}

/// Where the serial begins: after `01`, the GTIN and `21`.
const SERIAL: usize = 18;

impl Mark {
    /// Reads a marking code. Prefixes that scanners add (`]d2`, the byte 0xE8, a separator) are left out.
    ///
    /// The serial ends at the first separator and nowhere else: it may itself hold `91`, quotes and ampersands.
    ///
    /// # Errors
    /// [`InvalidMark`] that says what to do.
    pub fn parse(text: &str) -> Result<Self, InvalidMark> {
        let text = text.strip_prefix("]d2").unwrap_or(text);
        let text = text.strip_prefix('\u{e8}').unwrap_or(text);
        let text = text.strip_prefix(GROUP_SEPARATOR).unwrap_or(text);
        if text.chars().any(|character| matches!(character, '\u{400}'..='\u{52f}')) {
            return Err(InvalidMark::Cyrillic);
        }
        if !text
            .chars()
            .all(|character| character.is_ascii_graphic() || character == GROUP_SEPARATOR)
        {
            return Err(InvalidMark::Characters);
        }
        let (gtin, rest) = text
            .strip_prefix("01")
            .and_then(|text| text.split_at_checked(14))
            .ok_or(InvalidMark::Shape)?;
        if !gtin.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidMark::Shape);
        }
        let gtin = gtin.parse().map_err(|_| InvalidMark::Shape)?;
        let serial = rest.strip_prefix("21").ok_or(InvalidMark::Shape)?;
        let serial = serial.split(GROUP_SEPARATOR).next().unwrap_or(serial);
        match serial.len() {
            0 => Err(InvalidMark::NoSerial),
            1..=LONGEST_SERIAL => Ok(Self {
                text: text.to_owned(),
                gtin,
                serial_end: SERIAL + serial.len(),
            }),
            _ => Err(InvalidMark::LongSerial),
        }
    }

    /// The whole code without a scanner's prefix, verification fields included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The 14 digits of the GTIN.
    #[must_use]
    pub fn gtin(&self) -> &str {
        &self.text[2..16]
    }

    /// The serial.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.text[SERIAL..self.serial_end]
    }

    /// The value of tag 1162: `44 4D`, the GTIN as an integer of six bytes, the serial; at most 32 bytes.
    #[must_use]
    pub fn nomenclature(&self) -> Vec<u8> {
        let mut bytes = vec![0x44, 0x4D];
        // 14 digits are below 2^47: the two upper bytes of eight are always zero, the lower six never padded away.
        bytes.extend_from_slice(&self.gtin.to_be_bytes()[2..]);
        bytes.extend_from_slice(self.serial().as_bytes());
        bytes
    }

    /// The same as ATOL v4 wants it in `nomenclature_code`: upper-case hex with a blank between bytes.
    #[must_use]
    pub fn nomenclature_hex(&self) -> String {
        let mut hex = String::new();
        for byte in self.nomenclature() {
            let blank = if hex.is_empty() { "" } else { " " };
            // Writing to a String can't fail.
            let _ = write!(hex, "{blank}{byte:02X}");
        }
        hex
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(text: &str) -> String {
        Mark::parse(text)
            .map(|mark| mark.nomenclature_hex())
            .expect("a marking code")
    }

    #[test]
    fn tag_1162_holds_type_gtin_and_serial() {
        for (text, bytes) in [
            (
                "0104607123456781215Rk+7Wd\"aQ2x9",
                "44 4D 04 30 AD F5 03 0D 35 52 6B 2B 37 57 64 22 61 51 32 78 39",
            ),
            (
                "010460043993125621JgXJ5.T",
                "44 4D 04 2F 1F 96 81 78 4A 67 58 4A 35 2E 54",
            ),
            (
                "0102900001548765215:Kq%aB9xT2Qz",
                "44 4D 02 A3 35 8F E9 DD 35 3A 4B 71 25 61 42 39 78 54 32 51 7A",
            ),
        ] {
            assert_eq!(hex(text), bytes, "{text}");
        }
    }

    #[test]
    fn a_short_gtin_keeps_its_six_bytes() {
        assert_eq!(hex("010000004600123421AbC-7"), "44 4D 00 00 02 BD EC 52 41 62 43 2D 37");
    }

    #[test]
    fn the_serial_ends_at_the_first_separator_and_nowhere_else() {
        let mark = Mark::parse("]d2010460712345678121a91b\"&<c\u{1d}91EE05\u{1d}92tail=").expect("a marking code");
        assert_eq!((mark.gtin(), mark.serial()), ("04607123456781", "a91b\"&<c"));
        assert_eq!(mark.as_str(), "010460712345678121a91b\"&<c\u{1d}91EE05\u{1d}92tail=");
        assert_eq!(
            hex("\u{e8}\u{1d}010460043993125621JgXJ5.T\u{1d}93abcd"),
            hex("010460043993125621JgXJ5.T")
        );
    }

    #[test]
    fn what_is_not_a_code_says_why() {
        for (text, why) in [
            ("", InvalidMark::Shape),
            ("010460712345678", InvalidMark::Shape),
            ("01046071234567812", InvalidMark::Shape),
            ("01046071234567A121serial", InvalidMark::Shape),
            ("010460712345678110serial", InvalidMark::Shape),
            ("010460712345678121", InvalidMark::NoSerial),
            ("010460712345678121\u{1d}91EE05", InvalidMark::NoSerial),
            ("010460712345678121фывф", InvalidMark::Cyrillic),
            ("010460712345678121a b", InvalidMark::Characters),
            ("010460712345678121a\u{0}b", InvalidMark::Characters),
            ("010460712345678121é", InvalidMark::Characters),
            (
                "0104607123456781215Rk+7Wd\"aQ2x991EE0592abcdef",
                InvalidMark::LongSerial,
            ),
        ] {
            assert_eq!(Mark::parse(text), Err(why), "{text:?}");
            assert!(!why.text().ru.is_empty());
        }
    }

    proptest! {
        #[test]
        fn every_code_fits_tag_1162(gtin in 0_u64..=99_999_999_999_999, serial in "[!-~]{1,24}", tail in "(\u{1d}9[1-3][!-~]{1,44}){0,2}") {
            let mark = Mark::parse(&format!("01{gtin:014}21{serial}{tail}")).expect("a marking code");
            let bytes = mark.nomenclature();
            prop_assert!(bytes.len() <= 32);
            let mut eight = [0; 8];
            eight[2..].copy_from_slice(&bytes[2..8]);
            prop_assert_eq!(u64::from_be_bytes(eight), gtin);
            prop_assert_eq!(&bytes[8..], serial.as_bytes());
        }

        #[test]
        fn no_text_panics(text in "(01)?[0-9]{0,16}(21)?.*") {
            let _ = Mark::parse(&text);
        }
    }
}
