//! Bounded decompression: a small body that unpacks to gigabytes is stopped at the limit.

use std::io::Read as _;

/// Why a body could not be unpacked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unpack {
    Broken,
    TooLarge,
}

/// Unpacks at most `limit` bytes.
pub(crate) fn unpack(packed: &[u8], limit: usize) -> Result<Vec<u8>, Unpack> {
    let guess = packed.len().saturating_mul(4).min(limit).min(16 << 20);
    let mut plain = Vec::with_capacity(guess);
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    flate2::read::MultiGzDecoder::new(packed)
        .take(bound)
        .read_to_end(&mut plain)
        .map_err(|_| Unpack::Broken)?;
    if plain.len() > limit { Err(Unpack::TooLarge) } else { Ok(plain) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(&vec![0; 10 << 20]).unwrap();
        let packed = packer.finish().unwrap();
        assert!(packed.len() < 20_000);
        assert_eq!(unpack(&packed, 1 << 20), Err(Unpack::TooLarge));
        assert_eq!(unpack(&packed, 10 << 20).unwrap().len(), 10 << 20);
        assert_eq!(unpack(b"not gzip", 100), Err(Unpack::Broken));
    }
}
