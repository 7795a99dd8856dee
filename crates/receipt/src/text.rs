//! Texts as a cash register can print them.
//!
//! Registers store texts in code page 866. What it lacks is replaced by what people would type instead; what has no
//! replacement (emoji, other scripts) is dropped, for a receipt with a poorer name is better than no receipt.
//! Control characters and every kind of blank become one space.

/// A text after cleaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleaned {
    /// What is left; may be empty.
    pub text: String,
    /// How many characters were dropped without a replacement.
    pub dropped: usize,
    /// Whether the end is missing.
    pub cut: bool,
}

/// Brings a text into code page 866 and cuts it to `longest` characters (there, characters are bytes).
///
/// Cutting comes after replacing, because a replacement may be longer than what it replaces. Cleaning what is clean
/// changes nothing.
#[must_use]
pub fn clean(text: &str, longest: usize) -> Cleaned {
    let mut clean: Vec<char> = Vec::with_capacity(text.len().min(longest));
    let mut dropped = 0;
    for character in text.chars() {
        if character.is_whitespace() || character.is_control() {
            if clean.last().is_some_and(|&last| last != ' ') {
                clean.push(' ');
            }
        } else if is_printable(character) {
            clean.push(character);
        } else if let Some(composed) = clean.last().and_then(|&last| compose(last, character)) {
            clean.pop();
            clean.push(composed);
        } else if let Some(replacement) = replacement(character) {
            clean.extend(replacement.chars());
        } else if !is_invisible(character) {
            dropped += 1;
        }
    }
    while clean.last() == Some(&' ') {
        clean.pop();
    }
    let cut = clean.len() > longest;
    clean.truncate(longest);
    while clean.last() == Some(&' ') {
        clean.pop();
    }
    Cleaned {
        text: clean.into_iter().collect(),
        dropped,
        cut,
    }
}

/// Whether code page 866 has the character, blanks other than the space and control characters left out.
#[must_use]
pub fn is_printable(character: char) -> bool {
    matches!(character,
        ' '..='~' | 'А'..='я' | 'Ё' | 'ё' | 'Є' | 'є' | 'Ї' | 'ї' | 'Ў' | 'ў' | '°' | '∙' | '·' | '√' | '№' | '¤' | '■'
        | '─' | '│' | '┌' | '┐' | '└' | '┘' | '├' | '┤' | '┬' | '┴' | '┼' | '═'..='╬' | '▀' | '▄' | '█' | '▌' | '▐'..='▓')
}

/// Letters that some systems send in two halves.
fn compose(letter: char, mark: char) -> Option<char> {
    match (letter, mark) {
        ('и', '\u{306}') => Some('й'),
        ('И', '\u{306}') => Some('Й'),
        ('у', '\u{306}') => Some('ў'),
        ('У', '\u{306}') => Some('Ў'),
        ('е', '\u{308}') => Some('ё'),
        ('Е', '\u{308}') => Some('Ё'),
        _ => None,
    }
}

/// Joiners, soft hyphens, byte order marks, combining marks: nothing is lost with them.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{AD}' | '\u{300}'..='\u{36F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2064}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}')
}

