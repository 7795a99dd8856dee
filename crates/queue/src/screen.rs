//! What stands between the socket and lapin's parser.
//!
//! Anybody who may publish can make a content header that lapin can't take, measured with lapin 4.12.3 (amq-protocol
//! 10.6.3) behind RabbitMQ 3.10.8, which passes both on: a header table nested a thousand deep, 5 KB, overflows the
//! stack of lapin's parser and so *aborts the process*, as often as the message is delivered again; and a name or id
//! that is not UTF-8 ends the connection, and with it everybody's deliveries, until the delivery limit.
//!
//! Here such a frame is made harmless in place, every length kept: a byte that is not UTF-8 becomes `?`, and a table
//! or array below [`DEEPEST`] levels becomes the byte array that it is on the wire. The delivery arrives, and the accept
//! loop says what it thinks of it.

use std::io;

/// Levels of tables and arrays that are let through. Our own reading shows sixteen.
const DEEPEST: usize = 32;
/// No broker sends a larger method or header: its own limit for a frame is 128 KiB unless configured.
const LARGEST: usize = 16 * 1024 * 1024;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;
/// Type, channel, size.
const FRAME_START: usize = 7;
/// The octet after the payload.
const FRAME_END: usize = 1;

/// Takes the bytes of a connection in pieces of any size and gives them back screened.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    /// The beginning of a frame that has to be seen whole.
    held: Vec<u8>,
    /// So much passes unseen.
    unseen: usize,
    /// Not AMQP frames (a broker of another version says so in eight bytes): nothing is screened any more.
    foreign: bool,
}

impl Screen {
    /// Appends to `out` what can be passed on.
    ///
    /// # Errors
    /// The other side is no AMQP broker in its right mind.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.foreign {
                out.extend_from_slice(bytes);
                return Ok(());
            }
            if self.unseen > 0 {
                let (unseen, rest) = bytes.split_at(self.unseen.min(bytes.len()));
                out.extend_from_slice(unseen);
                self.unseen -= unseen.len();
                bytes = rest;
                continue;
            }
            let wanted = match self.wanted()? {
                Wanted::Bytes(wanted) => wanted,
                Wanted::Nothing => {
                    out.append(&mut self.held);
                    continue;
                }
            };
            let (more, rest) = bytes.split_at((wanted - self.held.len()).min(bytes.len()));
            self.held.extend_from_slice(more);
            bytes = rest;
            if self.held.len() == wanted && wanted > FRAME_START {
                make_harmless(&mut self.held);
                out.append(&mut self.held);
            } else if self.held.len() == FRAME_START {
                // A frame that need not be seen leaves at once, also when no byte follows yet.
                if let Wanted::Nothing = self.wanted()? {
                    out.append(&mut self.held);
                }
            }
        }
        Ok(())
    }

    /// How long `held` must become; decides what happens to the frame once its start is there.
    fn wanted(&mut self) -> io::Result<Wanted> {
        let &[kind, _, _, a, b, c, d, ..] = self.held.as_slice() else {
            return Ok(Wanted::Bytes(FRAME_START));
        };
        let size = u32::from_be_bytes([a, b, c, d]) as usize;
        match kind {
            METHOD | HEADER if size > LARGEST => Err(io::Error::other("the broker sent an impossibly large frame")),
            METHOD | HEADER => Ok(Wanted::Bytes(FRAME_START + size + FRAME_END)),
            BODY | HEARTBEAT => {
                self.unseen = size + FRAME_END;
                Ok(Wanted::Nothing)
            }
            _ => {
                self.foreign = true;
                Ok(Wanted::Nothing)
            }
        }
    }
}

enum Wanted {
    Bytes(usize),
    Nothing,
}

/// A whole method or header frame. One that can't be read is left as it is: brokers re-encode what they pass on, so this
/// does not happen, and lapin says what is wrong.
fn make_harmless(frame: &mut [u8]) {
    let kind = frame.first().copied();
    let end = frame.len() - FRAME_END;
    let Some(payload) = frame.get_mut(FRAME_START..end) else {
        return;
    };
    let mut walk = Walk { bytes: payload, at: 0 };
    let _ = if kind == Some(HEADER) {
        walk.header()
    } else {
        walk.method()
    };
}

