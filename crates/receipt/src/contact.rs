//! How a buyer or a company is named to a register: e-mail, phone, INN.

/// The longest e-mail address (tag 1008).
pub const LONGEST_EMAIL: usize = 64;

/// The address without blanks around it, when a register can store it and a mail server may know it:
/// visible ASCII, at most 64 characters, one `@` with something on both sides.
#[must_use]
pub fn email(text: &str) -> Option<String> {
    let text = text.trim();
    let (local, domain) = text.split_once('@')?;
    let sound = text.len() <= LONGEST_EMAIL
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && !local.is_empty()
        && !domain.is_empty()
        && !domain.contains('@')
        && !domain.starts_with('.')
        && !domain.ends_with('.');
    sound.then(|| text.to_owned())
}

/// The phone as `+` and digits.
///
/// Russian numbers may be written in every usual way (`8 (900) 123-45-67`, `79001234567`, `900 123 45 67`) and become
/// `+7…`. A foreign number needs its `+` and has 7 to 18 digits. Nothing else is guessed.
#[must_use]
pub fn phone(text: &str) -> Option<String> {
    let mut digits = String::with_capacity(12);
    let mut international = false;
    for character in text.trim().chars() {
        match character {
            '+' if digits.is_empty() && !international => international = true,
            '0'..='9' => digits.push(character),
            '-' | '(' | ')' | '.' | '\u{2010}'..='\u{2015}' => {}
            _ if character.is_whitespace() => {}
            _ => return None,
        }
    }
    let national = |rest: &str| Some(format!("+7{rest}"));
    match (international, digits.len(), digits.split_at_checked(1)) {
        (_, 11, Some(("7", rest))) | (false, 11, Some(("8", rest))) => national(rest),
        // `+8 900 …` is a Russian habit; no country has the code 89.
        (true, 11, Some(("8", rest))) if rest.starts_with('9') => national(rest),
        (false, 10, _) if digits.starts_with('9') => national(&digits),
        (true, 7..=18, _) if !digits.starts_with(['0', '7']) => Some(format!("+{digits}")),
        (_, _, _) => None,
    }
}

/// Whether the text is an INN by its digits: 10 for a company, 12 for a person.
#[must_use]
pub fn is_inn(text: &str) -> bool {
    matches!(text.len(), 10 | 12) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether the check digits of an INN are right (FNS order MMV-7-6/435@ of 2012-06-29, appendix).
#[must_use]
pub fn has_inn_check_digits(text: &str) -> bool {
    const WEIGHTS: [u32; 11] = [3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8];
    let digits: Vec<u32> = text.bytes().map(|byte| u32::from(byte.wrapping_sub(b'0'))).collect();
    let is_right = |position: usize| {
        let weights = &WEIGHTS[WEIGHTS.len() - position..];
        let sum: u32 = digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum();
        digits[position] == sum % 11 % 10
    };
    match (is_inn(text), text.len()) {
        (true, 10) => is_right(9),
        (true, _) => is_right(10) && is_right(11),
        (false, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn phones_become_plus_and_digits() {
        for given in [
            "+79001234567",
            "79001234567",
            "89001234567",
            "9001234567",
            "8 (900) 123-45-67",
            "+7 900 123–45–67",
            "+89001234567",
            " +7\u{a0}900.123.45.67 ",
        ] {
            assert_eq!(phone(given).as_deref(), Some("+79001234567"), "{given}");
        }
        assert_eq!(phone("+49 30 901820").as_deref(), Some("+4930901820"));
        assert_eq!(phone("+81 90 1234 5678").as_deref(), Some("+819012345678"));
        assert_eq!(phone("84951234567").as_deref(), Some("+74951234567"));
        for given in [
            "",
            "+",
            "none",
            "12345",
            "4951234567",
            "+7900",
            "++79001234567",
            "7+9001234567",
            "+1234567890123456789",
            "٣",
        ] {
            assert_eq!(phone(given), None, "{given}");
        }
    }

    #[test]
    fn an_email_is_short_ascii_with_one_at() {
        assert_eq!(email(" buyer@example.org ").as_deref(), Some("buyer@example.org"));
        let long = format!("{}@example.org", "b".repeat(53));
        for given in [
            "",
            "buyer",
            "@example.org",
            "buyer@",
            "a@b@c",
            "a b@example.org",
            "почта@example.org",
            "a\u{7}@b",
            "a@.b",
            &long,
        ] {
            assert_eq!(email(given), None, "{given}");
        }
    }

    #[test]
    fn an_inn_has_check_digits() {
        for inn in ["7707083893", "7736207543", "500100732259"] {
            assert!(has_inn_check_digits(inn), "{inn}");
        }
        for inn in [
            "7707083894",
            "500100732258",
            "500100732359",
            "",
            "77070838",
            "770708389x",
        ] {
            assert!(!has_inn_check_digits(inn), "{inn}");
        }
    }

    proptest! {
        #[test]
        fn a_phone_that_was_read_reads_as_itself(text in "[+0-9 ()-]{0,24}") {
            if let Some(read) = phone(&text) {
                prop_assert_eq!(phone(&read), Some(read));
            }
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = (email(&text), phone(&text), has_inn_check_digits(&text));
        }
    }
}
