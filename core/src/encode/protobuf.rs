//! The part of the protobuf wire format that OTLP needs, written straight into a byte vector.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>. Lengths are computed, never patched in afterwards.

/// Bytes that `value` takes as a varint.
#[must_use]
pub const fn varint_len(value: u64) -> usize {
    // 7 bits a byte; zero still takes one.
    (70 - (value | 1).leading_zeros() as usize) / 7
}

/// Appends a varint.
#[inline]
pub fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        #[allow(clippy::cast_possible_truncation)]
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    #[allow(clippy::cast_possible_truncation)]
    out.push(value as u8);
}

/// Bytes of a length-delimited field with a one-byte tag: tag, length and content.
#[must_use]
pub const fn bytes_field_len(content: usize) -> usize {
    1 + varint_len(content as u64) + content
}

/// Appends the head of a length-delimited field; the caller appends the content.
#[inline]
#[allow(clippy::cast_possible_truncation)] // each byte is masked, or below 0x80
pub fn head(out: &mut Vec<u8>, tag: u8, content: usize) {
    match content {
        0..0x80 => out.extend_from_slice(&[tag, content as u8]),
        0x80..0x4000 => out.extend_from_slice(&[tag, content as u8 | 0x80, (content >> 7) as u8]),
        _ => {
            out.push(tag);
            varint(out, content as u64);
        }
    }
}

/// Appends a length-delimited field with a one-byte tag.
#[inline]
pub fn bytes_field(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    head(out, tag, content.len());
    out.extend_from_slice(content);
}

/// Appends a 64-bit field.
#[inline]
pub fn fixed64_field(out: &mut Vec<u8>, tag: u8, value: u64) {
    out.push(tag);
    out.extend_from_slice(&value.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varint_lengths_agree_with_what_is_written() {
        let mut value = 0u64;
        loop {
            for probe in [value.saturating_sub(1), value, value.saturating_add(1)] {
                let mut out = Vec::new();
                varint(&mut out, probe);
                assert_eq!(out.len(), varint_len(probe), "{probe}");
            }
            if value > u64::MAX / 2 {
                break;
            }
            value = if value == 0 { 1 } else { value * 2 };
        }
        let mut out = Vec::new();
        varint(&mut out, 300);
        assert_eq!(out, [0xac, 0x02]);
    }
}