/// What people would type instead. A match and not a table, because a long text of a stranger asks once per character.
fn replacement(character: char) -> Option<&'static str> {
    let replacement = match character {
        '«' | '»' | '“' | '”' | '„' | '‟' | '″' | '‹' | '›' => "\"",
        '‘' | '’' | '‚' | '‛' | '′' | '´' => "'",
        '‐' | '‑' | '‒' | '–' | '—' | '―' | '−' => "-",
        '…' => "...",
        '•' | '‣' => "·",
        '₽' => "руб.",
        '€' => "EUR",
        '£' => "GBP",
        '×' | '✕' => "x",
        '÷' | '⁄' => "/",
        '±' => "+-",
        '≤' => "<=",
        '≥' => ">=",
        '≈' => "~",
        '™' => "(TM)",
        '®' => "(R)",
        '©' => "(C)",
        'º' | '˚' => "°",
        '℃' => "°C",
        '¼' => "1/4",
        '½' => "1/2",
        '¾' => "3/4",
        '¹' => "1",
        '²' => "2",
        '³' => "3",
        'µ' | 'μ' => "u",
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ā' | 'ă' | 'ą' => "a",
        'À' | 'Á' | 'Â' | 'Ã' | 'Ä' | 'Å' | 'Ā' | 'Ă' | 'Ą' => "A",
        'æ' => "ae",
        'Æ' => "AE",
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => "c",
        'Ç' | 'Ć' | 'Ĉ' | 'Ċ' | 'Č' => "C",
        'ď' | 'đ' | 'ð' => "d",
        'Ď' | 'Đ' | 'Ð' => "D",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => "e",
        'È' | 'É' | 'Ê' | 'Ë' | 'Ē' | 'Ĕ' | 'Ė' | 'Ę' | 'Ě' => "E",
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => "g",
        'Ĝ' | 'Ğ' | 'Ġ' | 'Ģ' => "G",
        'ĥ' | 'ħ' => "h",
        'Ĥ' | 'Ħ' => "H",
        'ì' | 'í' | 'î' | 'ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' | 'і' => "i",
        'Ì' | 'Í' | 'Î' | 'Ï' | 'Ĩ' | 'Ī' | 'Ĭ' | 'Į' | 'İ' | 'І' => "I",
        'ĵ' => "j",
        'Ĵ' => "J",
        'ķ' => "k",
        'Ķ' => "K",
        'ĺ' | 'ļ' | 'ľ' | 'ŀ' | 'ł' => "l",
        'Ĺ' | 'Ļ' | 'Ľ' | 'Ŀ' | 'Ł' => "L",
        'ñ' | 'ń' | 'ņ' | 'ň' => "n",
        'Ñ' | 'Ń' | 'Ņ' | 'Ň' => "N",
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'ō' | 'ŏ' | 'ő' => "o",
        'Ò' | 'Ó' | 'Ô' | 'Õ' | 'Ö' | 'Ø' | 'Ō' | 'Ŏ' | 'Ő' => "O",
        'œ' => "oe",
        'Œ' => "OE",
        'ŕ' | 'ŗ' | 'ř' => "r",
        'Ŕ' | 'Ŗ' | 'Ř' => "R",
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => "s",
        'Ś' | 'Ŝ' | 'Ş' | 'Š' | 'Ș' => "S",
        'ß' => "ss",
        'ţ' | 'ť' | 'ŧ' | 'ț' => "t",
        'Ţ' | 'Ť' | 'Ŧ' | 'Ț' => "T",
        'þ' => "th",
        'Þ' => "Th",
        'ù' | 'ú' | 'û' | 'ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => "u",
        'Ù' | 'Ú' | 'Û' | 'Ü' | 'Ũ' | 'Ū' | 'Ŭ' | 'Ů' | 'Ű' | 'Ų' => "U",
        'ŵ' => "w",
        'Ŵ' => "W",
        'ý' | 'ÿ' | 'ŷ' => "y",
        'Ý' | 'Ÿ' | 'Ŷ' => "Y",
        'ź' | 'ż' | 'ž' => "z",
        'Ź' | 'Ż' | 'Ž' => "Z",
        'ґ' | 'ғ' => "г",
        'Ґ' | 'Ғ' => "Г",
        'ә' => "а",
        'Ә' => "А",
        'қ' => "к",
        'Қ' => "К",
        'ң' => "н",
        'Ң' => "Н",
        'ө' => "о",
        'Ө' => "О",
        'ұ' | 'ү' => "у",
        'Ұ' | 'Ү' => "У",
        'һ' => "х",
        'Һ' => "Х",
        _ => return None,
    };
    Some(replacement)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn typography_becomes_what_a_register_prints() {
        for (given, printed) in [
            ("Кружка «Ёж» — 0,5 л…", "Кружка \"Ёж\" - 0,5 л..."),
            ("“Smart” phone’s case", "\"Smart\" phone's case"),
            ("5 ₽ 10×15 №3 20°", "5 руб. 10x15 №3 20°"),
            ("Café Zürich", "Cafe Zurich"),
            ("и\u{306}од ме\u{308}д", "йод мёд"),
            ("  a\t\r\n\u{b}b\u{a0}\u{2009}c  ", "a b c"),
            ("Мяч⚽️ футбольный", "Мяч футбольный"),
            ("со\u{ad}лнце\u{200b}", "солнце"),
            ("手机", ""),
        ] {
            assert_eq!(clean(given, 128).text, printed, "{given:?}");
        }
        assert_eq!(clean("手机 case", 128).dropped, 2);
        assert_eq!(clean("«»", 128).dropped, 0);
    }

    #[test]
    fn the_upper_half_of_the_code_page_is_complete() {
        let count = (0x80..=0xFFFF_u32)
            .filter_map(char::from_u32)
            .filter(|&character| is_printable(character))
            .count();
        assert_eq!(count, 127, "128 characters without the no-break space");
    }

    proptest! {
        #[test]
        fn a_cleaned_text_is_printable_short_and_stays_as_it_is(text in any::<String>(), longest in 1_usize..200) {
            let once = clean(&text, longest);
            prop_assert!(once.text.chars().all(is_printable));
            prop_assert!(once.text.chars().count() <= longest);
            prop_assert_eq!(once.text.trim(), &once.text);
            let twice = clean(&once.text, longest);
            prop_assert_eq!(twice, Cleaned { text: once.text, dropped: 0, cut: false });
        }
    }
}
