//! JSON strings: the quoted, escaped form of UTF-8 text, written in blocks.
//!
//! The text is copied sixteen (or eight) bytes at a time; a block is looked at only to learn whether it holds a quote, a
//! backslash or a control character, and only then byte by byte. Everything else, DEL and non-ASCII included, goes out as it is.

/// Two quotes, a colon, and what a whole-block store may write past the text.
const SLACK: usize = 3 + 16;

/// Appends `text`, which must be UTF-8, as a JSON string with its quotes.
#[inline]
pub(crate) fn push_quoted(out: &mut Vec<u8>, text: &[u8]) {
    push_terminated(out, text, None);
}

/// Appends `text` as a JSON object's key, with its quotes and the colon.
#[inline]
pub(crate) fn push_key(out: &mut Vec<u8>, text: &[u8]) {
    push_terminated(out, text, Some(b':'));
}

#[inline(always)]
fn push_terminated(out: &mut Vec<u8>, text: &[u8], after: Option<u8>) {
    out.reserve(text.len() + SLACK);
    let used = out.len();
    // SAFETY: `reserve` made room for the text, the slack of block stores, both quotes and the byte after them; the lengths
    // that are set count bytes that were stored.
    unsafe {
        let start = out.as_mut_ptr().add(used);
        *start = b'"';
        let clean = copy_clean(start.add(1), text, 0);
        if clean == text.len() {
            let end = start.add(1 + clean);
            *end = b'"';
            if let Some(after) = after {
                *end.add(1) = after;
            }
            out.set_len(used + clean + 2 + usize::from(after.is_some()));
            return;
        }
        out.set_len(used + 1 + clean);
        push_escaped_from(out, text, clean);
    }
    out.push(b'"');
    out.extend(after);
}

/// Appends `text` as the inside of a JSON string.
pub(crate) fn push_escaped(out: &mut Vec<u8>, text: &[u8]) {
    push_escaped_from(out, text, 0);
}

#[inline(never)]
fn push_escaped_from(out: &mut Vec<u8>, text: &[u8], mut at: usize) {
    while at < text.len() {
        out.reserve(text.len() - at + SLACK);
        let used = out.len();
        // SAFETY: `reserve` left room for the rest of the text and `SLACK`; the length counts bytes that were stored.
        unsafe {
            let clean = copy_clean(out.as_mut_ptr().add(used), text, at);
            out.set_len(used + clean);
            at += clean;
        }
        if let Some(&byte) = text.get(at) {
            push_escape(out, byte);
            at += 1;
        }
    }
}

/// Copies bytes from `at` on until the end or the first one that JSON escapes; returns how many it copied.
///
/// # Safety
///
/// `at <= text.len()`, and `text.len() - at + 16` bytes are writable at `dst`.
#[inline(always)] // 6 % fewer instructions for a payload of short strings
unsafe fn copy_clean(dst: *mut u8, text: &[u8], at: usize) -> usize {
    // SAFETY: loads stay inside `text`; each store is at most 16 bytes past a position not beyond the text's own length.
    unsafe {
        let src = text.as_ptr().add(at);
        let len = text.len() - at;
        let mut done = 0;
        #[cfg(target_arch = "x86_64")]
        while len - done >= 16 {
            let first = copy_16(src.add(done), dst.add(done));
            if first < 16 {
                return done + first;
            }
            done += 16;
        }
        while len - done >= 8 {
            let word = src.add(done).cast::<u64>().read_unaligned();
            dst.add(done).cast::<u64>().write_unaligned(word);
            let specials = specials(u64::from_le(word));
            if specials != 0 {
                return done + (specials.trailing_zeros() / 8) as usize;
            }
            done += 8;
        }
        let rest = len - done;
        if rest > 0 {
            let word = tail(src.add(done), rest, len);
            dst.add(done).cast::<u64>().write_unaligned(word.to_le());
            // Bytes past the text are read as blanks.
            let specials = specials(word | (BLANKS << (rest * 8)));
            done += if specials == 0 { rest } else { (specials.trailing_zeros() / 8) as usize };
        }
        done
    }
}