struct Walk<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

/// Each step is `None` where the bytes end too early or make no sense.
impl Walk<'_> {
    fn method(&mut self) -> Option<()> {
        match (self.u16()?, self.u16()?) {
            // basic.deliver: consumer tag, delivery tag, redelivered, exchange, routing key.
            (60, 60) => {
                self.text()?;
                self.skip(9)?;
                self.text()?;
                self.text()
            }
            // basic.return: code, text, exchange, routing key.
            (60, 50) => {
                self.skip(2)?;
                self.text()?;
                self.text()?;
                self.text()
            }
            // basic.get-ok: delivery tag, redelivered, exchange, routing key.
            (60, 71) => {
                self.skip(9)?;
                self.text()?;
                self.text()
            }
            _ => Some(()),
        }
    }

    fn header(&mut self) -> Option<()> {
        // Class, weight, body size.
        self.skip(12)?;
        let flags = self.u16()?;
        // From the highest bit down: content type, content encoding, headers, delivery mode, priority, correlation id,
        // reply to, expiration, message id, timestamp, type, user id, app id, cluster id.
        for bit in (2..16).rev() {
            if flags & (1 << bit) != 0 {
                match bit {
                    13 => self.table()?,
                    11 | 12 => self.skip(1)?,
                    6 => self.skip(8)?,
                    _ => self.text()?,
                }
            }
        }
        Some(())
    }

    /// A table and all in it, without recursion.
    fn table(&mut self) -> Option<()> {
        let end = self.u32()?.checked_add(self.at)?;
        let mut open = vec![(end, true)];
        while let Some(&(end, named)) = open.last() {
            if self.at >= end {
                open.pop();
                continue;
            }
            if named {
                self.text()?;
            }
            let kind = self.at;
            self.skip(1)?;
            match *self.bytes.get(kind)? {
                b't' | b'b' | b'B' => self.skip(1)?,
                b's' | b'u' | b'U' => self.skip(2)?,
                b'I' | b'i' | b'f' => self.skip(4)?,
                b'D' => self.skip(5)?,
                b'l' | b'L' | b'd' | b'T' => self.skip(8)?,
                b'V' => {}
                b'S' | b'x' => {
                    let length = self.u32()?;
                    self.skip(length)?;
                }
                nested @ (b'A' | b'F') => {
                    let length = self.u32()?;
                    if open.len() < DEEPEST {
                        open.push((self.at.checked_add(length)?, nested == b'F'));
                    } else {
                        *self.bytes.get_mut(kind)? = b'x';
                        self.skip(length)?;
                    }
                }
                _ => return None,
            }
        }
        Some(())
    }

    /// A short string, made UTF-8.
    fn text(&mut self) -> Option<()> {
        let length = usize::from(*self.bytes.get(self.at)?);
        let start = self.at + 1;
        let text = self.bytes.get_mut(start..start + length)?;
        if str::from_utf8(text).is_err() {
            text.iter_mut()
                .filter(|byte| !byte.is_ascii())
                .for_each(|byte| *byte = b'?');
        }
        self.at = start + length;
        Some(())
    }

    fn skip(&mut self, length: usize) -> Option<()> {
        let at = self.at.checked_add(length).filter(|at| *at <= self.bytes.len())?;
        self.at = at;
        Some(())
    }

    fn u16(&mut self) -> Option<u16> {
        let bytes = self.bytes.get(self.at..self.at + 2)?.try_into().ok()?;
        self.at += 2;
        Some(u16::from_be_bytes(bytes))
    }

    fn u32(&mut self) -> Option<usize> {
        let bytes = self.bytes.get(self.at..self.at + 4)?.try_into().ok()?;
        self.at += 4;
        usize::try_from(u32::from_be_bytes(bytes)).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn long(bytes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(bytes.len()).expect("short");
        [&length.to_be_bytes(), bytes].concat()
    }

    fn short(bytes: &[u8]) -> Vec<u8> {
        [&[u8::try_from(bytes.len()).expect("short")], bytes].concat()
    }

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        [&[kind, 0, 1], long(payload).as_slice(), &[0xce]].concat()
    }

    /// A header frame with the properties of `flags`.
    fn header(flags: u16, properties: &[u8]) -> Vec<u8> {
        let start = [&[0, 60, 0, 0][..], &2u64.to_be_bytes(), &flags.to_be_bytes()].concat();
        frame(HEADER, &[start.as_slice(), properties].concat())
    }

    fn nested(levels: usize) -> Vec<u8> {
        let value = (0..levels).fold(b"V".to_vec(), |value, _| [b"A", long(&value).as_slice()].concat());
        header(1 << 13, &long(&[short(b"deep"), value].concat()))
    }

    fn screened(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Screen::default().feed(bytes, &mut out).expect("an AMQP broker");
        out
    }

    #[test]
    fn a_table_without_end_becomes_bytes_where_it_is_too_deep() {
        let before = nested(5_000);
        let after = screened(&before);
        assert_eq!(after.len(), before.len());
        let changed: Vec<_> = (0..before.len()).filter(|at| before[*at] != after[*at]).collect();
        // The header's fixed part, the table's length and the name; then five bytes for each level, the table itself
        // being the first.
        let deepest = FRAME_START + 14 + 4 + 5 + (DEEPEST - 1) * 5;
        assert_eq!(changed, [deepest]);
        assert_eq!(after[deepest], b'x');
    }

    #[test]
    fn a_table_of_decent_depth_stays_as_it_is() {
        assert_eq!(screened(&nested(DEEPEST - 1)), nested(DEEPEST - 1));
    }

    #[test]
    fn names_that_are_not_utf8_become_so() {
        let table = [short(b"k\xff"), b"S".to_vec(), long(b"\xff")].concat();
        let properties = [long(&table), short("касса".as_bytes()), short(b"id\xfe")].concat();
        let expected_table = [short(b"k?"), b"S".to_vec(), long(b"\xff")].concat();
        let expected = [long(&expected_table), short("касса".as_bytes()), short(b"id?")].concat();
        let flags = 1 << 13 | 1 << 10 | 1 << 7;
        assert_eq!(screened(&header(flags, &properties)), header(flags, &expected));

        let deliver = |key: &[u8]| {
            let parts = [
                &[0, 60, 0, 60][..],
                &short(b"tag"),
                &[0; 9],
                &short(b"exchange"),
                &short(key),
            ]
            .concat();
            frame(METHOD, &parts)
        };
        assert_eq!(screened(&deliver(b"\x80key")), deliver(b"?key"));
    }

    #[test]
    fn another_protocol_passes_untouched() {
        let answer = b"AMQP\x01\x01\x00\x09 and more";
        assert_eq!(screened(answer), answer);
    }

    #[test]
    fn a_body_passes_as_it_comes() {
        let body = frame(BODY, &[0xff; 1_000]);
        let mut screen = Screen::default();
        let mut out = Vec::new();
        screen.feed(&body[..100], &mut out).expect("good");
        assert_eq!(out, body[..100], "nothing is held back");
        screen.feed(&body[100..], &mut out).expect("good");
        assert_eq!(out, body);
    }

    proptest! {
        #[test]
        fn the_cut_of_the_pieces_does_not_matter(
            frames in prop::collection::vec((1u8..4, prop::collection::vec(any::<u8>(), 0..60)), 0..8),
            cut in 1usize..40,
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|(kind, payload)| frame(*kind, payload)).collect();
            let whole = screened(&bytes);
            let mut screen = Screen::default();
            let mut pieces = Vec::new();
            for piece in bytes.chunks(cut) {
                screen.feed(piece, &mut pieces).expect("good");
            }
            prop_assert_eq!(&pieces, &whole);
            prop_assert_eq!(whole.len(), bytes.len());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), flags in any::<u16>()) {
            let _ = Screen::default().feed(&bytes, &mut Vec::new());
            prop_assert_eq!(screened(&header(flags, &bytes)).len(), header(flags, &bytes).len());
        }
    }
}