/// The last `rest` (1..=7) bytes at `src`, little-endian, upper bytes zero; `len` is how much text ends there.
///
/// # Safety
///
/// `rest` bytes at `src` are readable, and so are the `len - rest` bytes before it.
#[inline(always)]
unsafe fn tail(src: *const u8, rest: usize, len: usize) -> u64 {
    // SAFETY: with eight or more bytes the load ends at the text's end; with four to seven two loads of four overlap inside
    // the text; with fewer the three indexes are below `rest`.
    unsafe {
        if len >= 8 {
            let word = u64::from_le(src.add(rest).sub(8).cast::<u64>().read_unaligned());
            word >> ((8 - rest) * 8)
        } else if rest >= 4 {
            let low = u32::from_le(src.cast::<u32>().read_unaligned());
            let high = u32::from_le(src.add(rest - 4).cast::<u32>().read_unaligned());
            u64::from(low) | (u64::from(high) << ((rest - 4) * 8))
        } else {
            let middle = rest / 2;
            u64::from(*src)
                | (u64::from(*src.add(middle)) << (middle * 8))
                | (u64::from(*src.add(rest - 1)) << ((rest - 1) * 8))
        }
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;
const BLANKS: u64 = ONES * 0x20;

/// Marks (in each byte's top bit) quotes, backslashes and control characters. Exact up to and including the lowest mark,
/// which is all that callers use.
#[inline]
const fn specials(word: u64) -> u64 {
    let control = word.wrapping_sub(BLANKS);
    let quote = (word ^ (ONES * b'"' as u64)).wrapping_sub(ONES);
    let backslash = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    (control | quote | backslash) & !word & HIGH
}

/// Copies sixteen bytes and returns the index of the first special one, 16 where there is none.
///
/// # Safety
///
/// Sixteen bytes are readable at `src` and writable at `dst`.
#[cfg(target_arch = "x86_64")]
#[inline]
unsafe fn copy_16(src: *const u8, dst: *mut u8) -> usize {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_max_epu8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set1_epi8, _mm_storeu_si128,
    };
    // SAFETY: SSE2 is part of x86_64; the caller vouches for both pointers.
    unsafe {
        let block = _mm_loadu_si128(src.cast::<__m128i>());
        _mm_storeu_si128(dst.cast::<__m128i>(), block);
        let quote = _mm_cmpeq_epi8(block, _mm_set1_epi8(b'"' as i8));
        let backslash = _mm_cmpeq_epi8(block, _mm_set1_epi8(b'\\' as i8));
        // A byte is a control character where the larger of it and 0x1f is 0x1f.
        let limit = _mm_set1_epi8(0x1f);
        let control = _mm_cmpeq_epi8(_mm_max_epu8(block, limit), limit);
        let mask = _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), control)) as u32;
        (mask | 0x1_0000).trailing_zeros() as usize
    }
}

/// The text of a JSON string that this module wrote.
pub(crate) fn unquoted(json: &str) -> String {
    let mut rest = json.strip_prefix('"').and_then(|json| json.strip_suffix('"')).unwrap_or(json).chars();
    let mut text = String::with_capacity(json.len());
    while let Some(c) = rest.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match rest.next() {
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('t') => text.push('\t'),
            Some('b') => text.push('\u{8}'),
            Some('f') => text.push('\u{c}'),
            Some('u') => {
                let code = rest.by_ref().take(4).collect::<String>();
                text.extend(u32::from_str_radix(&code, 16).ok().and_then(char::from_u32));
            }
            other => text.extend(other),
        }
    }
    text
}

fn push_escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::{push_quoted, unquoted};

    /// The plain way to say the same.
    fn expected(text: &str) -> String {
        let mut out = String::from('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
                c => out.push(c),
            }
        }
        out.push('"');
        out
    }

    #[test]
    fn every_byte_at_every_place_of_short_and_long_text() {
        for len in 1..50_usize {
            for place in 0..len {
                for c in (0..128_u8).map(char::from).chain(['é', '漢', '🦀']) {
                    let mut text: Vec<char> = (0..len).map(|i| char::from(b'a' + (i % 26) as u8)).collect();
                    text[place] = c;
                    let text: String = text.into_iter().collect();
                    let mut out = b"x".to_vec();
                    push_quoted(&mut out, text.as_bytes());
                    let json = std::str::from_utf8(&out[1..]).unwrap();
                    assert_eq!(json, expected(&text));
                    assert_eq!(unquoted(json), text);
                }
            }
        }
    }

    #[test]
    fn text_of_nothing_but_escapes() {
        for len in 0..40 {
            for c in ['"', '\\', '\n', '\u{1}'] {
                let text: String = std::iter::repeat_n(c, len).collect();
                let mut out = Vec::new();
                push_quoted(&mut out, text.as_bytes());
                assert_eq!(std::str::from_utf8(&out).unwrap(), expected(&text));
            }
        }
    }
}
